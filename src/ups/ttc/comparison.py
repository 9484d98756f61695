"""What the comparison of the strategies of test-time conditioning found, typed."""

from __future__ import annotations

from typing import Any, Self

from pydantic import model_validator

from ups.core.record import Record, Score
from ups.evaluation.ledger import Verdict


class Strategy(Record):
    """One way to spend the same network evaluations."""

    strategy: str
    evaluations: float
    """Per step of one trajectory."""
    ms_per_step: float
    nrmse: Score
    """Of the free rollout, mean over trajectories, and its 95 % interval from `low` to `high`."""
    low: Score
    high: Score
    gain: Score
    """Share by which the error falls below the operator's, and its 95 % interval."""
    gain_low: Score
    gain_high: Score
    own_gain: Score
    """Share by which the error of the settings' own strategy falls below this one's, and its 95 % interval."""
    own_gain_low: Score
    own_gain_high: Score


class Comparison(Record):
    """All strategies over the same trajectories, and what follows."""

    rows: list[Strategy]
    settings: dict[str, Any]
    """Those of test-time conditioning."""
    strategy: str
    """The row that the settings mean."""
    correlation: Score
    """Spearman's between the reward and minus the true error, mean over choices; None if there is none."""
    verdict: Verdict
    sentence: str
    device: str
    threads: int

    @model_validator(mode="after")
    def _has_own(self) -> Self:
        if self.strategy not in {row.strategy for row in self.rows}:
            raise ValueError(f"ttc.rows.{self.strategy} is missing")
        return self

    @property
    def own(self) -> Strategy:
        """The row that the settings mean."""
        return next(row for row in self.rows if row.strategy == self.strategy)
