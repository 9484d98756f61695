"""What a run will take, from a few real steps of every stage and a few real frames of both evaluations.

Everything is done with the classes that do it later, on the same data and at the same batch sizes, in a folder that is
thrown away. Steps are timed at points spread over a stage, because a step costs more where more is unrolled. Stages
that build on others build on untrained ones, which cost the same. A stage that stops early takes less.
"""

from __future__ import annotations

import io
import itertools
import math
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ups.config import Config
from ups.data.dataset import Dataset
from ups.data.split import Split
from ups.orchestrate import memory
from ups.orchestrate.plan import Plan
from ups.pipeline import STAGES, context_of, evaluate_run
from ups.stages.context import Context
from ups.tracking.sinks import Tracker
from ups.tracking.training_logger import TrainingLogger
from ups.training.loop import Tally, Trainer
from ups.training.progress import ProgressBar

POSITIONS, TIMED = 8, 2
"""Points of a stage at which steps are timed, and steps at each after one that is not."""
WORTH_REPEATING = 1.0
"""Seconds up to which a measurement is done twice, and the second, warm one kept."""


@dataclass(frozen=True)
class StageEstimate:
    """What a stage will take; bytes are peaks of the whole process."""

    steps: int
    step_seconds: float
    once_seconds: float
    """Building the stage, and first steps (compilation)."""
    epoch_seconds: float
    """Scores and checkpoints of all epochs."""
    seconds: float
    host_bytes: int
    device_bytes: int | None


@dataclass(frozen=True)
class EvaluationEstimate:
    """What an evaluation will take."""

    seconds: float
    host_bytes: int
    device_bytes: int | None


@dataclass(frozen=True)
class Estimate:
    """What a run will take."""

    data_seconds: float
    stages: dict[str, StageEstimate]
    evaluations: dict[str, EvaluationEstimate]

    @property
    def training_seconds(self) -> float:
        """Opening the data and all stages."""
        return self.data_seconds + sum(stage.seconds for stage in self.stages.values())

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.training_seconds + sum(part.seconds for part in self.evaluations.values())

    @property
    def host_bytes(self) -> int:
        """Largest resident set."""
        return max((part.host_bytes for part in (*self.stages.values(), *self.evaluations.values())), default=0)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        totals = {"training_seconds": self.training_seconds, "seconds": self.seconds, "host_bytes": self.host_bytes}
        return totals | asdict(self)


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


