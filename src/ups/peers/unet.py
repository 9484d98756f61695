"""A compact U-Net (arXiv 1505.04597) whose convolutions continue a field beyond the grid as its boundary says.

Means over two points go down, repeated points go up: on a periodic axis a shift by the coarsest stride shifts the
result.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ups.core.boundary import BoundaryConv, DomainSequential
from ups.core.domain import Domain
from ups.core.settings import Settings


class UNetSettings(Settings):
    """The U-Net.

    Good values: the defaults, 0.5 M weights in 1D and 1.5 M in 2D.
    """

    width: int = Field(default=36, ge=1)
    """Channels on the finest grid."""
    growth: tuple[int, ...] = (1, 2, 4, 4)
    """Channels of each grid, the finest first, in multiples of `width`; grids that do not halve evenly are left out."""


class UNet(nn.Module):
    """(B, channels_in, *S) on a domain -> (B, channels_out, *S).

    Args:
        settings: Its size.
        channels_in: Channels of the input.
        channels_out: Channels of the result.
        shape: Grid points S along 1, 2 or 3 axes of the training data, which decide how often grids are halved.
    """

    def __init__(
        self,
        settings: UNetSettings,
        channels_in: int,
        channels_out: int,
        shape: Sequence[int],
    ):
        super().__init__()
        levels = halvings(shape, len(settings.growth) - 1)
        widths = [settings.width * factor for factor in settings.growth[: levels + 1]]
        self.stride, self.axes = 2**levels, len(shape)
        self.down = nn.ModuleList(
            _layers(a, b, self.axes, fields=not n) for n, (a, b) in enumerate(pairwise([channels_in, *widths]))
        )
        self.up = nn.ModuleList(_layers(below + here, here, self.axes) for here, below in pairwise(widths))
        self.out = BoundaryConv(widths[0], channels_out, 1, self.axes)

    def forward(self, x: Tensor, domain: Domain) -> Tensor:
        pool = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[self.axes - 1]
        x = self.down[0](x, domain)
        skips: list[Tensor] = []
        for layers in self.down[1:]:
            skips.append(x)
            x = layers(pool(x, 2), domain)
        for layers, skip in zip(reversed(self.up), reversed(skips), strict=True):
            x = layers(torch.cat([F.interpolate(x, scale_factor=2.0, mode="nearest"), skip], 1), domain)
        return self.out(x, domain)


def halvings(shape: Sequence[int], most: int) -> int:
    """How often, up to `most` times, every axis of a grid halves evenly."""
    return max(n for n in range(most + 1) if all(s % 2**n == 0 for s in shape))


def _layers(channels_in: int, channels_out: int, axes: int, fields: bool = False) -> DomainSequential:
    """Two convolutions of 3 points along each axis, the first of physical `fields` or of features."""
    return DomainSequential(
        BoundaryConv(channels_in, channels_out, 3, axes, fields),
        nn.GroupNorm(1, channels_out),
        nn.GELU(),
        BoundaryConv(channels_out, channels_out, 3, axes),
        nn.GroupNorm(1, channels_out),
        nn.GELU(),
    )
