"""The codec that compresses level by level, as the autoencoders of latent diffusion do: each level halves the grid.

    encoder   x <- block(linear(cells(x)) + average(cells(x)))
    decoder   x <- block(x),   x <- points(linear(x) + repeat(x))

`cells` puts the 2^d points of a cell side by side and `points` takes them apart again; `average` takes the mean of
neighbouring channels until as many are left as a level has, and `repeat` is its mirror: the shortcuts without weights
of deep compression autoencoders (arXiv 2410.10733), by which many levels learn as fast as one. A level has twice the
channels of the finer one before it. Blocks are those of a ConvNeXt (arXiv 2201.03545), and know the boundary.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from ups.core.blocks_pdet import Level, PDETransformerConfig
from ups.core.boundary import TokenConv
from ups.core.domain import Domain
from ups.core.patches import Patches
from ups.core.system import System
from ups.models.learnt_codec import LearntCodec

TAPS = 3
"""Points per axis of the convolutions at both ends: of cells of the field, and of latents."""
SHARE = 0.1
"""Size of what is learnt beside the exact part, so that its first steps do not undo that."""


class Hierarchical(LearntCodec):
    """Fields (B, C, *S) <-> a grid of S / f tokens of width D, by log2(f) levels.

    Args:
        system: Channels of the data, and the domain whose tokens fix the patches of all others.
        factor: Points f of each axis for a token, a power of two.
        dim: Width D of a token.
        width: Channels of the finest level.
        kernel: Points of the blocks' convolutions along each axis; odd.

    Attributes:
        fold: Channels of a cell for each channel of the level that it goes into.
        size: Deviation of the exact part of each number of a token over training data, (D,): its high modes are many
            times smaller than its means, and count no less.
    """

    size: Tensor

    def __init__(self, system: System, factor: int, dim: int, width: int = 32, kernel: int = 5):
        super().__init__(system, [-(-n // factor) for n in system.shape], dim)
        self.register_buffer("size", torch.ones(dim))
        channels, axes = len(system.channels), len(system.shape)
        cell = 2**axes
        self.fold = cell // 2
        widths = [width * 2**level for level in range(factor.bit_length() - 1)]
        self.from_field = TokenConv(cell * channels, widths[0], TAPS, axes, fields=True)
        self.down = nn.ModuleList(nn.Linear(cell * w, 2 * w) for w in widths[:-1])
        self.encoders = nn.ModuleList(_blocks(w, kernel, system.domain) for w in widths)
        self.to_latent = nn.Linear(widths[-1], dim)
        self.from_latent = TokenConv(dim, widths[-1], TAPS, axes)
        self.decoders = nn.ModuleList(_blocks(w, kernel, system.domain) for w in widths)
        self.up = nn.ModuleList(nn.Linear(2 * w, cell * w) for w in widths[:-1])
        self.beside = TokenConv(cell * channels, widths[0], TAPS, axes, fields=True)
        self.to_field = TokenConv(widths[0], cell * channels, TAPS, axes)
        for last in (self.to_latent, self.to_field.conv):
            for values in last.parameters():
                nn.init.zeros_(values)

    @torch.no_grad()
    def calibrate(self, u: Tensor) -> None:
        """As in `LearntCodec`; the first time, before anything is learnt, it also sets `size`."""
        if (self.size == 1).all():
            domain = self.layout.domain
            exact = self._exact(self._standardised(u, domain), domain)
            self.size[: self.linear_dim] = exact.std((0, 1)).clamp_min(1e-3)
        super().calibrate(u)

    def _correction(self, v: Tensor, domain: Domain) -> Tensor:
        grids = self._grids(domain)
        x = self.encoders[0](self.from_field(_cells(v.movedim(1, -1), grids[0], grids[1]), grids[1]), None, grids[1])
        for i, down in enumerate(self.down, start=1):
            x = _cells(x, grids[i], grids[i + 1])
            x = down(x) + x.unflatten(-1, (-1, self.fold)).mean(-1)
            x = self.encoders[i](x, None, grids[i + 1])
        return SHARE * self.size * self.to_latent(x).flatten(1, -2)

    def _detail(self, z: Tensor, v: Tensor, domain: Domain) -> Tensor:
        grids = self._grids(domain)
        x = self.from_latent((z / self.size).unflatten(1, grids[-1].shape), grids[-1])
        for i, up in reversed(list(enumerate(self.up, start=1))):
            x = self.decoders[i](x, None, grids[i + 1])
            x = up(x) + x.repeat_interleave(self.fold, -1)
            x = _points(x, grids[i], grids[i + 1])
        x = x + self.beside(_cells(v.movedim(1, -1), grids[0], grids[1]), grids[1])
        x = SHARE * self.to_field(self.decoders[0](x, None, grids[1]), grids[1])
        return _points(x, grids[0], grids[1]).movedim(-1, 1)

    def _grids(self, domain: Domain) -> list[Domain]:
        """One of the interleaved grids of a domain, and the coarser ones of each level, down to that of the tokens."""
        patches = self.layout.patches(domain)
        fine = replace(domain, shape=patches.shape, spacing=self.layout.domain.spacing)
        factors = [2**level for level in reversed(range(len(self.encoders) + 1))]
        sizes = [[min(n, f * g) for n, g in zip(patches.shape, patches.grid, strict=True)] for f in factors]
        return [fine.coarsened(size) for size in sizes]


def _blocks(width: int, kernel: int, domain: Domain) -> Level:
    """A block of a level, which nothing conditions."""
    shape = {"block": "convolution", "conv_taps": kernel, "filter_every": 0}
    return Level(PDETransformerConfig.model_validate(shape), width, 1, 0, domain, 0)


def _patches(fine: Domain, coarse: Domain) -> Patches:
    return Patches(fine.shape, coarse.shape, (2,) * fine.axes)


def _cells(x: Tensor, fine: Domain, coarse: Domain) -> Tensor:
    """(B, *S, W) -> (B, *G, 2^d W): the points of each cell side by side, channel by channel."""
    return _patches(fine, coarse).split(x.movedim(-1, 1)).unflatten(1, coarse.shape)


def _points(x: Tensor, fine: Domain, coarse: Domain) -> Tensor:
    """The inverse of `_cells`."""
    return _patches(fine, coarse).join(x.flatten(1, -2)).movedim(1, -1)
