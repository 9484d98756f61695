"""Power spectra in radial shells of integer wavenumbers, in 1, 2 or 3 axes."""

from functools import lru_cache

import torch
from torch import Tensor

from ups.core.deviations import NEGLIGIBLE

SPECTRUM_FLOOR = 1e-10
"""Share of the truth's total power added to both spectra before the logarithm: float32 round-off lies below it."""

BANDS = {"low": (0, 4), "mid": (4, 12), "high": (12, None)}
"""Wavenumber bands of fRMSE and of energies: first, and one past the last, shell."""


@lru_cache(maxsize=16)
def shells(shape: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Radial shells `k <= abs(wavenumber) < k + 1` of the half-spectrum of a real field on a grid `shape`.

    Wavenumbers are whole periods over each axis. Returns, on the CPU: the shell of every mode of `rfftn` (flattened),
    the weight of that mode (2 where its complex conjugate is not stored, else 1), and the weighted mode count `(K,)`.
    """
    *full, last = shape
    half = last // 2 + 1
    axes = [torch.fft.fftfreq(n, 1.0 / n, dtype=torch.float64) for n in full] + [torch.arange(half).double()]
    radius = torch.stack(torch.meshgrid(*axes, indexing="ij")).square().sum(dim=0).sqrt()
    shell = (radius + 1e-9).floor().long().flatten()
    weight = torch.full((half,), 2.0, dtype=torch.float64)
    weight[0] = 1.0
    if last % 2 == 0:
        weight[-1] = 1.0
    weight = weight.expand(*full, half).flatten()
    count = torch.zeros(int(shell.max()) + 1, dtype=torch.float64).index_add(0, shell, weight)
    return shell, weight, count


def power_spectrum(field: Tensor, axes: int) -> Tensor:
    """Power per radial shell of the last `axes` axes, `(..., *S) -> (..., K)`; its sum over K is the mean of `u^2`.

    `E_k = sum over modes of shell k of abs(F(u) / N)^2`, N points, both halves of the spectrum counted (Parseval).
    """
    shape = tuple(field.shape[-axes:])
    shell, weight, count = (part.to(field.device) for part in shells(shape))
    modes = torch.fft.rfftn(field, dim=tuple(range(-axes, 0)), norm="forward").flatten(-axes)
    power = (modes.real.square() + modes.imag.square()) * weight
    return power.new_zeros(*power.shape[:-1], len(count)).index_add(-1, shell, power)


def spectrum_error(truth_power: Tensor, power: Tensor) -> Tensor:
    """RMS over wavenumbers of `log10(E_v / E_u)`: `(..., K), (..., K) -> (...)` in decades, 0 is perfect.

    Average the powers, of fields in sigma, over samples and members first. Both spectra are raised by `SPECTRUM_FLOOR`
    of the truth's power, or of `NEGLIGIBLE` squared where that is larger.
    """
    floor = SPECTRUM_FLOOR * truth_power.sum(dim=-1, keepdim=True).clamp_min(NEGLIGIBLE**2)
    return ((power + floor) / (truth_power + floor)).log10().square().mean(dim=-1).sqrt()


def band_energy(power: Tensor) -> Tensor:
    """Energy in each of `BANDS`, `(..., K) -> (..., len(BANDS))`; NaN in a band that the grid is too coarse to hold."""
    bands = [power[..., first:stop] for first, stop in BANDS.values()]
    return torch.stack([b.sum(dim=-1) if b.shape[-1] else b.sum(dim=-1) + torch.nan for b in bands], dim=-1)
