"""Gates: whether a run may stand beside, or above, the champion of the same protocol, and why not.

A champion is the best run on the leaderboard that was scored by the same protocol, is not the run itself, and did not
fail its own gate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ups.core.errors import UserError
from ups.evaluation.row import Row
from ups.evaluation.scores import Scores, ScoringProtocol
from ups.orchestrate.state import digest

PROTOCOL = (
    "data_hash",
    "task",
    "split",
    "split_hash",
    "stride",
    "channels",
    "shape",
    "frames",
    "dt",
    "context",
    "members",
    "one_step_members",
    "trajectories",
    "unit",
)
"""Fields of a metrics file's protocol that must be equal for two scores to be comparable."""

METRICS: dict[str, Callable[[Row], float | None]] = {
    "nrmse": lambda row: row.rollout.nrmse,
    "nrmse_pooled": lambda row: row.rollout.nrmse_pooled,
    "vrmse": lambda row: row.rollout.vrmse,
    "nrmse_one_step": lambda row: row.one_step.nrmse,
    "crps": lambda row: row.crps,
    "energy_score": lambda row: row.probabilistic.overall.energy_score,
    "spread_skill": lambda row: row.probabilistic.overall.spread_skill if row.members > 1 else None,
}
"""Scores that a gate can ask for and where they lie in a row; lower is better, for `spread_skill` nearer to 1."""


@dataclass(frozen=True)
class GateSettings:
    """What a run must reach against the champion.

    Attributes:
        metric: The score that counts, that orders the leaderboard, and that chooses the champion.
        ratio: Largest share of the champion's score that passes; 1 asks for nothing worse.
        min_deltas: For each score named, by how much it must lie below the champion's; negative tolerates a loss.
    """

    metric: str = "nrmse"
    ratio: float = 1.0
    min_deltas: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (self.metric, *self.min_deltas):
            if name not in METRICS:
                raise UserError(f"a gate judges one of {', '.join(METRICS)}, found {name!r}")
        if not (math.isfinite(self.ratio) and self.ratio > 0):
            raise UserError(f"--gate-ratio: expected a number above 0, found {self.ratio}")
        for name, delta in self.min_deltas.items():
            if not math.isfinite(delta):
                raise UserError(f"the smallest gain in {name} must be a finite number, found {delta}")


@dataclass(frozen=True)
class Champion:
    """The run to compare with."""

    run: str
    model: str
    scores: Mapping[str, float | None]


@dataclass(frozen=True)
class Check:
    """One condition of a gate; `limit` is the largest value that passes, None without a champion."""

    metric: str
    value: float | None
    champion: float | None
    limit: float | None
    passed: bool
    sentence: str


@dataclass(frozen=True)
class Decision:
    """Whether a gate let a run pass."""

    passed: bool
    sentence: str
    champion: str | None
    checks: tuple[Check, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "checks": [asdict(check) for check in self.checks]}


def protocol_hash(protocol: ScoringProtocol) -> str:
    """A hash of all that makes scores comparable; settings that only cost time are left out."""
    return digest({name: getattr(protocol, name) for name in PROTOCOL})[:12]


def scores_of(row: Row | None) -> dict[str, float | None]:
    """The scores of a row that gates know; None for one that means nothing there, and without a row."""
    return {name: None if row is None else score(row) for name, score in METRICS.items()}


def cost(metric: str, scores: Mapping[str, float | None]) -> float | None:
    """A score as something to be made small: the distance of `spread_skill` from 1, any other as it is."""
    value = scores.get(metric)
    if value is None or not math.isfinite(value):
        return None
    return abs(value - 1.0) if metric == "spread_skill" else value


def best_model(scores: Scores, metric: str) -> str:
    """The name of the stack's best row, `operator` where none has that score.

    Rows of the steady state alone, and those that are told of the physics while they forecast, do not count.
    """
    rows = [row for row in scores.rows if row.role == "model" and row.marching]
    costs = {row.model: cost(metric, scores_of(row)) for row in rows}
    known = {name: value for name, value in costs.items() if value is not None}
    return min(known, key=lambda name: known[name]) if known else "operator"


def judge(
    scores: Mapping[str, float | None], champion: Champion | None, settings: GateSettings, missing: str = ""
) -> Decision:
    """Compares a run with the champion.

    Args:
        scores: The run's.
        champion: None where no other run stands on this protocol; then only missing scores fail.
        settings: What is asked for.
        missing: Why scores are missing, where that is known.
    """
    checks = [_check(settings.metric, scores, champion, settings.ratio, None, missing)]
    checks += [_check(name, scores, champion, None, delta, missing) for name, delta in settings.min_deltas.items()]
    failed = [check.sentence for check in checks if not check.passed]
    if failed:
        sentence = f"failed: {'; '.join(failed)}"
    elif champion is None:
        sentence = "passed: no other run stands on this protocol, so there is nothing to beat"
    else:
        sentence = f"passed: {'; '.join(check.sentence for check in checks)}"
    return Decision(not failed, sentence, champion.run if champion else None, tuple(checks))


def _check(
    metric: str,
    scores: Mapping[str, float | None],
    champion: Champion | None,
    ratio: float | None,
    delta: float | None,
    missing: str,
) -> Check:
    name = "|spread_skill - 1|" if metric == "spread_skill" else metric
    value = cost(metric, scores)
    theirs = cost(metric, champion.scores) if champion else None
    if value is None:
        return Check(metric, None, theirs, None, False, f"{name} is missing{f' ({missing})' if missing else ''}")
    if champion is None:
        return Check(metric, value, None, None, True, f"{name} is {value:.4g}")
    if theirs is None:
        return Check(metric, value, None, None, False, f"{name} of the champion {champion.run} is missing")
    limit = ratio * theirs if ratio is not None else theirs - (delta or 0.0)
    whose = f"that of the champion {champion.run}, {theirs:.4g}"
    if limit != theirs:
        whose = f"{limit:.4g}, {_distance(ratio, delta or 0.0)} {whose}"
    relation = "at most" if value <= limit else "above"
    return Check(metric, value, theirs, limit, value <= limit, f"{name} {value:.4g} is {relation} {whose}")


def _distance(ratio: float | None, delta: float) -> str:
    """How a limit lies to the champion's score, in words."""
    if ratio is not None:
        return f"{ratio:g} times"
    return f"{abs(delta):g} {'below' if delta > 0 else 'above'}"
