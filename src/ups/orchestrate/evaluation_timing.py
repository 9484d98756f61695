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
from ups.core.device import device_of
from ups.data.dataset import Dataset
from ups.data.split import Split
from ups.orchestrate.measure import device_peak, host_peak, reset_peak
from ups.run.score import evaluate_run, part_of
from ups.tracking.sinks import Tracker
from ups.training.timing import clock

ENOUGH = 16
"""Trajectories after which the time of an evaluation grows with their number, on a CPU."""


@dataclass(frozen=True)
class EvaluationEstimate:
    """What an evaluation will take, of so many trajectories of so many frames."""

    trajectories: int
    frames: int
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
    """Evaluates a short horizon of some trajectories twice, as asked for and again without pictures.

    The second time nothing is compiled and nothing is drawn, so it grows with frames and trajectories; what the first
    took beyond it is paid once, however much is evaluated.
    """
    part, settings = part_of(data, split), config.evaluation
    every = min(part.n, settings.trajectories or part.n)
    n = min(every, settings.batch, ENOUGH if device_of(config.run.device).type == "cpu" else settings.batch)
    frames = min(part.frames, max(settings.context, *settings.also_context, 1) + max(4, part.frames // 4))
    reset_peak()
    whole = short_run(folder, split, config, data, n, frames)
    growing = min(whole, short_run(folder, split, without_pictures(config), data, n, frames))
    seconds = whole - growing + growing * (part.frames / frames) * (every / n)
    return EvaluationEstimate(every, part.frames, seconds, host_peak(), device_peak())


def without_pictures(config: Config) -> Config:
    """The same config with nothing to draw, not even the training log."""
    evaluation = config.evaluation.model_copy(update={"pictures": False})
    training = config.training.model_copy(update={"log_path": "reports/none.jsonl"})
    return config.model_copy(update={"evaluation": evaluation, "training": training})


def first_calls(folder: Path, split: str, config: Config, data: Dataset) -> None:
    """A tiny evaluation, which pays for imports and for what else is slow once in a process."""
    settings = config.evaluation
    short_run(folder, split, config, data, 1, max(settings.context, *settings.also_context, 1) + 1)


def short_run(folder: Path, split: str, config: Config, data: Dataset, n: int, frames: int) -> float:
    """Seconds of an evaluation of `frames` of `n` trajectories, without the training of its baselines."""
    leads = tuple(lead for lead in config.evaluation.lead_times if lead <= frames - config.evaluation.context) or (1,)
    settings, whole = config.evaluation.model_copy(update={"lead_times": leads, "baselines": ()}), part_of(data, split)
    steps, of = (length - config.evaluation.fewest_given for length in (frames, whole.frames))
    ttc = config.ttc.shortened(steps, of)
    cut = cast(Any, Shortened(whole, n, frames))
    short = replace(data, **{split: cut})
    began = clock()
    with redirect_stdout(io.StringIO()):
        evaluate_run(folder, split, config.model_copy(update={"evaluation": settings, "ttc": ttc}), short, Tracker())
    return clock() - began
