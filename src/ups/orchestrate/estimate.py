"""What a run will take: a few steps of every stage through the ordinary loop, a few trajectories of both evaluations.

The stages are those of the run, on its data and at its batch sizes, but shortened, in a folder that is thrown away.
Untrained stages cost what trained ones do. A stage that stops early takes less than is said here.
"""

from __future__ import annotations

import io
import math
import shutil
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ups.config import Config
from ups.core.stages import STAGES, needed_by
from ups.data.dataset import Dataset
from ups.orchestrate.peaks import clock, device_peak, host_peak, reset_peak
from ups.orchestrate.plan import Plan
from ups.run.score import evaluate_run, part_of
from ups.run.train import context_of
from ups.stages.build import build_stage
from ups.stages.context import Context
from ups.tracking.sinks import Tracker
from ups.training.loop import fit

EPOCHS, STEPS, TRAJECTORIES = 3, 4, 4
"""Epochs of a shortened stage, the first of which warms up; optimizer steps in each; trajectories of an evaluation."""


@dataclass(frozen=True)
class Cost:
    """What a stage or an evaluation will take.

    Attributes:
        seconds: All of it, with what is slow once (building, compiling, drawing).
        host_bytes, device_bytes: Peaks of the whole process; None without a GPU.
        steps, step_seconds: Optimizer steps of a stage, and the time of one.
    """

    seconds: float
    host_bytes: int
    device_bytes: int | None
    steps: int = 0
    step_seconds: float = 0.0


@dataclass(frozen=True)
class Estimate:
    """What a run will take, `baseline_seconds` of it to train `evaluation.baselines`."""

    data_seconds: float
    stages: dict[str, Cost]
    evaluations: dict[str, Cost]
    baseline_seconds: float

    @property
    def training_seconds(self) -> float:
        """All stages."""
        return sum(stage.seconds for stage in self.stages.values())

    @property
    def seconds(self) -> float:
        """All of it, with opening the data."""
        evaluations = self.baseline_seconds + sum(part.seconds for part in self.evaluations.values())
        return self.data_seconds + self.training_seconds + evaluations

    @property
    def host_bytes(self) -> int:
        """Largest resident set."""
        return max((part.host_bytes for part in (*self.stages.values(), *self.evaluations.values())), default=0)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        totals = {"training_seconds": self.training_seconds, "seconds": self.seconds, "host_bytes": self.host_bytes}
        return totals | asdict(self)


def estimate(plan: Plan, opened: Callable[[], Dataset], scratch: Path) -> Estimate:
    """Measures a short run and scales it.

    Args:
        plan: What will be run.
        opened: Opens the data set.
        scratch: A folder that is made for the purpose and removed.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    began = clock()
    data = opened()
    data_seconds, options = clock() - began, plan.options
    skipped = {"validation": options.skip_small_eval, "test": options.skip_full_eval}
    scored = {
        split: config
        for split, config in {"validation": plan.small, "test": plan.full}.items()
        if config.evaluation.enabled and not skipped[split]
    }
    try:
        context = replace(context_of(plan.config, data), folder=scratch)
        wanted = [] if options.skip_training else plan.stages()
        trained = [name for name in STAGES if context.settings(name).epochs]
        needed = trained if not wanted else trained[: trained.index(wanted[-1]) + 1]
        costs = {name: _stage(context, name) for name in needed}
        stages = {name: costs[name] for name in wanted}
        ready = (context.checkpoints / "operator.pt").exists()
        evaluations = {name: _evaluation(scratch, name, config, data) for name, config in scored.items() if ready}
        names = {name for config in scored.values() for name in config.evaluation.baselines}
        matched = sum(stages[name].seconds for name in needed_by("operator") if name in stages)
        return Estimate(data_seconds, stages, evaluations, len(names) * matched)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class _Ends:
    """A log that keeps the moments at which epochs end."""

    def __init__(self) -> None:
        self.moments: list[float] = []
        self.steps: list[float] = []
        """Seconds of the steps of each epoch."""

    def rewind(self, stage: str, epoch: int) -> None:
        """Nothing was recorded before."""

    def write(self, entry: dict[str, Any]) -> None:
        """An epoch has ended."""
        self.moments.append(clock())
        self.steps.append(entry["epoch_time_sec"])


def _stage(context: Context, name: str) -> Cost:
    """A stage that is cut to a few steps: its whole schedule is run through, as later steps may unroll further; the
    last epoch alone is scored."""
    reset_peak()
    began = clock()
    stage, settings, training = build_stage(context, name), context.settings(name), context.training
    length = min(stage.steps_per_epoch, STEPS * training.accum_steps)
    # an untrained model may diverge, which says nothing of the trained one
    short = replace(stage, steps_per_epoch=length, score=lambda model: min(stage.score(model), 1e30))
    usual = {"seconds": None, "patience": None, "target_loss": 0.0, "checkpoint_interval": 0}
    few = settings.model_copy(update={**usual, "epochs": EPOCHS, "validate_every": EPOCHS})
    ends = _Ends()
    fit(short, few, training, context.checkpoints, ends, seed=context.seed, device=context.device)
    whole = clock() - began
    per_epoch = [math.ceil(n / training.accum_steps) for n in (stage.steps_per_epoch, length)]
    step = sum(ends.steps[1:]) / ((EPOCHS - 1) * per_epoch[1])
    saved, scored = (ends.moments[i] - ends.moments[i - 1] - ends.steps[i] for i in (1, EPOCHS - 1))
    once = max(0.0, whole - EPOCHS * (per_epoch[1] * step + saved) - scored)
    steps, scores = settings.epochs * per_epoch[0], math.ceil(settings.epochs / settings.validate_every)
    seconds = settings.seconds or steps * step + scores * scored + (settings.epochs - scores) * saved
    return Cost(once + seconds, host_peak(), device_peak(), steps, step)


def _evaluation(folder: Path, split: str, config: Config, data: Dataset) -> Cost:
    """One trajectory as asked for, then a few without pictures, which is what grows with their number."""
    reset_peak()
    whole = min(part_of(data, split).n, config.evaluation.trajectories or math.inf)
    few = min(whole, TRAJECTORIES)
    first = _scored(folder, split, config, data, {"trajectories": 1})
    growing = _scored(folder, split, config, data, {"trajectories": few, "pictures": False}) / few
    return Cost(max(0.0, first - growing) + growing * whole, host_peak(), device_peak())


def _scored(folder: Path, split: str, config: Config, data: Dataset, changes: dict[str, Any]) -> float:
    """Seconds of an evaluation with other settings, without the training of its baselines."""
    evaluation = config.evaluation.model_copy(update={**changes, "baselines": ()})
    began = clock()
    with redirect_stdout(io.StringIO()):
        evaluate_run(folder, split, config.model_copy(update={"evaluation": evaluation}), data, Tracker())
    return clock() - began
