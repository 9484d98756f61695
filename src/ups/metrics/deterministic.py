"""Errors of one forecast `v` against the truth `u`, both `(n, T, C, *S)`, in units of sigma, the deviation of each
channel over the training split: no score depends on the units of the data, and channels of any unit weigh alike.

Channels that never change in training (sigma 0) are left out. A ratio that a vanishing field would make infinite is
taken to at least `NEGLIGIBLE` sigma; `nrmse_pdebench` and `vrmse_well` are PDEBench's (arXiv 2210.07182, appendix B)
and The Well's (arXiv 2412.00568) own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ups.core.deviations import NEGLIGIBLE
from ups.metrics.spectra import BANDS, power_spectrum, shells
from ups.metrics.statistics import FrameStatistics, mean_over_grid, scored_channels

ROUND_OFF = 1e-6
"""Deviation over the grid, in sigma, that float32 alone can make."""


@dataclass(frozen=True)
class FieldErrors(FrameStatistics):
    """Statistics per trajectory, frame and channel, `(n, T, C)` float64 unless noted, of u and v in units of sigma;
    means are over the grid."""

    square: Tensor
    """`mean_x (v - u)^2`"""
    absolute: Tensor
    """`mean_x abs(v - u)`"""
    maximum: Tensor
    """`max_x abs(v - u)`"""
    bias: Tensor
    """`mean_x v - mean_x u`"""
    boundary: Tensor
    """mean of `(v - u)^2` over the first and last points of every axis"""
    truth_square: Tensor
    """`mean_x u^2`"""
    truth_variance: Tensor
    """unbiased variance of u over the grid"""
    vrmse_well: Tensor
    """`sqrt(mean_x (v-u)^2) / sqrt(var_x(u) + 1e-7)` of the physical values"""
    correlation: Tensor
    """Pearson correlation of u and v over the grid"""
    shells: Tensor
    """`(n, T, C, K)`: mean of `abs(F(v - u) / N)^2` over the modes of each radial shell, NaN where a shell is empty"""


def compare(truth: Tensor, prediction: Tensor, std: Tensor | Sequence[float]) -> FieldErrors:
    """Statistics of a forecast of the truth.

    Args:
        truth: `(n, T, C, *S)`, physical, scored frames only.
        prediction: The same shape and units.
        std: Sigma of each channel, `(C,)` (`Statistics.std`); 1 keeps a channel's units, 0 leaves it out.

    Raises:
        ValueError: The shapes differ or have no grid axis, or `std` does not fit.
    """
    if truth.shape != prediction.shape or truth.ndim < 4:
        raise ValueError(f"expected two tensors (n, T, C, *S), got {tuple(truth.shape)} and {tuple(prediction.shape)}")
    u, v = (scored_channels(x.double(), std, 2) for x in (truth, prediction))
    error, shape = v - u, tuple(u.shape[3:])
    variance, size = u.flatten(3).var(dim=-1), _squared_unit(std, u)
    count = shells(shape)[2].to(u.device)
    return FieldErrors(
        square=mean_over_grid(error.square(), 3),
        absolute=mean_over_grid(error.abs(), 3),
        maximum=error.abs().flatten(3).amax(dim=-1),
        bias=mean_over_grid(error, 3),
        boundary=error.square()[..., _boundary_points(shape).to(u.device)].mean(dim=-1),
        truth_square=mean_over_grid(u.square(), 3),
        truth_variance=variance,
        vrmse_well=(mean_over_grid(error.square(), 3) * size / (variance * size + 1e-7)).sqrt(),
        correlation=_correlation(u.flatten(3), v.flatten(3)),
        shells=power_spectrum(error, len(shape)) / count.where(count > 0, torch.nan),
    )


def nrmse(errors: FieldErrors) -> Tensor:
    """`sqrt(mean_x (v-u)^2) / max(sqrt(mean_x u^2), 0.01 sigma)` per trajectory, frame and channel, then the mean."""
    return _ratio(errors).mean()


def nrmse_pdebench(errors: FieldErrors) -> Tensor:
    """PDEBench's: `sqrt(mean_x (v-u)^2) / sqrt(mean_x u^2)`, averaged as `nrmse`; infinite where a field vanishes."""
    return (errors.square.sqrt() / errors.truth_square.sqrt()).mean()


def nrmse_per_frame(errors: FieldErrors) -> Tensor:
    """The nRMSE of every frame, `(T,)`."""
    return _ratio(errors).mean(dim=(0, 2))


def nrmse_per_trajectory(errors: FieldErrors) -> Tensor:
    """The nRMSE of every trajectory, `(n,)`; their mean is `nrmse`."""
    return _ratio(errors).mean(dim=(1, 2))


def nrmse_pooled(errors: FieldErrors) -> Tensor:
    """One ratio, bounded as that of `nrmse`, over all points and frames of a channel of a trajectory, then the mean."""
    return _bounded(errors.square.mean(dim=1), errors.truth_square.mean(dim=1)).mean()


