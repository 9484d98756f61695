"""Mixing of tokens in Fourier space, by a matrix over the channels or by a number for each channel.

y = F^-1( R_k F(x)_k ), |k| < modes (Fourier neural operator, arXiv 2010.08895). Axes that are not periodic are mirrored
first, so no jump at their ends rings through the field. For the matrices only the kept frequencies of the last axis are
computed, by a product with cosines and sines: cheaper than a full FFT for few frequencies, and no complex numbers in
1D. A filter keeps all frequencies, like the exact propagator of a linear equation, so it takes the FFT.
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


class _Frequencies(nn.Module):
    """Weights of the lowest frequencies of a grid of tokens, which serve grids of another length too.

    Args:
        tokens: The tokens of the training data; on a domain of another length weights lie between those of its
            frequencies.
        modes: Frequencies kept per axis, at most the Nyquist frequency, which is also the default.
        shape: Numbers for each frequency, after the axes of the frequencies.
    """

    weight: nn.Parameter

    def __init__(self, tokens: Domain, modes: int | None, *shape: int):
        super().__init__()
        self.length = _lengths(tokens)
        self.kept = tuple(min(modes or n, n // 2 + 1) for n in self.length)
        rows = [k + min(k - 1, n - k) for n, k in zip(self.length[:-1], self.kept[:-1], strict=True)]
        self.weight = nn.Parameter(torch.zeros(*rows, self.kept[-1], *shape))

    def on(self, tokens: Domain) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Points per axis of the periodic field, and the frequencies kept of them."""
        length = _lengths(tokens)
        known = zip(length, self.length, self.kept, strict=True)
        return length, tuple(min((k - 1) * n // m + 1, n // 2 + 1) for n, m, k in known)

    def weights(self, length: tuple[int, ...], kept: tuple[int, ...]) -> Tensor:
        """The weights on a field of so many points, float32."""
        weight = self.weight.float()
        for axis, (n, k, known, learnt) in enumerate(zip(length, kept, self.length, self.kept, strict=True)):
            if n != known:
                matrix = _between(n, k, known, learnt, axis < len(length) - 1, weight.device)
                weight = (weight.movedim(axis, -1) @ matrix.T).movedim(-1, axis)
        return weight


class SpectralFilter(_Frequencies):
    """(B, *G, D) on a grid of tokens -> (B, *G, D): every channel times a complex number at every frequency, without
    mixing of channels. Beyond the frequencies of the training data it adds nothing; zero at initialisation.

    Args:
        dim: Width D.
        tokens, modes: As in `_Frequencies`.
    """

    def __init__(self, dim: int, tokens: Domain, modes: int | None = None):
        super().__init__(tokens, modes, 2, dim)

    def forward(self, x: Tensor, tokens: Domain) -> Tensor:
        length, kept = self.on(tokens)
        with torch.autocast(x.device.type, enabled=False):
            real, imaginary = self.weights(length, kept).unbind(-2)
            weight = _filled(torch.complex(real, imaginary), length, kept).movedim(-1, 0)
            axes = tuple(range(2, 2 + len(length)))
            wide = mirror(x, tokens.boundary, 1).float().movedim(-1, 1)
            y = torch.fft.irfftn(torch.fft.rfftn(wide, dim=axes) * weight, s=length, dim=axes)
        return _within(y.movedim(1, -1), tokens).to(x.dtype)


def _filled(weight: Tensor, length: tuple[int, ...], kept: tuple[int, ...]) -> Tensor:
    """Complex weights (*K, D) of the kept frequencies with 0 at all others, in the layout of `rfftn`."""
    for axis, (n, k) in enumerate(zip(length, kept, strict=True)):
        size = n if axis < len(length) - 1 else n // 2 + 1
        if k < n // 2 + 1:
            low = _low(n, k, weight.device) if size == n else torch.arange(k, device=weight.device)
            shape = [*weight.shape[:axis], size, *weight.shape[axis + 1 :]]
            weight = weight.new_zeros(shape).index_copy(axis, low, weight)
    return weight


class SpectralMixing(_Frequencies):
    """(B, *G, D) on a grid of tokens -> (B, *G, D), global in space: a matrix for each of the lowest frequencies.

    Args:
        dim: Width D.
        tokens, modes: As in `_Frequencies`.
    """

    def __init__(self, dim: int, tokens: Domain, modes: int):
        super().__init__(tokens, modes, dim, 2 * dim)
        with torch.no_grad():
            self.weight.copy_(torch.randn_like(self.weight) / dim / 2**0.5)

    def forward(self, x: Tensor, tokens: Domain) -> Tensor:
        length, kept = self.on(tokens)
        with torch.autocast(x.device.type, enabled=False):
            pairs = self._to_pairs(mirror(x, tokens.boundary, 1).float(), length, kept)
            y = self._from_pairs(self._mixed(pairs, self.weights(length, kept)), length, kept)
        return _within(y, tokens).to(x.dtype)

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


def _within(y: Tensor, tokens: Domain) -> Tensor:
    """(B, *L, D) on axes that may have been mirrored -> (B, *G, D) on the tokens."""
    for axis, g in enumerate(tokens.shape, start=1):
        y = y.narrow(axis, 0, g)
    return y


def _lengths(tokens: Domain) -> tuple[int, ...]:
    """Points per axis of the field that is periodic: twice those of an axis that has to be mirrored."""
    return tuple(n if kind == "periodic" else 2 * n for n, kind in zip(tokens.shape, tokens.boundary, strict=True))
