"""Time and memory of an evaluation, from a few frames of a few trajectories with everything that belongs to it."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from torch import Tensor

from ups.config import Config
from ups.data.dataset import Dataset
from ups.data.split import Split
from ups.orchestrate.measure import clock, device_peak, host_peak, reset_peak
from ups.pipeline import device_of, evaluate_run
from ups.tracking.sinks import Tracker

ENOUGH = 16
"""Trajectories after which the time of an evaluation grows with their number, on a CPU."""


@dataclass(frozen=True)
class EvaluationEstimate:
    """What an evaluation will take."""

    seconds: float
    host_bytes: int
    device_bytes: int | None


@dataclass(frozen=True)
class Shortened:
    """The first `frames` of the first `n` trajectories of a split, as an evaluation reads them."""

    split: Split
    n: int
    frames: int

    @property
    def times(self) -> np.ndarray:
        """Times `(frames,)`."""
        return self.split.times[: self.frames]

    @property
    def params(self) -> Tensor:
        """PDE parameters `(n, P)`."""
        return self.split.params[: self.n]

    @property
    def hash(self) -> str:
        """That of the whole split."""
        return self.split.hash

    def trajectories(self, start: int, stop: int) -> Tensor:
        """`(stop - start, frames, C, *S)`."""
        return self.split.trajectories(start, stop)[:, : self.frames]


def evaluation_time(folder: Path, split: str, config: Config, data: Dataset) -> EvaluationEstimate:
    """Evaluates some trajectories over two short horizons, and goes on along the line through both times.

    The time is `a + b T` for T frames: `a` for pictures, intervals and compilation, `b` for frames, which all
    trajectories take. The shorter horizon already has rollouts of more than one step, which compile on their own.
    """
    part, settings = part_of(data, split), config.evaluation
    every = min(part.n, settings.trajectories or part.n)
    n = min(every, settings.batch, ENOUGH if device_of(config.run.device).type == "cpu" else settings.batch)
    shortest = min(part.frames, max(settings.context, *settings.also_context, 1) + 3)
    longer = min(part.frames, shortest + max(4, (part.frames - shortest) // 4))
    reset_peak()
    first = short_run(folder, split, config, data, n, shortest)
    second = short_run(folder, split, config, data, n, longer) if longer > shortest else first
    slope = max(0.0, second - first) / max(1, longer - shortest)
    fixed = max(0.0, first - slope * shortest)
    seconds = fixed + slope * part.frames * every / n
    return EvaluationEstimate(seconds, host_peak(), device_peak())


def first_calls(folder: Path, split: str, config: Config, data: Dataset) -> None:
    """A tiny evaluation, which pays for imports and for what else is slow once in a process."""
    settings = config.evaluation
    short_run(folder, split, config, data, 1, max(settings.context, *settings.also_context, 1) + 1)


def part_of(data: Dataset, split: str) -> Split:
    """The split called `test` or `validation`."""
    return data.test if split == "test" else data.validation


def short_run(folder: Path, split: str, config: Config, data: Dataset, n: int, frames: int) -> float:
    """Seconds of an evaluation of `frames` of `n` trajectories."""
    leads = tuple(lead for lead in config.evaluation.lead_times if lead <= frames - config.evaluation.context) or (1,)
    settings = config.evaluation.model_copy(update={"lead_times": leads})
    cut = cast(Any, Shortened(part_of(data, split), n, frames))
    short = replace(data, **{split: cut})
    began = clock()
    with redirect_stdout(io.StringIO()):
        evaluate_run(folder, split, config.model_copy(update={"evaluation": settings}), short, Tracker())
    return clock() - began
