"""The numbers of a stage that survive a restart."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Annotated, Any

from pydantic import ConfigDict, Field

Count = Annotated[int, Field(ge=0)]


@dataclass
class Tally:
    """Where a stage stands: steps, epochs, best score, time, and the sums of the epoch that is under way.

    `rate` is the last learning rate, `reductions` counts those of the plateau schedule, `sums` and `counts` hold each
    logged loss times its samples and the samples it was computed on.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    step: Count = 0
    epoch: Count = 0
    since_improve: Count = 0
    reductions: Count = 0
    best_score: float = math.inf
    best_epoch: Count = 0
    best_loss: float = math.inf
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    done: bool = False
    rate: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, float] = field(default_factory=dict)

    def improves(self, score: float, patience: int) -> bool:
        """Takes the held-out score of the epoch that has ended; whether it is the best so far. The plateau schedule
        bears `patience` scores that are not, and takes the next for a plateau."""
        better = score < self.best_score or not self.best_epoch
        if better:
            self.best_score, self.best_epoch, self.since_improve = score, self.epoch, 0
            return True
        self.since_improve += 1
        if self.since_improve % (patience + 1) == 0:
            self.reductions += 1
        return False

    def standing(self) -> dict[str, Any]:
        """What an epoch's line of the log says of the stage so far."""
        best = {"best_score": self.best_score, "best_loss": self.best_loss}
        return {**best, "epochs_since_improve": self.since_improve, "steps": self.step}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {f.name: getattr(self, f.name) for f in fields(self)}
