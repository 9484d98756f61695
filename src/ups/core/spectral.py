"""Mixing of tokens in Fourier space: a learned matrix over the channels for each of the lowest frequencies.

y = F^-1( R_k F(x)_k ), |k| < modes (Fourier neural operator, arXiv 2010.08895). Axes that are not periodic are mirrored
first, so no jump at their ends rings through the field. Along the last axis only the kept frequencies are computed, by
a product with cosines and sines: cheaper than a full FFT for the few tokens of an axis, and no complex numbers in 1D.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ups.core.boundary import mirror


class SpectralMixing(nn.Module):
    """(B, *G, D) -> (B, *G, D), global in space.

    Args:
        dim: Width D.
        grid: Tokens per axis, G.
        boundary: Boundary kind per axis.
        modes: Frequencies kept per axis, at most the Nyquist frequency.
    """

    analysis: Tensor
    synthesis: Tensor

    def __init__(self, dim: int, grid: Sequence[int], boundary: Sequence[str], modes: int):
        super().__init__()
        self.boundary, self.grid = tuple(boundary), tuple(grid)
        self.length = tuple(g if k == "periodic" else 2 * g for g, k in zip(grid, boundary, strict=True))
        self.kept = tuple(min(modes, n // 2 + 1) for n in self.length)
        rows = []
        for axis, (kept, n) in enumerate(zip(self.kept[:-1], self.length[:-1], strict=True)):
            k = torch.arange(kept)
            low = torch.unique(torch.cat([k, (-k) % n]))
            self.register_buffer(f"_low{axis}", low, persistent=False)
            rows.append(len(low))
        self.rows = (*rows, self.kept[-1])
        self.weight = nn.Parameter(torch.randn(*self.rows, dim, 2 * dim) / dim / 2**0.5)
        k, n = torch.arange(self.kept[-1], dtype=torch.double), self.length[-1]
        angle = 2 * math.pi / n * torch.outer(k, torch.arange(n, dtype=torch.double))
        waves = torch.cat([angle.cos(), -angle.sin()])
        twice = torch.where((k == 0) | (2 * k == n), 1.0, 2.0).repeat(2)
        self.register_buffer("analysis", waves.float(), persistent=False)
        self.register_buffer("synthesis", (waves.T * twice / n).float().contiguous(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            y = self._from_pairs(self._mixed(self._to_pairs(mirror(x, self.boundary, 1).float())))
        for axis, g in enumerate(self.grid, start=1):
            y = y.narrow(axis, 0, g)
        return y.to(x.dtype)

    def _to_pairs(self, x: Tensor) -> Tensor:
        """Real and imaginary parts of the kept frequencies: (B, *L, D) -> (2, B, *K, D)."""
        pairs = (self.analysis @ x).unflatten(-2, (2, -1)).movedim(-3, 0)
        others = tuple(range(1, len(self.grid)))
        if not others:
            return pairs
        spectrum = torch.fft.fftn(torch.complex(*pairs), dim=others)
        for axis in others:
            spectrum = spectrum.index_select(axis, self.get_buffer(f"_low{axis - 1}"))
        return torch.stack([spectrum.real, spectrum.imag])

    def _mixed(self, pairs: Tensor) -> Tensor:
        """The complex product with the weight (real part, imaginary part side by side) of each frequency."""
        shape, dim = pairs.shape, pairs.shape[-1]
        flat = pairs.flatten(2, -2).permute(2, 0, 1, 3).flatten(1, 2)
        products = torch.bmm(flat, self.weight.float().flatten(0, -3)).unflatten(1, shape[:2]).unflatten(-1, (2, dim))
        (a, b), (c, d) = (products[:, part].unbind(-2) for part in (0, 1))
        return torch.stack([a - d, b + c]).transpose(1, 2).view(shape)

    def _from_pairs(self, pairs: Tensor) -> Tensor:
        """The inverse of `_to_pairs`, with 0 at the frequencies that were not kept."""
        others = tuple(range(1, len(self.grid)))
        if others:
            spectrum = torch.complex(*pairs)
            for axis in others:
                size = [*spectrum.shape[:axis], self.length[axis - 1], *spectrum.shape[axis + 1 :]]
                spectrum = spectrum.new_zeros(size).index_copy(axis, self.get_buffer(f"_low{axis - 1}"), spectrum)
            spectrum = torch.fft.ifftn(spectrum, dim=others)
            pairs = torch.stack([spectrum.real, spectrum.imag])
        return self.synthesis @ pairs.movedim(0, -3).flatten(-3, -2)
