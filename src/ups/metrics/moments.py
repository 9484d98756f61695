"""Mean and deviation of an ensemble, point by point, beside those of an ensemble of independent truths.

m, s mean and deviation of M members (unbiased), m*, s* of M* truths, fields `(n, T, C, *S)` in units of
sigma, the deviation of each channel over the training split (channels whose sigma is 0 are left out). Both are finite
samples, so even a perfect ensemble differs from the truths:

    E mean_x (m - m*)^2 = mean_x s*^2 (1 / M + 1 / M*)                 exact, whatever the distribution
    E mean_x (s - s*)^2 = w (1 / (M - 1) + 1 / (M* - 1))               w from two halves of the truths
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ups.core.deviations import NEGLIGIBLE
from ups.metrics.statistics import FrameStatistics, mean_over_grid, scored_channels


@dataclass(frozen=True)
class TrueMoments:
    """What is kept of an ensemble of truths."""

    members: int
    """M*"""
    mean: Tensor
    """`(n, T, C, *S)`"""
    deviation: Tensor
    """`(n, T, C, *S)`"""
    wobble: Tensor
    """w, `(n, T, C)` float64: sampling variance of the deviation of two members; NaN for fewer than 4 truths"""


@dataclass(frozen=True)
class MomentErrors(FrameStatistics):
    """Statistics per trajectory, frame and channel, `(n, T, C)` float64; means are over the grid."""

    mean: Tensor
    """mean of `(m - m*)^2`"""
    deviation: Tensor
    """mean of `(s - s*)^2`"""
    variance: Tensor
    """mean of `s^2`"""
    true_square: Tensor
    """mean of `m*^2`"""
    true_variance: Tensor
    """mean of `s*^2`"""
    perfect_mean: Tensor
    """what `mean` would be for M perfect members"""
    perfect_deviation: Tensor
    """what `deviation` would be for M perfect members"""


def true_moments(truths: Tensor, std: Tensor | Sequence[float]) -> TrueMoments:
    """Moments of independent truths `(n, M*, T, C, *S)`, physical, over `std (C,)`; raises ValueError for fewer than
    two."""
    count = truths.shape[1]
    if count < 2:
        raise ValueError(f"a deviation needs at least two truths, found {count}")
    truths = scored_channels(truths, std, 3)
    halves = truths[:, : count // 2], truths[:, count // 2 :]
    if count < 4:
        wobble = torch.full(truths[:, 0].shape[:3], torch.nan, dtype=torch.float64)
    else:
        one, other = (half.std(dim=1) for half in halves)
        variance = sum(1 / (half.shape[1] - 1) for half in halves)
        wobble = mean_over_grid((one - other).square(), 3) / variance
    return TrueMoments(count, truths.mean(dim=1), truths.std(dim=1), wobble)


def compare_moments(truths: TrueMoments, members: Tensor, std: Tensor | Sequence[float]) -> MomentErrors:
    """Statistics of an ensemble `(n, M, T, C, *S)`, physical, from the same states as the truths, over the same
    `std (C,)`; raises ValueError if the shapes do not fit or M is 1."""
    members, count = scored_channels(members, std, 3), members.shape[1]
    if members[:, 0].shape != truths.mean.shape or count < 2:
        expected = (len(truths.mean), "M > 1", *truths.mean.shape[1:])
        raise ValueError(f"expected members of shape {expected}, found {tuple(members.shape)}")
    mean, deviation = members.mean(dim=1), members.std(dim=1)
    true_variance = mean_over_grid(truths.deviation.square(), 3)
    return MomentErrors(
        mean=mean_over_grid((mean - truths.mean).square(), 3),
        deviation=mean_over_grid((deviation - truths.deviation).square(), 3),
        variance=mean_over_grid(deviation.square(), 3),
        true_square=mean_over_grid(truths.mean.square(), 3),
        true_variance=true_variance,
        perfect_mean=true_variance * (1 / count + 1 / truths.members),
        perfect_deviation=truths.wobble * (1 / (count - 1) + 1 / (truths.members - 1)),
    )


def mean_nrmse(errors: MomentErrors) -> Tensor:
    """`sqrt(mean_x (m - m*)^2) / max(sqrt(mean_x m*^2), 0.01 sigma)` per trajectory, frame and channel, then the mean
    over all."""
    return (errors.mean.sqrt() / _size(errors.true_square)).mean()


def perfect_mean_nrmse(errors: MomentErrors) -> Tensor:
    """The `mean_nrmse` of perfect members: the sampling error of both ensembles."""
    return (errors.perfect_mean.sqrt() / _size(errors.true_square)).mean()


def deviation_ratio(errors: MomentErrors) -> Tensor:
    """`sqrt(mean s^2 / mean s*^2)` per channel, `(C,)`; means over trajectories, frames and points; 1 is perfect."""
    return (errors.variance.mean(dim=(0, 1)) / errors.true_variance.mean(dim=(0, 1))).sqrt()


def deviation_nrmse(errors: MomentErrors) -> Tensor:
    """`sqrt(mean_x (s - s*)^2) / max(sqrt(mean_x s*^2), 0.01 sigma)`, averaged as `mean_nrmse`."""
    return (errors.deviation.sqrt() / _size(errors.true_variance)).mean()


def perfect_deviation_nrmse(errors: MomentErrors) -> Tensor:
    """The `deviation_nrmse` of perfect members."""
    return (errors.perfect_deviation.sqrt() / _size(errors.true_variance)).mean()


def _size(square: Tensor) -> Tensor:
    """Root of a mean square, at least `NEGLIGIBLE`."""
    return square.sqrt().clamp_min(NEGLIGIBLE)