def estimate(plan: Plan, opened: Callable[[], Dataset], scratch: Path) -> Estimate:
    """Measures a few steps and frames and extrapolates.

    Args:
        plan: What will be run.
        opened: Opens the data set.
        scratch: A folder that is made for the purpose and removed.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    began = clock()
    data = opened()
    data_seconds = clock() - began
    try:
        context = replace(context_of(plan.config, data), folder=scratch)
        wanted = set(plan.stages())
        last = max((i for i, name in enumerate(STAGES) if name in wanted), default=-1)
        needed = [name for name in list(STAGES)[: last + 1] if context.settings(name).epochs]
        warm_up(context, needed)
        stages = {name: time_stage(context, name, measured=name in wanted) for name in needed}
        return Estimate(data_seconds, {k: v for k, v in stages.items() if v}, _evaluations(plan, data, scratch))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def warm_up(context: Context, needed: Sequence[str]) -> None:
    """One step of the first stage, so that what is slow once in a process is not taken for slow in every stage."""
    for name in needed[:1]:
        steps_from(new_trainer(context, name), 0, 1)


def time_stage(context: Context, name: str, measured: bool = True) -> StageEstimate | None:
    """Ends one epoch of an untrained stage, which leaves its checkpoints, and takes a few steps if to be `measured`."""
    memory.reset_peak()
    began = clock()
    trainer = new_trainer(context, name)
    once = clock() - began
    scored = end_epoch(trainer)
    if not measured:
        return None
    scored = end_epoch(trainer) if scored < WORTH_REPEATING else scored
    saved, copied = timed(trainer.save_resume), timed(lambda: trainer.save_weights("copy"))
    settings, training = context.settings(name), context.training
    compiled = training.compile if settings.compile is None else settings.compile
    if compiled:
        trainer.model.compile(mode=training.compile_mode)
    first, step = step_seconds(trainer)
    first *= bool(compiled)  # without compilation a first step is slow once in a process, not in every stage
    steps = settings.epochs * trainer.epoch_steps
    scores = math.ceil(settings.epochs / settings.validate_every)
    interval = training.checkpoint_interval if settings.checkpoint_interval is None else settings.checkpoint_interval
    copies = settings.epochs // interval if interval else 0
    saves = settings.epochs - scores + step * steps / training.checkpoint_seconds
    epochs = scores * scored + copies * copied + saves * saved
    total = once + first + steps * step + epochs
    return StageEstimate(steps, step, once + first, epochs, total, memory.host_peak(), memory.device_peak())


def new_trainer(context: Context, name: str) -> Trainer:
    """A stage at its start, set to score and save at the end of every epoch."""
    settings = context.settings(name).model_copy(update={"validate_every": 1, "checkpoint_interval": 0})
    log = TrainingLogger(context.folder / context.training.log_path)
    stage = STAGES[name](context)
    return Trainer(stage, settings, context.training, context.checkpoints, log, context.seed, context.device)


def end_epoch(trainer: Trainer) -> float:
    """Seconds that the end of a first epoch takes: a score, weights, a line in the log, the state to resume from."""
    _, sums = steps_from(trainer, 0, 1)
    began = clock()
    trainer.finish_epoch({name: float(total) for name, total in sums.items()}, 0.0, cast(ProgressBar, Unseen()))
    return clock() - began


class Unseen:
    """A progress bar that shows nothing."""

    def epoch(self, entry: dict[str, Any]) -> None:
        """An epoch is done."""


def step_seconds(trainer: Trainer) -> tuple[float, float]:
    """Seconds that first steps take over others in all, and of one step on average over the stage."""
    total = trainer.settings.epochs * trainer.epoch_steps
    places = min(POSITIONS, total)
    extra, means = 0.0, []
    for i in range(places):
        start = max(0, min(int((i + 0.5) * total / places), total - TIMED - 1))
        (first, *others), _ = steps_from(trainer, start, 1 + TIMED)
        means.append(statistics.fmean(others))
        extra += max(0.0, first - means[-1])
    return extra, statistics.fmean(means)


def steps_from(trainer: Trainer, start: int, count: int) -> tuple[list[float], dict[str, Tensor]]:
    """Seconds of each of `count` steps from step `start` on, and the sums of their losses."""
    stage, accum, times = trainer.stage, trainer.accum, []
    trainer.model.train()
    trainer.tally = Tally(step=start)
    epoch, within = divmod(start, trainer.epoch_steps)
    batches = stage.batches(epoch * stage.steps_per_epoch + within * accum)
    sums: dict[str, Tensor] = {}
    for _ in range(count):
        began = clock()
        micro = trainer.tally.step % trainer.epoch_steps * accum
        group = list(itertools.islice(batches, min(accum, stage.steps_per_epoch - micro)))
        trainer.optimizer_step(group, sums)
        times.append(clock() - began)
    return times, sums


def _evaluations(plan: Plan, data: Dataset, folder: Path) -> dict[str, EvaluationEstimate]:
    skipped, options = not plan.config.evaluation.enabled, plan.options
    wanted = {
        "validation": None if skipped or options.skip_small_eval else plan.small,
        "test": None if skipped or options.skip_full_eval else plan.full,
    }
    if not (folder / "checkpoints" / "operator.pt").exists():
        return {}
    for steady in (folder / "checkpoints").glob("steady_prior*"):
        steady.unlink()  # short trajectories reach no steady state that it could be scored on
    return {split: evaluation(folder, split, config, data) for split, config in wanted.items() if config}


def evaluation(folder: Path, split: str, config: Config, data: Dataset) -> EvaluationEstimate:
    """Evaluates one batch over two short horizons, and goes on along the line through both times.

    The time is `a + b T` for T frames: `a` for pictures, intervals and compilation, `b` for frames, which all
    trajectories take.
    """
    part, settings = data.test if split == "test" else data.validation, config.evaluation
    every = min(part.n, settings.trajectories or part.n)
    n = min(every, settings.batch)
    shortest = max(settings.context, *settings.also_context, 1) + 1
    longer = min(part.frames, shortest + max(2, (part.frames - shortest) // 6))
    short_run(folder, split, config, data, 1, shortest)
    memory.reset_peak()
    first = short_run(folder, split, config, data, n, shortest)
    second = short_run(folder, split, config, data, n, longer) if longer > shortest else first
    slope = max(0.0, second - first) / max(1, longer - shortest)
    fixed = max(0.0, first - slope * shortest)
    seconds = fixed + slope * part.frames * every / n
    return EvaluationEstimate(seconds, memory.host_peak(), memory.device_peak())


def short_run(folder: Path, split: str, config: Config, data: Dataset, n: int, frames: int) -> float:
    """Seconds of an evaluation of `frames` of `n` trajectories."""
    leads = tuple(lead for lead in config.evaluation.lead_times if lead <= frames - config.evaluation.context) or (1,)
    settings = config.evaluation.model_copy(update={"lead_times": leads})
    cut = cast(Any, Shortened(data.test if split == "test" else data.validation, n, frames))
    short = replace(data, **{split: cut})
    began = clock()
    with redirect_stdout(io.StringIO()):
        evaluate_run(folder, split, config.model_copy(update={"evaluation": settings}), short, Tracker())
    return clock() - began


def timed(work: Callable[[], object]) -> float:
    """Seconds that `work` takes once it is warm."""
    began = clock()
    work()
    seconds = clock() - began
    return timed_once(work) if seconds < WORTH_REPEATING else seconds


def timed_once(work: Callable[[], object]) -> float:
    """Seconds that `work` takes now."""
    began = clock()
    work()
    return clock() - began


def clock() -> float:
    """Wall-clock seconds; waits for a GPU first."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
