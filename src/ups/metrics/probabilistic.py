"""Scores of an ensemble `x (n, M, T, C, *S)` against the truth `u (n, T, C, *S)`, both in units of sigma, the deviation
of each channel over the training split; channels that never change in training (sigma 0) are left out.

Fair scores are unbiased in the ensemble size: their expectation does not depend on M (Ferro 2014, doi 10.1002/qj.2270).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ups.metrics.spectra import SPECTRUM_FLOOR, band_energy, power_spectrum, spectrum_error
from ups.metrics.statistics import FrameStatistics, mean_over_grid, scored_channels

LEVELS = (0.5, 0.9)
"""Nominal levels of the central intervals whose coverage is reported."""


@dataclass(frozen=True)
class EnsembleErrors(FrameStatistics):
    """Statistics per trajectory, frame and channel, `(n, T, C)` float64 unless noted, of fields in units of
    sigma; means are over the grid."""

    crps: Tensor
    """mean of the fair CRPS"""
    variance: Tensor
    """mean of the members' unbiased variance `s^2`; 0 for one member"""
    square: Tensor
    """mean of `(ensemble mean - u)^2`"""
    ranks: Tensor
    """`(n, T, C, M + 1)`: share of points at which 0, 1, ..., M members lie below the truth"""
    inside: Tensor
    """`(n, T, C, len(LEVELS))`: share of points inside the empirical quantile intervals"""
    energy: Tensor
    """fair energy score over the grid"""
    truth_power: Tensor
    """`(n, T, C, K)`: power spectrum of the truth"""
    power: Tensor
    """`(n, T, C, K)`: power spectrum of one member, mean over the members"""

    @property
    def members(self) -> int:
        """Number M of members."""
        return self.ranks.shape[-1] - 1


def compare_members(truth: Tensor, members: Tensor, std: Tensor | Sequence[float], seed: int = 0) -> EnsembleErrors:
    """Statistics of an ensemble of the truth.

    Args:
        truth: `(n, T, C, *S)`, physical.
        members: `(n, M, T, C, *S)`, physical.
        std: Sigma of each channel, `(C,)` (`Statistics.std`); 1 keeps a channel's units, 0 leaves it out.
        seed: Breaks ties of ranks.

    Raises:
        ValueError: The shapes or `std` do not fit.
    """
    if members.ndim != truth.ndim + 1 or truth.ndim < 4 or members[:, 0].shape != truth.shape:
        raise ValueError(
            f"expected truth (n, T, C, *S) and members (n, M, T, C, *S), found {tuple(truth.shape)} and "
            f"{tuple(members.shape)}"
        )
    axes = truth.ndim - 3
    errors = scored_channels(members - truth.unsqueeze(1), std, 3)  # differences first: keeps float32 accurate
    truth, members = scored_channels(truth, std, 2), scored_channels(members, std, 3)
    ordered = _ordered(errors)
    spread = ordered.var(dim=-1) if ordered.shape[-1] > 1 else torch.zeros_like(truth)
    mean = ordered.mean(dim=-1)
    poison = mean_over_grid(mean * 0, 3).unsqueeze(-1)  # NaN where comparisons would hide what is not finite
    return EnsembleErrors(
        crps=mean_over_grid(_crps_of_ordered(ordered), 3),
        variance=mean_over_grid(spread, 3),
        square=mean_over_grid(mean.square(), 3),
        ranks=_rank_shares(ordered, seed) + poison,
        inside=torch.stack([mean_over_grid(_inside(ordered, level).double(), 3) for level in LEVELS], dim=-1) + poison,
        energy=_energy_of_errors(errors),
        truth_power=power_spectrum(truth, axes),
        power=power_spectrum(members, axes).mean(dim=1),
    )


def fair_crps(truth: Tensor, members: Tensor) -> Tensor:
    """Pointwise `1/M sum_i abs(x_i-y) - 1/(2M(M-1)) sum_ij abs(x_i-x_j)`: `(n, *), (n, M, *) -> (n, *)`.

    One member gives its absolute error. O(M log M) by sorting: `sum_ij abs(x_i-x_j) = 2 sum_i (2i-M-1) x_(i)`.
    """
    return _crps_of_ordered(_ordered(members - truth.unsqueeze(1)))


