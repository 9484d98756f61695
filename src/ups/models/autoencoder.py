"""Stage 0: the codec between fields and latent tokens.

    z = (P E(u) + c_enc(u) - m) / s          u = D(z s + m)

u is standardised per channel; P cuts it into patches and E keeps the lowest cosine modes of each (all of them where
the latent has room), so the codec starts as an exactly invertible map and c_enc, a zero-initialised convolutional
correction, as well as its mirror in the decoder, learn what the dynamics want. Full-resolution convolutions before and
after the patches make shifts by less than a patch easy. m and s are the latents' mean and deviation over training data.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import BeforeValidator, Field, field_validator
from torch import Tensor, nn

from ups.core.blocks_pdet import WIDEST
from ups.core.boundary import BoundaryConv, DomainSequential
from ups.core.conservation import conform
from ups.core.deviations import in_deviations
from ups.core.domain import Domain
from ups.core.errors import UserError
from ups.core.interpolate import sample
from ups.core.patches import Layout, deinterleaved, interleaved, token_grid
from ups.core.settings import Settings
from ups.core.system import System
from ups.core.walls import hold_walls


def _word(value: Any) -> Any:
    """`on` and `off`, which YAML may read as true and false."""
    return ("off", "on")[value] if isinstance(value, bool) else value


PositionMode = Annotated[Literal["auto", "on", "off"], BeforeValidator(_word)]


class LatentSettings(Settings):
    """The latent space.

    Good values: one token for 8 grid points of an axis and `dim` 64 for accuracy in 1D; `tokens * dim` an eighth of
    the field's size where latents are to be small, at several times the error.
    """

    dim: int = Field(default=64, ge=1, le=WIDEST)
    """Width D of a token; equals `operator.pdet.input_dim`."""
    tokens: int = Field(default=32, ge=1, le=2**20)
    """Number N of tokens; need not divide the grid."""
    width: int = Field(default=32, ge=1, le=WIDEST)
    """Channels of the convolutions around the patches."""
    kernel: int = Field(default=5, ge=1, le=1001)
    """Points of these convolutions along each axis; odd."""
    hold_means: bool = True
    """Forecasts keep the spatial mean of every channel whose mean each training trajectory keeps (64 are looked at) and
    whose sides are all periodic or let nothing through, as a conservation law in flux form demands of mass or momentum;
    off, such means drift like any other error."""
    position: PositionMode = "auto"
    """Whether the networks on latents are told where their tokens are: `auto` along the periodic axes along which the
    training data are not homogeneous and, unless the task is a known one, along axes with ends, `on` along all, `off`
    along none."""

    @field_validator("kernel")
    @classmethod
    def _odd(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, found {kernel}")
        return kernel

    def position_axes(self, system: System) -> tuple[int, ...]:
        """The axes along which tokens are told where they are."""
        axes = {"on": range(len(system.shape)), "off": (), "auto": system.fixed_axes}
        return tuple(axes[self.position])

    def least_weights(self, shape: Sequence[int]) -> int:
        """What the codec of a grid has at least: one of its convolutions, and the map from a patch to a token."""
        patch = -(-math.prod(shape) // self.tokens)
        return patch * self.width * self.dim + self.kernel ** len(shape) * self.width**2


def cosine_basis(channels: int, sides: Sequence[int], keep: int) -> Tensor:
    """Orthonormal rows (keep, channels * points): the pixels themselves if all are kept, else the lowest cosine modes
    of a patch."""
    points = math.prod(sides)
    if keep == channels * points:
        return torch.eye(keep)
    modes = sorted(
        itertools.product(*(range(p) for p in sides)),
        key=lambda k: sum(i * i / p / p for i, p in zip(k, sides, strict=True)),
    )[: -(-keep // channels)]
    waves = []
    for k in modes:
        rows = torch.ones(1)
        for i, p in zip(k, sides, strict=True):
            wave = torch.cos(torch.pi / p * (torch.arange(p) + 0.5) * i) * math.sqrt((1 if i == 0 else 2) / p)
            rows = torch.outer(rows, wave).flatten()
        waves.append(rows)
    basis = torch.zeros(keep, channels, points)
    for row, (wave, channel) in enumerate(itertools.islice(itertools.product(waves, range(channels)), keep)):
        basis[row, channel] = wave
    return basis.flatten(1)


class Autoencoder(nn.Module):
    """Fields (B, C, *S) in physical units <-> latent tokens (B, N, D), normalised: the `Codec` of regular grids.

    Args:
        system: Channels of the data, and the domain whose tokens fix the patches of all others.
        latent: Size of the latent space.

    Attributes:
        conserved: Channels whose spatial mean forecasts keep, (C,) bool; none until the stage that trains it says so.
    """

    basis: Tensor
    u_mean: Tensor
    u_std: Tensor
    z_mean: Tensor
    z_std: Tensor
    conserved: Tensor

    def __init__(self, system: System, latent: LatentSettings):
        super().__init__()
        self.system, self.latent = system, latent
        channels, width, axes = len(system.channels), latent.width, len(system.shape)
        self.layout = Layout(system.domain, token_grid(system.shape, latent.tokens))
        points = math.prod(self.layout.sides)
        self.linear_dim = min(latent.dim, channels * points)
        self.register_buffer("basis", cosine_basis(channels, self.layout.sides, self.linear_dim), persistent=False)
        for name, size, value in (
            ("u_mean", channels, 0.0),
            ("u_std", channels, 1.0),
            ("z_mean", latent.dim, 0.0),
            ("z_std", latent.dim, 1.0),
        ):
            self.register_buffer(name, torch.full((size,), value))
        self.register_buffer("conserved", torch.zeros(channels, dtype=torch.bool))
        self.stem = DomainSequential(
            BoundaryConv(channels, width, latent.kernel, axes, fields=True),
            nn.GELU(),
            BoundaryConv(width, width, latent.kernel, axes),
            nn.GELU(),
        )
        self.to_latent = nn.Linear(width * points, latent.dim)
        beside = max(width - channels, 1)  # with the field itself, `width` channels: what convolutions are fast with
        self.from_latent = nn.Linear(latent.dim, beside * points)
        self.head = DomainSequential(
            BoundaryConv(beside + channels, width, latent.kernel, axes, fields=True),
            nn.GELU(),
            BoundaryConv(width, channels, latent.kernel, axes),
        )
        last = self.head[-1]
        assert isinstance(last, BoundaryConv)
        with torch.no_grad():
            for tensor in (
                self.to_latent.weight[: self.linear_dim],
                self.to_latent.bias,
                last.conv.weight,
                last.conv.bias,
            ):
                if tensor is not None:
                    tensor.zero_()

    @property
    def grid(self) -> tuple[int, ...]:
        """Tokens per axis on the training grid."""
        return self.layout.grid

    @property
    def compression(self) -> float:
        """Numbers in a field over numbers in its latent: above 1 the latent is smaller."""
        return len(self.system.channels) * math.prod(self.system.shape) / (self.latent.tokens * self.latent.dim)

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
        patches, strides = self.layout.patches(domain), self.layout.strides(domain)
        v = interleaved(self.in_deviations(u - self._channelwise(self.u_mean)), strides)
        z = self.to_latent(patches.split(self.stem(v, domain)))
        with torch.autocast(u.device.type, enabled=False):  # the exact path stays exact
            linear = patches.split(v) @ self.basis.T
        z = torch.cat([z[..., : self.linear_dim] + linear, z[..., self.linear_dim :]], -1)
        return ((z - self.z_mean) / self.z_std).view(len(u), -1, z.shape[-1])

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

    def _decoded(self, z: Tensor, domain: Domain) -> Tensor:
        """Fields (B, C, *S) before walls are held."""
        patches, strides = self.layout.patches(domain), self.layout.strides(domain)
        z = z.reshape(-1, math.prod(patches.grid), z.shape[-1]) * self.z_std + self.z_mean
        with torch.autocast(z.device.type, enabled=False):
            v = patches.join(z[..., : self.linear_dim] @ self.basis)
        v = v + self.head(torch.cat([patches.join(self.from_latent(z)), v], 1), domain)
        return deinterleaved(v, strides) * self._channelwise(self.u_std) + self._channelwise(self.u_mean)

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
            by = (self.layout.patches(domain).split(change) @ self.basis.T).view(*z.shape[:2], -1)
        exact, learnt = z[..., : self.linear_dim], z[..., self.linear_dim :]
        return torch.cat([exact - by / self.z_std[: self.linear_dim], learnt], -1), self._carried(v, u)

    def forward(self, u: Tensor, domain: Domain | None = None) -> Tensor:
        """decode(encode(u))."""
        return self.decode(self.encode(u, domain), domain)

    @torch.no_grad()
    def calibrate(self, u: Tensor) -> None:
        """Sets the latents' mean and deviation from training fields u (B, C, *S); decode(encode(u)) stays as it is."""
        z = self.encode(u) * self.z_std + self.z_mean
        self.z_mean.copy_(z.mean((0, 1)))
        self.z_std.copy_(z.std((0, 1)).clamp_min(1e-3))

    def in_deviations(self, u: Tensor) -> Tensor:
        """Fields (..., C, *S) over each channel's deviation, so that channels of any unit weigh alike in a norm."""
        return in_deviations(u, self.u_std, len(self.system.shape))

    def _carried(self, v: Tensor, u: Tensor) -> Tensor:
        """Fields v (B, C, *S) with the channels of u that never changed in training."""
        return v.where(self._channelwise(self.u_std) > 0, u)

    def _channelwise(self, buffer: Tensor) -> Tensor:
        return buffer.view(-1, *[1] * len(self.system.shape))
