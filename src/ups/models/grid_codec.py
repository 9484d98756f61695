"""The exact codec between fields and latent tokens: an invertible rearrangement of a regular grid.

    z = P (u - mean) / sigma          u = sigma P^-1 z + mean

P puts the points of small patches (of one point in 1D) side by side. Nothing is lost and nothing has to be learnt: the
latent is as large as the field, and rollouts in latent space and in field space are the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ups.core.conservation import conform
from ups.core.deviations import in_deviations
from ups.core.domain import Domain
from ups.core.errors import UserError
from ups.core.interpolate import sample
from ups.core.patches import Layout, deinterleaved, interleaved
from ups.core.system import System
from ups.core.walls import held_points, hold_walls


class GridCodec(nn.Module):
    """Fields (B, C, *S) in physical units <-> latent tokens (B, N, D), D = C times the points of a patch: the `Codec`
    of regular grids, and what all those that learn have in common.

    Args:
        system: Channels of the data, and the domain whose tokens fix the patches of all others.
        grid: Tokens per axis on it.

    Attributes:
        conserved: Channels whose spatial mean forecasts keep, (C,) bool; none until the stage that trains it says so.
        moves: Channels that change in time, (C,) bool; all until the stage that trains it says otherwise.
        exact: Whether decode(encode(u)) is u, so that there is nothing to learn.
        dim: Width D of a token.
    """

    u_mean: Tensor
    u_std: Tensor
    conserved: Tensor
    moves: Tensor
    exact = True

    def __init__(self, system: System, grid: Sequence[int]):
        super().__init__()
        channels = len(system.channels)
        self.system, self.layout = system, Layout(system.domain, tuple(grid))
        self.dim = channels * math.prod(self.layout.sides)
        self.register_buffer("u_mean", torch.zeros(channels))
        self.register_buffer("u_std", torch.ones(channels))
        self.register_buffer("conserved", torch.zeros(channels, dtype=torch.bool))
        self.register_buffer("moves", torch.ones(channels, dtype=torch.bool), persistent=False)

    @property
    def grid(self) -> tuple[int, ...]:
        """Tokens per axis on the training grid."""
        return self.layout.grid

    @property
    def compression(self) -> float:
        """Numbers in a field over numbers in its latent: above 1 the latent is smaller."""
        return len(self.system.channels) * math.prod(self.system.shape) / (math.prod(self.grid) * self.dim)

    @property
    def held(self) -> Tensor | None:
        """Points of the training grid where a wall holds a value, (C, *S) bool; None where there are none."""
        walls, domain = self.system.walls, self.layout.domain
        found = held_points(walls, domain.shape, domain.boundary, self.u_std.device) if walls else None
        return None if found is None else found[0]

    def encode(self, u: Tensor, domain: Domain | None = None) -> Tensor:
        """Physical fields (B, C, *S) on `domain`, the training grid unless given -> latent tokens (B, N, D).

        Raises:
            UserError: The fields are not of the domain's shape, or its spacing does not fit that of the training data.
        """
        domain = domain or self.layout.domain
        expected = (len(self.system.channels), *domain.shape)
        if u.shape[1:] != expected:
            raise UserError(
                f"fields must have shape (batch, channels, *grid) = (B, {', '.join(map(str, expected))}), "
                f"found {tuple(u.shape)}"
            )
        z = self._tokens(self._standardised(u, domain), domain)
        return z.reshape(len(u), -1, z.shape[-1])

    def decode(self, z: Tensor, domain: Domain | None = None, points: Tensor | None = None) -> Tensor:
        """Latent tokens -> physical fields.

        Args:
            z: (B, N, D).
            domain: What they were encoded on, the training grid unless given.
            points: Where to answer, (Q, axes) in units of length; all points of the domain unless given.

        Returns:
            (B, C, *S), or (B, C, Q).
        """
        domain = domain or self.layout.domain
        u = hold_walls(self._decoded(z, domain), self.system.walls, domain)
        return u if points is None else sample(u, domain.coords, points, domain.boundary)

    def decode_like(self, z: Tensor, u: Tensor, domain: Domain | None = None) -> Tensor:
        """Latent tokens (B, N, D) -> physical fields (B, C, *S) at another time of the states u (B, C, *S), from which
        they take the spatial means of the channels that conserve them, and the channels that never change."""
        domain = domain or self.layout.domain
        v, _ = conform(self._decoded(z, domain), u, self.conserved, self.system.walls, domain)
        return self._carried(v, u)

    def hold(self, z: Tensor, u: Tensor, domain: Domain | None = None) -> tuple[Tensor, Tensor]:
        """As `decode_like`, with the latents moved along: latents (B, N, D) whose exact part takes the means of u and
        the values at walls too, and their fields (B, C, *S)."""
        domain = domain or self.layout.domain
        v, excess = conform(self._decoded(z, domain), u, self.conserved, self.system.walls, domain)
        with torch.autocast(u.device.type, enabled=False):
            change = interleaved(self.in_deviations(excess), self.layout.strides(domain))
            moved = self._moved(z, self.layout.patches(domain).split(change))
        return moved, self._carried(v, u)

    def forward(self, u: Tensor, domain: Domain | None = None) -> Tensor:
        """decode(encode(u))."""
        return self.decode(self.encode(u, domain), domain)

    def calibrate(self, u: Tensor) -> None:
        """Sets the latents' mean and deviation from training fields u (B, C, *S); those of an exact codec are the
        fields' own."""

    def in_deviations(self, u: Tensor) -> Tensor:
        """Fields (..., C, *S) over each channel's deviation, so that channels of any unit weigh alike in a norm."""
        return in_deviations(u, self.u_std, len(self.system.shape))

    def _standardised(self, u: Tensor, domain: Domain) -> Tensor:
        """Physical fields (B, C, *S) -> standardised fields of interleaved grids (B R, C, *S)."""
        return interleaved(self.in_deviations(u - self._channelwise(self.u_mean)), self.layout.strides(domain))

    def _tokens(self, v: Tensor, domain: Domain) -> Tensor:
        """Standardised fields of interleaved grids (B R, C, *S) -> latent tokens (B R, N, D)."""
        return self.layout.patches(domain).split(v)

    def _fields(self, z: Tensor, domain: Domain) -> Tensor:
        """The inverse of `_tokens`."""
        return self.layout.patches(domain).join(z)

    def _moved(self, z: Tensor, change: Tensor) -> Tensor:
        """Latents (B, R N, D) less a change of their fields, which is given as patches (B R, N, C p)."""
        return z - change.reshape(z.shape)

    def _decoded(self, z: Tensor, domain: Domain) -> Tensor:
        """Fields (B, C, *S) before walls are held."""
        z = z.reshape(-1, math.prod(self.layout.patches(domain).grid), z.shape[-1])
        v = deinterleaved(self._fields(z, domain), self.layout.strides(domain))
        return v * self._channelwise(self.u_std) + self._channelwise(self.u_mean)

    def _carried(self, v: Tensor, u: Tensor) -> Tensor:
        """Fields v (B, C, *S) with the channels of u that never changed in training."""
        return v.where(self._channelwise(self.u_std) > 0, u)

    def _channelwise(self, buffer: Tensor) -> Tensor:
        return buffer.view(-1, *[1] * len(self.system.shape))