def fair_energy_score(truth: Tensor, members: Tensor) -> Tensor:
    """Fair energy score over the grid: `(n, T, C, *S), (n, M, T, C, *S) -> (n, T, C)` float64, in the fields' units.

    `1/M sum_i |x_i-y| - 1/(2M(M-1)) sum_ij |x_i-x_j|` with the root-mean-square over the grid as the norm, so it sees
    errors of the joint spatial pattern that the CRPS of single points does not (Gneiting & Raftery 2007, eq. 22).
    """
    return _energy_of_errors(members - truth.unsqueeze(1))


def _energy_of_errors(errors: Tensor) -> Tensor:
    """Fair energy score from differences `x - y`, `(n, M, T, C, *S) -> (n, T, C)`."""
    error = errors.movedim(1, 3).flatten(4).double()
    m, points = error.shape[3:]
    inner = error @ error.mT / points
    square = inner.diagonal(dim1=-2, dim2=-1)
    skill = square.sqrt().mean(dim=-1)
    if m == 1:
        return skill
    pairs = (square.unsqueeze(-1) + square.unsqueeze(-2) - 2 * inner).clamp(min=0).sqrt().sum(dim=(-2, -1))
    return skill - pairs / (2 * m * (m - 1))


def crps(errors: EnsembleErrors) -> Tensor:
    """Fair CRPS, mean over everything; in sigma."""
    return errors.crps.mean()


def crps_per_trajectory(errors: EnsembleErrors) -> Tensor:
    """The CRPS of every trajectory, `(n,)`; their mean is `crps`."""
    return errors.crps.mean(dim=(1, 2))


def energy_per_trajectory(errors: EnsembleErrors) -> Tensor:
    """The energy score of every trajectory, `(n,)`; their mean is `energy_score`."""
    return errors.energy.mean(dim=(1, 2))


def energy_score(errors: EnsembleErrors) -> Tensor:
    """Fair energy score, mean over everything; in sigma."""
    return errors.energy.mean()


def spread_skill(errors: EnsembleErrors) -> Tensor:
    """`sqrt((M+1)/M mean s^2) / sqrt(mean (ensemble mean - u)^2)` per channel, `(C,)`; 1 is calibrated, less too sure.

    Means over trajectories, frames and points come before the roots (Fortin et al. 2014, doi 10.1175/JHM-D-14-0008.1).
    """
    m = errors.members
    return ((m + 1) / m * errors.variance.mean(dim=(0, 1))).sqrt() / errors.square.mean(dim=(0, 1)).sqrt()


def rank_histogram(errors: EnsembleErrors) -> Tensor:
    """Share of truths with 0, 1, ..., M members below them, `(M + 1,)`; flat is calibrated, a U is too sure."""
    return errors.ranks.mean(dim=(0, 1, 2))


def reliability_distance(errors: EnsembleErrors) -> Tensor:
    """`sum_r abs(share_r - 1/(M+1))`: distance of the rank histogram from flat, 0 to almost 2."""
    return (rank_histogram(errors) - 1 / (errors.members + 1)).abs().sum()


def coverage(errors: EnsembleErrors, level: float) -> Tensor:
    """Share of truths between the order statistics whose interval is nearest to the central `level`.

    Compare with `nominal_coverage(M, level)`, which is what M perfect members give.
    """
    outside = _tail(errors.members, level)
    return rank_histogram(errors)[outside : errors.members + 1 - outside].sum()


def nominal_coverage(members: int, level: float) -> float:
    """Expected `coverage` of a perfect ensemble: `(M+1-2l)/(M+1)`, l ranks cut off on each side; exact."""
    return (members + 1 - 2 * _tail(members, level)) / (members + 1)


def interval_coverage(errors: EnsembleErrors, level: float) -> Tensor:
    """Share of truths inside the interval of the members' own quantiles (linear interpolation); level in `LEVELS`."""
    return errors.inside[..., LEVELS.index(level)].mean()


