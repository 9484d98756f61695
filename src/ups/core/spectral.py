"""Mixing of tokens in Fourier space: a learned matrix over the channels for each of the lowest frequencies.

y = F^-1( R_k F(x)_k ), |k| < modes (Fourier neural operator, arXiv 2010.08895). Axes that are not periodic are mirrored
first, so no jump at their ends rings through the field. Along the last axis only the kept frequencies are computed, by
a product with cosines and sines: cheaper than a full FFT for the few tokens of an axis, and no complex numbers in 1D.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ups.core.boundary import mirror
from ups.core.domain import Domain
from ups.core.tables import table


@table
def _low(n: int, kept: int, device: torch.device) -> Tensor:
    """Where the lowest frequencies, positive and negative, stand in the FFT of n points."""
    last = max(kept, n - kept + 1)  # the Nyquist frequency stands once
    return torch.cat([torch.arange(kept, device=device), torch.arange(last, n, device=device)])


@table
def _waves(n: int, kept: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """From n points to the real and imaginary parts of the lowest frequencies, (2 K, n), and back, (n, 2 K)."""
    exact = torch.device("cpu") if device.type == "mps" else device  # which knows no double precision
    k, x = (torch.arange(count, dtype=torch.double, device=exact) for count in (kept, n))
    angle = 2 * math.pi / n * torch.outer(k, x)
    waves = torch.cat([angle.cos(), -angle.sin()])
    twice = torch.where((k == 0) | (2 * k == n), 1.0, 2.0).repeat(2)
    return waves.float().to(device), (waves.T * twice / n).float().contiguous().to(device)


@table
def _between(n: int, kept: int, known: int, learnt: int, signed: bool, device: torch.device) -> Tensor:
    """The weights of the frequencies of n points, by linear interpolation between those learnt on `known` points.

    Returns:
        (frequencies kept on n points, frequencies learnt), in the order of `_low` where they are signed.
    """
    here = _low(n, kept, torch.device("cpu")) if signed else torch.arange(kept)
    there = _low(known, learnt, torch.device("cpu")) if signed else torch.arange(learnt)
    k = torch.where(2 * here > n, here - n, here).double() * known / n
    matrix = torch.zeros(len(here), len(there), dtype=torch.double)
    for below, share in ((k.floor(), 1 - (k - k.floor())), (k.floor() + 1, k - k.floor())):
        place = torch.searchsorted(there, (below.long() % known).contiguous()).clamp_max(len(there) - 1)
        matrix[torch.arange(len(here)), place] += share
    return matrix.float().to(device)


class SpectralMixing(nn.Module):
    """(B, *G, D) on a grid of tokens -> (B, *G, D), global in space.

    Args:
        dim: Width D.
        tokens: The tokens of the training data; on a domain of another length weights lie between those of its
            frequencies.
        modes: Frequencies kept per axis, at most the Nyquist frequency.
    """

    def __init__(self, dim: int, tokens: Domain, modes: int):
        super().__init__()
        self.length = _lengths(tokens)
        self.kept = tuple(min(modes, n // 2 + 1) for n in self.length)
        cpu = torch.device("cpu")
        rows = [len(_low(n, k, cpu)) for n, k in zip(self.length[:-1], self.kept[:-1], strict=True)]
        self.weight = nn.Parameter(torch.randn(*rows, self.kept[-1], dim, 2 * dim) / dim / 2**0.5)

    def forward(self, x: Tensor, tokens: Domain) -> Tensor:
        length = _lengths(tokens)
        known = zip(length, self.length, self.kept, strict=True)
        kept = tuple(min((k - 1) * n // m + 1, n // 2 + 1) for n, m, k in known)
        with torch.autocast(x.device.type, enabled=False):
            pairs = self._to_pairs(mirror(x, tokens.boundary, 1).float(), length, kept)
            y = self._from_pairs(self._mixed(pairs, self._weights(length, kept)), length, kept)
        for axis, g in enumerate(tokens.shape, start=1):
            y = y.narrow(axis, 0, g)
        return y.to(x.dtype)

    def _weights(self, length: tuple[int, ...], kept: tuple[int, ...]) -> Tensor:
        weight = self.weight.float()
        for axis, (n, k, known, learnt) in enumerate(zip(length, kept, self.length, self.kept, strict=True)):
            if n != known:
                matrix = _between(n, k, known, learnt, axis < len(length) - 1, weight.device)
                weight = (matrix @ weight.movedim(axis, -2)).movedim(-2, axis)
        return weight

    def _to_pairs(self, x: Tensor, length: tuple[int, ...], kept: tuple[int, ...]) -> Tensor:
        """Real and imaginary parts of the kept frequencies: (B, *L, D) -> (2, B, *K, D)."""
        pairs = (_waves(length[-1], kept[-1], x.device)[0] @ x).unflatten(-2, (2, -1)).movedim(-3, 0)
        others = tuple(range(1, len(length)))
        if not others:
            return pairs
        spectrum = torch.fft.fftn(torch.complex(*pairs), dim=others)
        for axis in others:
            spectrum = spectrum.index_select(axis, _low(length[axis - 1], kept[axis - 1], x.device))
        return torch.stack([spectrum.real, spectrum.imag])

    def _mixed(self, pairs: Tensor, weight: Tensor) -> Tensor:
        """The complex product with the weight (real part, imaginary part side by side) of each frequency."""
        shape, dim = pairs.shape, pairs.shape[-1]
        flat = pairs.flatten(2, -2).permute(2, 0, 1, 3).flatten(1, 2)
        products = torch.bmm(flat, weight.flatten(0, -3)).unflatten(1, shape[:2]).unflatten(-1, (2, dim))
        (a, b), (c, d) = (products[:, part].unbind(-2) for part in (0, 1))
        return torch.stack([a - d, b + c]).transpose(1, 2).view(shape)

    def _from_pairs(self, pairs: Tensor, length: tuple[int, ...], kept: tuple[int, ...]) -> Tensor:
        """The inverse of `_to_pairs`, with 0 at the frequencies that were not kept."""
        others = tuple(range(1, len(length)))
        if others:
            spectrum = torch.complex(*pairs)
            for axis in others:
                n, low = length[axis - 1], _low(length[axis - 1], kept[axis - 1], pairs.device)
                size = [*spectrum.shape[:axis], n, *spectrum.shape[axis + 1 :]]
                spectrum = spectrum.new_zeros(size).index_copy(axis, low, spectrum)
            spectrum = torch.fft.ifftn(spectrum, dim=others)
            pairs = torch.stack([spectrum.real, spectrum.imag])
        return _waves(length[-1], kept[-1], pairs.device)[1] @ pairs.movedim(0, -3).flatten(-3, -2)


def _lengths(tokens: Domain) -> tuple[int, ...]:
    """Points per axis of the field that is periodic: twice those of an axis that has to be mirrored."""
    return tuple(n if kind == "periodic" else 2 * n for n, kind in zip(tokens.shape, tokens.boundary, strict=True))
