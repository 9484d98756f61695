"""Mixing of tokens in Fourier space: a learned matrix over the channels for each of the lowest frequencies.

y = F^-1( R_k F(x)_k ), |k| < modes (Fourier neural operator, arXiv 2010.08895). Axes that are not periodic
are mirrored first, so no jump at their ends rings through the field.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ups.core.boundary import mirror


class SpectralMixing(nn.Module):
    """(B, *G, D) -> (B, *G, D), global in space at the cost of an FFT.

    Args:
        dim: Width D.
        grid: Tokens per axis, G.
        boundary: Boundary kind per axis.
        modes: Frequencies kept per axis, at most the Nyquist frequency.
    """

    def __init__(self, dim: int, grid: Sequence[int], boundary: Sequence[str], modes: int):
        super().__init__()
        self.boundary, self.grid = tuple(boundary), tuple(grid)
        self.length = tuple(g if k == "periodic" else 2 * g for g, k in zip(grid, boundary, strict=True))
        self.kept = tuple(min(modes, n // 2 + 1) for n in self.length)
        rows = tuple(
            n if axis == len(grid) - 1 else min(2 * n - 1, size)
            for axis, (n, size) in enumerate(zip(self.kept, self.length, strict=True))
        )
        self.weight = nn.Parameter(torch.randn(*rows, dim, dim, 2) / dim / 2**0.5)

    def _low(self, axis: int, device: torch.device) -> Tensor:
        """Indices of the kept frequencies of an axis in FFT order; the last axis has no negative ones."""
        kept, n = self.kept[axis], self.length[axis]
        k = torch.arange(kept, device=device)
        return k if axis == len(self.grid) - 1 else torch.unique(torch.cat([k, (-k) % n]))

    def forward(self, x: Tensor) -> Tensor:
        axes = tuple(range(1, 1 + len(self.grid)))
        spectrum = torch.fft.rfftn(mirror(x, self.boundary, 1).float(), dim=axes)
        low = spectrum
        for axis in axes:
            low = low.index_select(axis, self._low(axis - 1, x.device))
        flat = low.flatten(1, len(axes)).transpose(0, 1)
        weight = torch.view_as_complex(self.weight.float()).flatten(0, len(axes) - 1)
        mixed = torch.bmm(flat, weight).transpose(0, 1).unflatten(1, low.shape[1:-1])
        for axis in reversed(axes):
            full = mixed.new_zeros([*mixed.shape[:axis], spectrum.shape[axis], *mixed.shape[axis + 1 :]])
            mixed = full.index_copy(axis, self._low(axis - 1, x.device), mixed)
        y = torch.fft.irfftn(mixed, s=self.length, dim=axes)
        for axis, g in zip(axes, self.grid, strict=True):
            y = y.narrow(axis, 0, g)
        return y.to(x.dtype)
