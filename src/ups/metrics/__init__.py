"""Scores of forecasts against truth; a metric is a mean of statistics and a final function.

Notation: truth `u (n, T, C, *S)`, forecast `v (n, T, C, *S)`, members `x (n, M, T, C, *S)`: n trajectories, M members,
T *scored* frames (given frames are cut off by the caller), C channels, a grid S of 1, 2 or 3 axes; sigma, `std (C,)`,
is the deviation of each channel over the training split, by which all that follows is divided: channels of
any unit weigh alike, and a data set times a constant has the same scores. A channel whose sigma is 0 has none.

    errors = compare(truth, prediction, std)  # statistics per trajectory, frame and channel
    ensemble = compare_members(truth, members, std, seed=0)
    moments = compare_moments(true_moments(truths, std), members, std)  # beside independent truths
    nrmse(errors), nrmse(errors.frames(slice(0, 1))), crps(ensemble), mean_nrmse(moments), ...

Statistics of batches are joined by `.join` before any root is taken, so no score is a mean of batch scores. A forecast
that is not finite gives statistics, and therefore scores, that are not finite.
"""

from ups.metrics.deterministic import (
    FieldErrors,
    brmse,
    compare,
    correlation_curve,
    correlation_time,
    crmse,
    frmse,
    mae,
    max_error,
    nrmse,
    nrmse_pdebench,
    nrmse_per_frame,
    nrmse_per_trajectory,
    nrmse_pooled,
    rmse,
    vrmse,
    vrmse_well,
)
from ups.metrics.moments import (
    MomentErrors,
    TrueMoments,
    compare_moments,
    deviation_nrmse,
    deviation_ratio,
    mean_nrmse,
    perfect_deviation_nrmse,
    perfect_mean_nrmse,
    true_moments,
)
from ups.metrics.probabilistic import (
    EnsembleErrors,
    band_ratio,
    band_share,
    compare_members,
    coverage,
    crps,
    crps_per_trajectory,
    energy_per_trajectory,
    energy_score,
    fair_crps,
    fair_energy_score,
    interval_coverage,
    log_spectrum_error,
    nominal_coverage,
    nominal_interval_coverage,
    rank_histogram,
    reliability_distance,
    spread_skill,
)
from ups.metrics.spectra import BANDS, band_energy, power_spectrum, shells, spectrum_error
from ups.metrics.statistics import scored_channels

__all__ = [
    "BANDS",
    "EnsembleErrors",
    "FieldErrors",
    "MomentErrors",
    "TrueMoments",
    "band_energy",
    "band_ratio",
    "band_share",
    "brmse",
    "compare",
    "compare_members",
    "compare_moments",
    "correlation_curve",
    "correlation_time",
    "coverage",
    "crmse",
    "crps",
    "crps_per_trajectory",
    "deviation_nrmse",
    "deviation_ratio",
    "energy_per_trajectory",
    "energy_score",
    "fair_crps",
    "fair_energy_score",
    "frmse",
    "interval_coverage",
    "log_spectrum_error",
    "mae",
    "max_error",
    "mean_nrmse",
    "nominal_coverage",
    "nominal_interval_coverage",
    "nrmse",
    "nrmse_pdebench",
    "nrmse_per_frame",
    "nrmse_per_trajectory",
    "nrmse_pooled",
    "perfect_deviation_nrmse",
    "perfect_mean_nrmse",
    "power_spectrum",
    "rank_histogram",
    "reliability_distance",
    "rmse",
    "scored_channels",
    "shells",
    "spectrum_error",
    "spread_skill",
    "true_moments",
    "vrmse",
    "vrmse_well",
]