def nominal_interval_coverage(members: int, level: float) -> float:
    """Expected `interval_coverage` of a perfect ensemble, `level (M-1)/(M+1)`; exact for uniform distributions."""
    return level * (members - 1) / (members + 1)


def log_spectrum_error(errors: EnsembleErrors) -> Tensor:
    """`spectrum_error` of a member, powers averaged over trajectories and members, mean over frames and channels."""
    return spectrum_error(errors.truth_power.mean(dim=0), errors.power.mean(dim=0)).mean()


def band_ratio(errors: EnsembleErrors) -> Tensor:
    """Energy of a member over that of the truth in each of `BANDS`, `(len(BANDS),)`; 1 is perfect.

    Energies are averaged over trajectories, frames and members before the ratio, which is averaged over channels. NaN
    in a band with less than `SPECTRUM_FLOOR` of the truth's energy, which is round-off; such channels are left out.
    """
    member, truth = (band_energy(power.mean(dim=(0, 1))) for power in (errors.power, errors.truth_power))
    held = truth > SPECTRUM_FLOOR * truth.nansum(dim=-1, keepdim=True)
    return (member / truth).where(held, torch.nan).nanmean(dim=0)


def band_share(errors: EnsembleErrors) -> Tensor:
    """Share of the truth's energy in each of `BANDS`, `(len(BANDS),)`, mean over the channels that have some."""
    energy = band_energy(errors.truth_power.mean(dim=(0, 1)))
    return (energy / energy.nansum(dim=-1, keepdim=True)).nanmean(dim=0)


def _ordered(errors: Tensor) -> Tensor:
    """Sorted differences `x_(i) - y`, members last: `(n, M, *) -> (n, *, M)`."""
    return errors.movedim(1, -1).contiguous().sort(dim=-1).values


def _crps_of_ordered(ordered: Tensor) -> Tensor:
    """Fair CRPS from sorted differences `(n, *, M) -> (n, *)`."""
    m = ordered.shape[-1]
    skill = ordered.abs().mean(dim=-1)
    if m == 1:
        return skill
    weight = (2 * torch.arange(1, m + 1, device=ordered.device) - m - 1).to(ordered.dtype) / (m * (m - 1))
    return skill - (ordered * weight).sum(dim=-1)  # a matrix product would be rounded under autocast


def _rank_shares(ordered: Tensor, seed: int) -> Tensor:
    """Share of each rank over the grid, ties drawn at random: `(n, T, C, *S, M) -> (n, T, C, M + 1)`."""
    m = ordered.shape[-1]
    below, ties = (ordered < 0).sum(dim=-1), (ordered == 0).sum(dim=-1)
    draw = torch.rand(below.shape, generator=torch.Generator().manual_seed(seed)).to(below.device)
    rank = (below + (draw * (ties + 1)).long().minimum(ties)).flatten(3)
    counts = torch.zeros(*rank.shape[:3], m + 1, dtype=torch.float64, device=rank.device)
    return counts.scatter_add(3, rank, torch.ones_like(rank, dtype=torch.float64)) / rank.shape[3]


def _inside(ordered: Tensor, level: float) -> Tensor:
    """Whether the truth lies inside the members' central quantile interval, from sorted differences."""
    low, high = (_quantile(ordered, (1 + sign * level) / 2) for sign in (-1, 1))
    return (low <= 0) & (high >= 0)


def _quantile(ordered: Tensor, q: float) -> Tensor:
    """Linearly interpolated quantile of sorted values along the last axis, numpy's default."""
    position = q * (ordered.shape[-1] - 1)
    left = int(position)
    right = min(left + 1, ordered.shape[-1] - 1)
    return torch.lerp(ordered[..., left], ordered[..., right], position - left)


def _tail(members: int, level: float) -> int:
    """Ranks to cut off on each side so that the covered share is nearest to `level`, at least one."""
    return max(round((1 - level) / 2 * (members + 1)), 1)
