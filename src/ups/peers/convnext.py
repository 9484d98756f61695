"""A U-shaped network of ConvNeXt blocks (arXiv 2201.03545), as the CNextU-Net of The Well (arXiv 2412.00568).

    x <- x + mlp(norm(conv(x)))          conv: depthwise; norm: LayerNorm; mlp: two layers with a GELU between them

Points of a cell become channels before the first layer and on the way down, channels become points on the way up: on a
periodic axis a shift by the coarsest stride shifts the result. The last layer is zero at initialisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ups.core.boundary import TokenConv
from ups.core.domain import Domain
from ups.core.settings import Settings, require_all
from ups.peers.unet import halvings


class ConvNeXtSettings(Settings):
    """The ConvNeXt U-Net.

    Good values: the defaults, 0.1 M weights in 1D and 0.3 M in 2D; `taps` 7 where rates of change are steep.
    """

    width: int = Field(default=32, ge=1)
    """Channels on the finest grid."""
    growth: tuple[int, ...] = (1, 2, 4)
    """Channels of each grid, the finest first, in multiples of `width`; grids that do not halve evenly are left out."""
    depths: tuple[int, ...] = (1, 1, 2)
    """Blocks on each of these grids, down and up again; on the coarsest once."""
    taps: int = Field(default=5, ge=1)
    """Points along each axis that a depthwise convolution sees; odd."""
    mlp_ratio: int = Field(default=2, ge=1)
    """Width inside a block relative to its channels."""
    unshuffle: int | None = Field(default=None, ge=1)
    """Points along each axis that become channels before the first layer, as many as divide the grid; unless given 1 in
    1D and 2 beyond."""

    @model_validator(mode="after")
    def _consistent(self) -> ConvNeXtSettings:
        levels, depths = len(self.growth), list(self.depths)
        require_all(
            {
                f"depths must be {levels} counts, one for each grid of growth, found {depths}": len(depths) != levels,
                f"taps must be odd, found {self.taps}": self.taps % 2 == 0,
            }
        )
        return self


class ConvNeXt(nn.Module):
    """(B, channels_in, *S) on a domain -> (B, channels_out, *S); zero at initialisation.

    Args:
        settings: Its size.
        channels_in: Channels of the input.
        channels_out: Channels of the result.
        shape: Grid points S along 1, 2 or 3 axes of the training data, which decide how often grids are halved.
    """

    def __init__(self, settings: ConvNeXtSettings, channels_in: int, channels_out: int, shape: Sequence[int]):
        super().__init__()
        axes = len(shape)
        wanted = settings.unshuffle or min(axes, 2)
        self.cell = wanted if all(s % wanted == 0 for s in shape) else 1
        levels = halvings([s // self.cell for s in shape], len(settings.growth) - 1)
        widths = [settings.width * factor for factor in settings.growth[: levels + 1]]
        sizes = list(zip(widths, settings.depths, strict=False))
        self.stride = self.cell * 2**levels
        self.stem = TokenConv(channels_in * self.cell**axes, widths[0], 3, axes, fields=True)
        self.down = nn.ModuleList(_Blocks(settings, width, depth, axes) for width, depth in sizes)
        self.up = nn.ModuleList(_Blocks(settings, width, depth, axes) for width, depth in sizes[:-1])
        self.coarser = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(2**axes * here), nn.Linear(2**axes * here, below))
            for here, below in pairwise(widths)
        )
        self.finer = nn.ModuleList(nn.Linear(below, 2**axes * here) for here, below in pairwise(widths))
        self.skip = nn.ModuleList(nn.Linear(2 * here, here) for here in widths[:-1])
        self.norm = nn.LayerNorm(widths[0])
        self.head = TokenConv(widths[0], channels_out * self.cell**axes, 3, axes)
        for values in self.head.parameters():
            nn.init.zeros_(values)

    def forward(self, x: Tensor, domain: Domain) -> Tensor:
        x, grid = gathered(x.movedim(1, -1), self.cell), _coarsened(domain, self.cell)
        x = self.down[0](self.stem(x, grid), grid)
        finer: list[tuple[Tensor, Domain]] = []
        for coarser, blocks in zip(self.coarser, self.down[1:], strict=True):
            finer.append((x, grid))
            grid = _coarsened(grid, 2)
            x = blocks(coarser(gathered(x, 2)), grid)
        for level in reversed(range(len(finer))):
            across, grid = finer[level]
            x = self.skip[level](torch.cat([spread(self.finer[level](x), 2), across], -1))
            x = self.up[level](x, grid)
        return spread(self.head(self.norm(x), grid), self.cell).movedim(-1, 1)


class _Blocks(nn.ModuleList):
    """Blocks on one grid, (B, *S, D) -> (B, *S, D)."""

    def __init__(self, settings: ConvNeXtSettings, width: int, depth: int, axes: int):
        super().__init__(ConvNeXtBlock(width, settings.taps, settings.mlp_ratio, axes) for _ in range(depth))

    def forward(self, x: Tensor, domain: Domain) -> Tensor:
        for block in self:
            x = block(x, domain)
        return x


class ConvNeXtBlock(nn.Module):
    """(B, *S, D) on a domain -> (B, *S, D)."""

    def __init__(self, dim: int, taps: int, ratio: int, axes: int):
        super().__init__()
        self.conv = TokenConv(dim, dim, taps, axes, depthwise=True)
        self.mlp = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, ratio * dim), nn.GELU(), nn.Linear(ratio * dim, dim))

    def forward(self, x: Tensor, domain: Domain) -> Tensor:
        return x + self.mlp(self.conv(x, domain))


def gathered(x: Tensor, factor: int) -> Tensor:
    """(B, *S, D) -> (B, *S / factor, factor^d D): the points of a cell become channels."""
    d = x.ndim - 2
    for axis in range(d):
        x = x.unflatten(1 + 2 * axis, (-1, factor))
    return x.permute(0, *(1 + 2 * i for i in range(d)), *(2 + 2 * i for i in range(d)), -1).flatten(1 + d)


def spread(x: Tensor, factor: int) -> Tensor:
    """The inverse of `gathered`."""
    d = x.ndim - 2
    x = x.unflatten(-1, (*[factor] * d, -1)).permute(0, *(i for axis in range(d) for i in (1 + axis, 1 + d + axis)), -1)
    for axis in range(d):
        x = x.flatten(1 + axis, 2 + axis)
    return x


def _coarsened(domain: Domain, factor: int) -> Domain:
    return domain.coarsened([n // factor for n in domain.shape])
