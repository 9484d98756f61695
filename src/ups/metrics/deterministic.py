"""Errors of one forecast `v` against the truth `u`, both `(n, T, C, *S)` in physical units.

Definitions follow PDEBench (arXiv 2210.07182, appendix B) and The Well (arXiv 2412.00568, VRMSE).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ups.metrics.spectra import BANDS, power_spectrum, shells
from ups.metrics.statistics import FrameStatistics, mean_over_grid


@dataclass(frozen=True)
class FieldErrors(FrameStatistics):
    """Statistics per trajectory, frame and channel, `(n, T, C)` float64 unless noted; means are over the grid."""

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
    correlation: Tensor
    """Pearson correlation of u and v over the grid"""
    shells: Tensor
    """`(n, T, C, K)`: mean of `abs(F(v - u) / N)^2` over the modes of each radial shell, NaN where a shell is empty"""


def compare(truth: Tensor, prediction: Tensor) -> FieldErrors:
    """Statistics of a forecast `(n, T, C, *S)` of the truth `(n, T, C, *S)`, same units, scored frames only.

    Raises ValueError if the shapes differ or have no grid axis.
    """
    if truth.shape != prediction.shape or truth.ndim < 4:
        raise ValueError(f"expected two tensors (n, T, C, *S), got {tuple(truth.shape)} and {tuple(prediction.shape)}")
    u, error = truth.double(), prediction.double() - truth.double()
    shape = tuple(u.shape[3:])
    count = shells(shape)[2].to(u.device)
    return FieldErrors(
        square=mean_over_grid(error.square(), 3),
        absolute=mean_over_grid(error.abs(), 3),
        maximum=error.abs().flatten(3).amax(dim=-1),
        bias=mean_over_grid(error, 3),
        boundary=error.square()[..., _boundary_points(shape).to(u.device)].mean(dim=-1),
        truth_square=mean_over_grid(u.square(), 3),
        truth_variance=u.flatten(3).var(dim=-1),
        correlation=_correlation(u.flatten(3), prediction.double().flatten(3)),
        shells=power_spectrum(error, len(shape)) / count.where(count > 0, torch.nan),
    )


def nrmse(errors: FieldErrors) -> Tensor:
    """`sqrt(mean_x (v-u)^2) / sqrt(mean_x u^2)` per trajectory, frame and channel, then the mean over all."""
    return _ratio(errors).mean()


def nrmse_per_frame(errors: FieldErrors) -> Tensor:
    """The nRMSE of every frame, `(T,)`."""
    return _ratio(errors).mean(dim=(0, 2))


def nrmse_per_trajectory(errors: FieldErrors) -> Tensor:
    """The nRMSE of every trajectory, `(n,)`; their mean is `nrmse`."""
    return _ratio(errors).mean(dim=(1, 2))


def nrmse_pooled(errors: FieldErrors) -> Tensor:
    """One ratio over all points, frames and channels of a trajectory, then the mean over trajectories."""
    return (errors.square.mean(dim=(1, 2)) / errors.truth_square.mean(dim=(1, 2))).sqrt().mean()


def rmse(errors: FieldErrors) -> Tensor:
    """`sqrt(mean_x (v-u)^2)`, averaged as `nrmse` is; physical units."""
    return errors.square.sqrt().mean()


def mae(errors: FieldErrors) -> Tensor:
    """Mean of `abs(v-u)` over everything: the CRPS of a forecast without spread."""
    return errors.absolute.mean()


def max_error(errors: FieldErrors) -> Tensor:
    """`max_x abs(v-u)`, averaged as `nrmse` is; physical units."""
    return errors.maximum.mean()


def crmse(errors: FieldErrors) -> Tensor:
    """Error of the conserved mean: RMS over trajectories of `mean_x v - mean_x u`, mean over frames and channels."""
    return errors.bias.square().mean(dim=0).sqrt().mean()


def brmse(errors: FieldErrors) -> Tensor:
    """RMSE over the boundary points, averaged as `nrmse` is."""
    return errors.boundary.sqrt().mean()


def frmse(errors: FieldErrors, band: str) -> Tensor:
    """RMS of `abs(F(v-u)) / N` over trajectories and the wavenumbers of a band, mean over frames and channels.

    `band` is a key of `BANDS`. In 2D and 3D a wavenumber stands for its radial shell (the mean over the shell's modes).
    NaN if the grid is too coarse to hold the band.
    """
    first, stop = BANDS[band]
    return errors.shells[..., first:stop].mean(dim=0).nanmean(dim=-1).sqrt().mean()


def vrmse(errors: FieldErrors) -> Tensor:
    """`sqrt(mean_x (v-u)^2) / sqrt(var_x(u) + 1e-7)`, unbiased variance, averaged as `nrmse`; the mean scores 1."""
    return (errors.square.sqrt() / (errors.truth_variance + 1e-7).sqrt()).mean()


def correlation_curve(errors: FieldErrors) -> Tensor:
    """Spatial Pearson correlation of every frame, mean over trajectories and channels, `(T,)`."""
    return errors.correlation.mean(dim=(0, 2))


def correlation_time(errors: FieldErrors, times: Tensor, threshold: float = 0.8) -> float:
    """First of `times (T,)` at which `correlation_curve` is below `threshold` (or not a number); inf if it never is."""
    below = ~(correlation_curve(errors) >= threshold)
    return float(times[int(below.int().argmax())]) if bool(below.any()) else float("inf")


def _ratio(errors: FieldErrors) -> Tensor:
    return errors.square.sqrt() / errors.truth_square.sqrt()


def _boundary_points(shape: tuple[int, ...]) -> Tensor:
    """Mask `(*S)` of the points that are first or last on some axis."""
    inside = torch.zeros(shape, dtype=torch.bool)
    inside[tuple(slice(1, -1) for _ in shape)] = True
    return ~inside


def _correlation(u: Tensor, v: Tensor) -> Tensor:
    """Pearson correlation over the last axis; two constant fields count as 1, a constant and a varying one as 0."""
    u, v = u - u.mean(dim=-1, keepdim=True), v - v.mean(dim=-1, keepdim=True)
    energy_u, energy_v = u.square().sum(dim=-1), v.square().sum(dim=-1)
    flat_u, flat_v = energy_u == 0, energy_v == 0
    correlation = (u * v).sum(dim=-1) / (energy_u * energy_v).sqrt()
    return correlation.where(~(flat_u ^ flat_v), 0.0).where(~(flat_u & flat_v), 1.0)
