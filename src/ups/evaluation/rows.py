"""How a row is scored: every score of one forecaster on the scored frames, of decoded fields: in training deviations of
each channel over all channels, and in physical units channel by channel."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from ups import metrics
from ups.evaluation.row import ForecastScores
from ups.metrics import BANDS, EnsembleErrors, FieldErrors, MomentErrors, TrueMoments

VRMSE_WINDOWS = ((6, 12), (13, 30))
"""Windows of scored frames over which The Well prints the VRMSE of a rollout."""


@dataclass(frozen=True)
class ForecastErrors:
    """Statistics of a forecast with M members: of its mean, of its first member, and of the ensemble."""

    mean: FieldErrors
    member: FieldErrors
    ensemble: EnsembleErrors
    moments: MomentErrors | None = None
    """Beside independent truths, where M > 1 and there are some."""

    @classmethod
    def of(
        cls, truth: Tensor, members: Tensor, std: Sequence[float], seed: int, truths: TrueMoments | None = None
    ) -> Self:
        """Compare truth `(n, T, C, *S)` with members `(n, M, T, C, *S)`, both physical, over the training deviation
        `std (C,)` of each channel; for M = 1 mean and member are the same."""
        member, ensemble = (
            metrics.compare(truth, members[:, 0], std),
            metrics.compare_members(truth, members, std, seed),
        )
        if members.shape[1] == 1:
            return cls(member, member, ensemble)
        moments = metrics.compare_moments(truths, members, std) if truths is not None else None
        return cls(metrics.compare(truth, members.mean(dim=1), std), member, ensemble, moments)

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """The statistics of the trajectories of all batches."""
        moments = [part.moments for part in parts if part.moments is not None]
        return cls(
            FieldErrors.join([part.mean for part in parts]),
            FieldErrors.join([part.member for part in parts]),
            EnsembleErrors.join([part.ensemble for part in parts]),
            MomentErrors.join(moments) if moments else None,
        )


def score_row(
    model: str,
    rollout: ForecastErrors,
    one_step: FieldErrors,
    leads: Tensor,
    lead_times: Sequence[int],
    sigma: Mapping[str, float],
    threshold: float = 0.8,
) -> ForecastScores:
    """All scores of one forecaster; `rollout` and `one_step` score the ensemble mean (the forecast itself if M = 1).

    `one_step` holds the statistics of the mean of the one-step forecasts, `leads (T,)` the physical lead times of the
    rollout's frames, `lead_times` the steps at which probabilistic scores are given, `sigma` the training deviation of
    every channel by name. Values that are not finite become
    None; `error` says in a sentence why, or is None, and `true_ensemble` is None where there is none to compare with.
    """
    return ForecastScores.model_validate(
        plain(
            {
                "model": model,
                "members": rollout.ensemble.members,
                "rollout": rollout_scores(rollout.mean, leads, threshold),
                "member": rollout_scores(rollout.member, leads, threshold),
                "one_step": point_scores(one_step),
                "probabilistic": probabilistic_scores(rollout.ensemble, lead_times),
                "bands": band_scores(rollout.ensemble, lead_times),
                "channels": channel_scores(rollout, one_step, sigma),
                "true_ensemble": moment_scores(rollout.moments, lead_times) if rollout.moments is not None else None,
                "per_trajectory": {
                    "nrmse": metrics.nrmse_per_trajectory(rollout.mean),
                    "crps": metrics.crps_per_trajectory(rollout.ensemble),
                    "energy": metrics.energy_per_trajectory(rollout.ensemble),
                },
                "error": fault(model, rollout),
            }
        )
    )


def point_scores(errors: FieldErrors) -> dict[str, Any]:
    """Scalar scores of one forecast over all channels; those that are no ratio are in training deviations."""
    return {
        "nrmse": metrics.nrmse(errors),
        "nrmse_pdebench": metrics.nrmse_pdebench(errors),
        "nrmse_pooled": metrics.nrmse_pooled(errors),
        "rmse": metrics.rmse(errors),
        "mae": metrics.mae(errors),
        "max": metrics.max_error(errors),
        "crmse": metrics.crmse(errors),
        "brmse": metrics.brmse(errors),
        "frmse_low": metrics.frmse(errors, "low"),
        "frmse_mid": metrics.frmse(errors, "mid"),
        "frmse_high": metrics.frmse(errors, "high"),
        "vrmse": metrics.vrmse(errors),
        "vrmse_well": metrics.vrmse_well(errors),
    }


def channel_scores(rollout: ForecastErrors, one_step: FieldErrors, sigma: Mapping[str, float]) -> dict[str, Any]:
    """Scores of each channel that varies in training: ratios, and in physical units what is no ratio."""
    found = {}
    for i, (name, std) in enumerate((name, std) for name, std in sigma.items() if std > 0):
        mean, ensemble = rollout.mean.channel(i), rollout.ensemble.channel(i)
        ratios = {
            "nrmse": metrics.nrmse(mean),
            "nrmse_pooled": metrics.nrmse_pooled(mean),
            "nrmse_one_step": metrics.nrmse(one_step.channel(i)),
            "vrmse": metrics.vrmse(mean),
            "spread_skill": metrics.spread_skill(ensemble).squeeze(),
        }
        physical = {
            "rmse": metrics.rmse(mean),
            "mae": metrics.mae(mean),
            "max": metrics.max_error(mean),
            "crmse": metrics.crmse(mean),
            "crps": metrics.crps(ensemble),
            "energy_score": metrics.energy_score(ensemble),
        }
        found[name] = {"std": std} | ratios | {score: std * value for score, value in physical.items()}
    return found


def rollout_scores(errors: FieldErrors, leads: Tensor, threshold: float) -> dict[str, Any]:
    """`point_scores` with the curve of the nRMSE, The Well's windows and the correlation time.

    A correlation that never falls below the threshold gives the last lead time and `correlation_lost: False`.
    """
    lost = metrics.correlation_time(errors, leads, threshold)
    frames = errors.square.shape[1]
    return point_scores(errors) | {
        "vrmse_windows": {
            f"{first}:{stop}": metrics.vrmse(errors.frames(slice(first, stop)))
            for first, stop in VRMSE_WINDOWS
            if stop <= frames
        },
        "correlation_time": min(lost, float(leads[-1])),
        "correlation_lost": math.isfinite(lost),
        "nrmse_per_frame": metrics.nrmse_per_frame(errors),
        "correlation_per_frame": metrics.correlation_curve(errors),
    }


ENSEMBLE_SCORES: dict[str, Callable[[EnsembleErrors], Tensor]] = {
    "crps": metrics.crps,
    "spread_skill": lambda errors: metrics.spread_skill(errors).nanmean(),
    "coverage_50": lambda errors: metrics.coverage(errors, 0.5),
    "coverage_90": lambda errors: metrics.coverage(errors, 0.9),
    "interval_50": lambda errors: metrics.interval_coverage(errors, 0.5),
    "interval_90": lambda errors: metrics.interval_coverage(errors, 0.9),
    "reliability_distance": metrics.reliability_distance,
    "energy_score": metrics.energy_score,
    "spectrum_error": metrics.log_spectrum_error,
}
"""Probabilistic scores by their names in `metrics.json`; `interval` is the empirical quantile interval."""


SINGLE_SCORES = ("crps", "spread_skill", "energy_score", "spectrum_error")
"""Those that mean something for a single forecast; its others are None."""


def probabilistic_scores(errors: EnsembleErrors, lead_times: Sequence[int]) -> dict[str, Any]:
    """Every ensemble score as a list over `lead_times` (steps within the rollout), over all frames, and per frame.

    `rank_histograms` are those at `lead_times`; `nominal` is what M perfect members would score.
    """
    frames, m = errors.crps.shape[1], errors.members
    leads = [step for step in lead_times if step <= frames]
    per_frame = [errors.frames(slice(t, t + 1)) for t in range(frames)]
    overall = {name: score(errors) if _means(name, m) else None for name, score in ENSEMBLE_SCORES.items()}
    curves = {
        name: [score(frame) if _means(name, m) else None for frame in per_frame]
        for name, score in ENSEMBLE_SCORES.items()
    }
    return {
        "members": m,
        "lead_times": leads,
        **{name: [curve[step - 1] for step in leads] for name, curve in curves.items()},
        "overall": overall,
        "spread_skill_per_channel": metrics.spread_skill(errors),
        "rank_histogram": metrics.rank_histogram(errors) if m > 1 else None,
        "rank_histograms": [metrics.rank_histogram(per_frame[step - 1]) for step in leads] if m > 1 else None,
        "nominal": {
            "spread_skill": 1.0,
            "coverage_50": metrics.nominal_coverage(m, 0.5),
            "coverage_90": metrics.nominal_coverage(m, 0.9),
            "interval_50": metrics.nominal_interval_coverage(m, 0.5),
            "interval_90": metrics.nominal_interval_coverage(m, 0.9),
        },
        "per_frame": curves,
    }


MOMENT_SCORES: dict[str, Callable[[MomentErrors], Tensor]] = {
    "mean_nrmse": metrics.mean_nrmse,
    "perfect_mean_nrmse": metrics.perfect_mean_nrmse,
    "deviation_ratio": lambda errors: metrics.deviation_ratio(errors).nanmean(),
    "deviation_nrmse": metrics.deviation_nrmse,
    "perfect_deviation_nrmse": metrics.perfect_deviation_nrmse,
}
"""Scores of mean and deviation beside the true ensemble's; `perfect` is what perfect members would score."""