def rmse(errors: FieldErrors) -> Tensor:
    """`sqrt(mean_x (v-u)^2)`, averaged as `nrmse` is; in sigma."""
    return errors.square.sqrt().mean()


def mae(errors: FieldErrors) -> Tensor:
    """Mean of `abs(v-u)` over everything, the CRPS of a forecast without spread; in sigma."""
    return errors.absolute.mean()


def max_error(errors: FieldErrors) -> Tensor:
    """`max_x abs(v-u)`, averaged as `nrmse` is (PDEBench takes the maximum over samples); in sigma."""
    return errors.maximum.mean()


def crmse(errors: FieldErrors) -> Tensor:
    """Error of the conserved mean: RMS over trajectories of `mean_x v - mean_x u`, mean over frames and channels; in
    sigma."""
    return errors.bias.square().mean(dim=0).sqrt().mean()


def brmse(errors: FieldErrors) -> Tensor:
    """RMSE over the first and last points of every axis, averaged as `nrmse` is; in sigma.

    Periodic axes count too, as in PDEBench, whose 2D and 3D sums hold edges and corners once for each axis, here once.
    """
    return errors.boundary.sqrt().mean()


def frmse(errors: FieldErrors, band: str) -> Tensor:
    """RMS of `abs(F(v-u)) / N` over trajectories and the wavenumbers of a band, mean over frames and channels.

    `band` is a key of `BANDS`. In 2D and 3D a wavenumber stands for its radial shell (the mean over the shell's modes).
    In sigma; NaN if the grid is too coarse to hold the band. PDEBench's fRMSE is another: a mean of roots over the
    wavenumbers in 1D, sums over the shells of a quarter plane in 2D and 3D.
    """
    first, stop = BANDS[band]
    return errors.shells[..., first:stop].mean(dim=0).nanmean(dim=-1).sqrt().mean()


def vrmse(errors: FieldErrors) -> Tensor:
    """`sqrt(mean_x (v-u)^2) / sqrt(var_x(u) + 1e-7 sigma^2)`, unbiased variance, averaged as `nrmse`; the mean scores
    about 1."""
    return (errors.square.sqrt() / (errors.truth_variance + 1e-7).sqrt()).mean()


def vrmse_well(errors: FieldErrors) -> Tensor:
    """The Well's own VRMSE, `sqrt(mean_x (v-u)^2) / sqrt(var_x(u) + 1e-7)` of physical values: it depends on their
    unit where a field is small or nearly constant."""
    return errors.vrmse_well.mean()


def correlation_curve(errors: FieldErrors) -> Tensor:
    """Spatial Pearson correlation of every frame, mean over trajectories and channels, `(T,)`."""
    return errors.correlation.mean(dim=(0, 2))


def correlation_time(errors: FieldErrors, times: Tensor, threshold: float = 0.8) -> float:
    """First of `times (T,)` at which `correlation_curve` is below `threshold` (or not a number); inf if it never is."""
    below = ~(correlation_curve(errors) >= threshold)
    return float(times[int(below.int().argmax())]) if bool(below.any()) else float("inf")


def _ratio(errors: FieldErrors) -> Tensor:
    return _bounded(errors.square, errors.truth_square)


def _bounded(square: Tensor, truth_square: Tensor) -> Tensor:
    """Root of a ratio of mean squares, in which a truth smaller than `NEGLIGIBLE` counts as of that size."""
    return square.sqrt() / truth_square.sqrt().clamp_min(NEGLIGIBLE)


def _squared_unit(std: Tensor | Sequence[float], u: Tensor) -> Tensor:
    """sigma^2 of the scored channels, `(C,)` float64."""
    sigma = torch.as_tensor(std, dtype=torch.float64, device=u.device)
    return sigma[sigma > 0].square()


def _boundary_points(shape: tuple[int, ...]) -> Tensor:
    """Mask `(*S)` of the points that are first or last on some axis."""
    inside = torch.zeros(shape, dtype=torch.bool)
    inside[tuple(slice(1, -1) for _ in shape)] = True
    return ~inside


def _correlation(u: Tensor, v: Tensor) -> Tensor:
    """Pearson correlation over the last axis of fields in sigma; two constant fields count as 1, a constant and a
    varying one as 0. What varies by less than `ROUND_OFF` is constant."""
    u, v = u - u.mean(dim=-1, keepdim=True), v - v.mean(dim=-1, keepdim=True)
    energy_u, energy_v = u.square().sum(dim=-1), v.square().sum(dim=-1)
    flat_u, flat_v = (energy <= u.shape[-1] * ROUND_OFF**2 for energy in (energy_u, energy_v))
    correlation = (u * v).sum(dim=-1) / (energy_u * energy_v).sqrt()
    return correlation.where(~(flat_u ^ flat_v), 0.0).where(~(flat_u & flat_v), 1.0)
