"""What the codecs that learn have in common: an exact part, and what is learnt beside it.

    z = (P E(u) + c(u) - m) / s          u = E^T z' + h(z'),   z' = z s + m

u is standardised per channel; P cuts it into patches and E keeps the lowest cosine modes of each (all of them where
the latent has room). c and h start at zero, so a codec starts as a truncated cosine transform, and with room as an
exactly invertible map. m and s are the latents' mean and deviation over training data.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from ups.core.domain import Domain
from ups.core.system import System
from ups.models.grid_codec import GridCodec


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


class LearntCodec(GridCodec, ABC):
    """A codec of tokens of `dim` numbers; a subclass says what it learns: `_correction` and `_detail`.

    Args:
        system: Channels of the data, and the domain whose tokens fix the patches of all others.
        grid: Tokens per axis on it.
        dim: Width D of a token.
    """

    basis: Tensor
    z_mean: Tensor
    z_std: Tensor
    exact = False

    def __init__(self, system: System, grid: Sequence[int], dim: int):
        super().__init__(system, grid)
        channels, points = len(system.channels), math.prod(self.layout.sides)
        self.dim, self.linear_dim = dim, min(dim, channels * points)
        self.register_buffer("basis", cosine_basis(channels, self.layout.sides, self.linear_dim), persistent=False)
        self.register_buffer("z_mean", torch.zeros(dim))
        self.register_buffer("z_std", torch.ones(dim))

    @torch.no_grad()
    def calibrate(self, u: Tensor) -> None:
        """Sets the latents' mean and deviation from training fields u (B, C, *S); decode(encode(u)) stays as it is."""
        z = self.encode(u) * self.z_std + self.z_mean
        self.z_mean.copy_(z.mean((0, 1)))
        self.z_std.copy_(z.std((0, 1)).clamp_min(1e-3))

    @abstractmethod
    def _correction(self, v: Tensor, domain: Domain) -> Tensor:
        """c: standardised fields (B, C, *S) -> (B, N, D)."""

    @abstractmethod
    def _detail(self, z: Tensor, v: Tensor, domain: Domain) -> Tensor:
        """h: latents (B, N, D), and the fields v (B, C, *S) of their exact part -> (B, C, *S)."""

    def _exact(self, v: Tensor, domain: Domain) -> Tensor:
        """The cosine modes of standardised fields (B, C, *S), (B, N, linear_dim)."""
        with torch.autocast(v.device.type, enabled=False):
            return self.layout.patches(domain).split(v) @ self.basis.T

    def _tokens(self, v: Tensor, domain: Domain) -> Tensor:
        z, exact = self._correction(v, domain), self._exact(v, domain)
        z = torch.cat([z[..., : self.linear_dim] + exact, z[..., self.linear_dim :]], -1)
        return (z - self.z_mean) / self.z_std

    def _fields(self, z: Tensor, domain: Domain) -> Tensor:
        z = z * self.z_std + self.z_mean
        with torch.autocast(z.device.type, enabled=False):
            v = self.layout.patches(domain).join(z[..., : self.linear_dim] @ self.basis)
        return v + self._detail(z, v, domain)

    def _moved(self, z: Tensor, change: Tensor) -> Tensor:
        exact, learnt, by = z[..., : self.linear_dim], z[..., self.linear_dim :], change @ self.basis.T
        return torch.cat([exact - by.view(*z.shape[:2], -1) / self.z_std[: self.linear_dim], learnt], -1)