def moment_scores(errors: MomentErrors, lead_times: Sequence[int]) -> dict[str, Any]:
    """Every score of `MOMENT_SCORES` as a list over `lead_times` (steps within the rollout) and over all frames."""
    leads = [step for step in lead_times if step <= errors.mean.shape[1]]
    at = [errors.frames(slice(step - 1, step)) for step in leads]
    return {
        "lead_times": leads,
        **{name: [score(frame) for frame in at] for name, score in MOMENT_SCORES.items()},
        "overall": {name: score(errors) for name, score in MOMENT_SCORES.items()},
    }


def band_scores(errors: EnsembleErrors, lead_times: Sequence[int]) -> dict[str, Any]:
    """Energy of a member over that of the truth, and the share of the truth's energy, in each of `metrics.BANDS`: as a
    list over `lead_times` (steps within the rollout) and over all frames."""
    leads = [step for step in lead_times if step <= errors.crps.shape[1]]
    at = [errors.frames(slice(step - 1, step)) for step in leads]

    def by_band(of: Callable[[EnsembleErrors], Tensor], parts: Sequence[EnsembleErrors]) -> dict[str, list[float]]:
        found = [of(part).tolist() for part in parts]
        return {name: [values[i] for values in found] for i, name in enumerate(BANDS)}

    scores = {"ratio": metrics.band_ratio, "share": metrics.band_share}
    overall = {name: {band: one for band, (one,) in by_band(of, [errors]).items()} for name, of in scores.items()}
    return {"lead_times": leads, **{name: by_band(of, at) for name, of in scores.items()}, "overall": overall}


def _means(score: str, members: int) -> bool:
    """Whether a score means something for so many members."""
    return members > 1 or score in SINGLE_SCORES


def fault(model: str, errors: ForecastErrors) -> str | None:
    """Why a forecast has no score, in a sentence; None if it has one."""
    broken = ~errors.ensemble.crps.isfinite().all(dim=2)
    if bool(broken.any()):
        frame = int(broken.any(dim=0).int().argmax()) + 1
        count = int(broken.any(dim=1).sum())
        return (
            f"the rollout of {model} is not finite in {count} of {len(broken)} trajectories, "
            f"first at step {frame} of {broken.shape[1]}"
        )
    return None


def plain(value: Any) -> Any:
    """Numbers, strings, lists and dicts only, as strict JSON wants them; a number that is not finite becomes None."""
    if isinstance(value, Tensor):
        return plain(value.tolist())
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def spectra(errors: EnsembleErrors, steps: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Power spectra of truth and members at some steps, mean over trajectories and members, `(steps, C, K)` each."""
    index = torch.tensor([step - 1 for step in steps], dtype=torch.long)
    return errors.truth_power[:, index].mean(dim=0), errors.power[:, index].mean(dim=0)
