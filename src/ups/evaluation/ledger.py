"""The ledger: what each stage adds to or takes from the error, and what it costs.

A row is compared with the forecast that it is built on, or the one above it (the autoencoder's floor is no forecast and
is skipped), and an ensemble with the dressed operator where there is one. What is compared is the CRPS, which scores a
single forecast, as its mean absolute error, and an ensemble on one scale, and beside it the energy score of ensembles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from ups.core.record import Record, Score
from ups.evaluation.dressed import DRESSED
from ups.evaluation.row import Row

ROUND_OFF = 1e-6
"""An error, in training deviations or relative, that float32 alone can make."""
Verdict = Literal["pays", "does not pay", "undecided", "no score", "floor", ""]


class Gain(Record):
    """Share by which a mean score over trajectories falls, `1 - mean(new) / mean(old)`, and its 95 % interval."""

    value: float
    low: float
    high: float


class LedgerEntry(Record):
    """One line of the ledger; scores are None where a forecast is not finite."""

    model: str
    nrmse: Score
    """Free rollout of the ensemble mean, or of the forecast itself."""
    nrmse_member: Score
    """Free rollout of one member."""
    nrmse_one_step: Score
    crps: Score
    spread_skill: Score
    members: int
    nfe_per_step: float
    ms_per_step: float
    """Per member of one trajectory."""
    train_seconds: float
    parameters: int
    against: str | None
    """The row that this one is compared with."""
    gain: Gain | None
    """Of the CRPS."""
    gain_nrmse: Gain | None
    gain_energy: Gain | None
    """Of the energy score; of an ensemble, whose verdict names it beside the CRPS."""
    verdict: Verdict


def paired_gain(old: Sequence[Score], new: Sequence[Score], resamples: int = 1000, seed: int = 0) -> Gain:
    """Gain of `new (n,)` over `old (n,)`, scores of the same trajectories, lower is better.

    A mean below `ROUND_OFF` counts as that, so that nothing is infinitely better or worse than an exact forecast. The
    interval is the 2.5 to 97.5 % range of the gain over bootstrap samples of the trajectories, drawn in pairs.
    """
    a, b = np.asarray(old, dtype=np.float64), np.asarray(new, dtype=np.float64)
    drawn = np.random.default_rng(seed).integers(len(a), size=(resamples, len(a)))
    low, high = np.quantile(_gain(a[drawn], b[drawn]), [0.025, 0.975])
    return Gain.model_construct(value=float(_gain(a, b)), low=float(low), high=float(high))


def _gain(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    return 1 - new.mean(axis=-1).clip(ROUND_OFF) / old.mean(axis=-1).clip(ROUND_OFF)


def ledger_entries(rows: Sequence[Row], resamples: int = 1000, seed: int = 0) -> list[LedgerEntry]:
    """The ledger of all rows, in their order."""
    entries, above = [], []
    for row in rows:
        compared = not row.floor and not row.reference
        entries.append(_entry(row, predecessor(row, above) if compared else None, resamples, seed))
        if compared and row.error is None:
            above.append(row)
    return entries


def predecessor(row: Row, above: Sequence[Row]) -> Row | None:
    """The row that shows what a row bought: what it was built on, else the last of `above`, the rows before it.

    Only rows that are scored on the same frames and trajectories are compared; an ensemble with the dressed operator,
    which any noise of the right size equals.
    """
    alike = [other for other in above if other.steady == row.steady]
    if row.members > 1 and (beaten := [other for other in alike if other.model == DRESSED]):
        return beaten[0]
    built_on = [other for other in alike if row.built_on in (other.model, other.model.split("@")[0])]
    return (built_on or alike or [None])[-1]


def _entry(row: Row, above: Row | None, resamples: int, seed: int) -> LedgerEntry:
    gain = gain_nrmse = gain_energy = None
    if above is not None and row.error is None:
        gain = paired_gain(above.per_trajectory.crps, row.per_trajectory.crps, resamples, seed)
        gain_nrmse = paired_gain(above.per_trajectory.nrmse, row.per_trajectory.nrmse, resamples, seed)
        if row.members > 1 and above.members > 1:
            gain_energy = paired_gain(above.per_trajectory.energy, row.per_trajectory.energy, resamples, seed)
    return LedgerEntry(
        model=row.model,
        nrmse=row.rollout.nrmse,
        nrmse_member=row.member.nrmse,
        nrmse_one_step=row.one_step.nrmse,
        crps=row.crps,
        spread_skill=row.probabilistic.overall.spread_skill if row.members > 1 else None,
        members=row.members,
        nfe_per_step=row.nfe_per_step,
        ms_per_step=row.ms_per_step,
        train_seconds=row.train_seconds,
        parameters=row.parameters,
        against=above.model if above is not None else None,
        gain=gain,
        gain_nrmse=gain_nrmse,
        gain_energy=gain_energy,
        verdict=_verdict(row, [gain] if gain_energy is None else [gain, gain_energy]),
    )


def _verdict(row: Row, gains: Sequence[Gain | None]) -> Verdict:
    """Pays if the whole interval of every score is a gain, does not if that of one is a loss; one trajectory decides
    nothing."""
    if row.error is not None:
        return "no score"
    if row.floor:
        return "floor"
    found = [gain for gain in gains if gain is not None]
    if not found:
        return ""
    if len(row.per_trajectory.crps) > 1 and any(gain.high < 0 for gain in found):
        return "does not pay"
    return "pays" if len(row.per_trajectory.crps) > 1 and all(gain.low > 0 for gain in found) else "undecided"
