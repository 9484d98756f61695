"""What a stage may use: optimizer steps, or seconds. An epoch is an equal share of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ups.training.tally import Tally

Clock = Callable[[], float]
"""Seconds from any start."""


def wall_clock() -> float:
    """The clock on the wall, in seconds."""
    return time.perf_counter()


class Budget(Protocol):
    """How far a stage goes."""

    @property
    def total(self) -> float:
        """All of it."""
        ...

    def used(self, tally: Tally) -> float:
        """What is used up, at most `total`."""
        ...

    def epoch(self, tally: Tally) -> float:
        """Epochs done, with their fraction; exact where an epoch ends."""
        ...


@dataclass(frozen=True)
class Steps:
    """A number of optimizer steps: schedules follow it, so a resumed stage ends with the same bits.

    Attributes:
        epochs: Epochs of the stage.
        per_epoch: Optimizer steps in each.
    """

    epochs: int
    per_epoch: int

    @property
    def total(self) -> float:
        """Optimizer steps of the stage."""
        return self.epochs * self.per_epoch

    def used(self, tally: Tally) -> float:
        """Optimizer steps done."""
        return tally.step

    def epoch(self, tally: Tally) -> float:
        """Epochs done, with their fraction."""
        return tally.step / self.per_epoch


@dataclass(frozen=True)
class Seconds:
    """A time to fill, evaluations included: schedules follow the clock.

    Attributes:
        epochs: Epochs of the stage.
        total: Seconds of the stage.
    """

    epochs: int
    total: float

    def used(self, tally: Tally) -> float:
        """Seconds spent."""
        return min(tally.seconds + tally.epoch_seconds, self.total)

    def epoch(self, tally: Tally) -> float:
        """Epochs done, with their fraction; an epoch that took longer than its share is done all the same."""
        return max(self.used(tally) / self.total * self.epochs, tally.epoch)


def epoch_ended(budget: Budget, epochs: int, tally: Tally) -> bool:
    """Whether the current epoch has used up its share, with one step at least."""
    return budget.used(tally) >= (tally.epoch + 1) * budget.total / epochs and bool(tally.counts)
