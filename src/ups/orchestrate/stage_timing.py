"""Time and memory of a stage, from a few real steps of it.

A stage that builds on others builds on untrained ones, which cost the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from ups.orchestrate.measure import WORTH_REPEATING, device_peak, host_peak, reset_peak, timed
from ups.run.train import STAGES
from ups.stages.context import Context
from ups.tracking.training_logger import TrainingLogger
from ups.training.compilation import Compilation
from ups.training.loop import Trainer
from ups.training.progress import ProgressBar
from ups.training.timing import clock, step_seconds, steps_from


@dataclass(frozen=True)
class StageEstimate:
    """What a stage will take; bytes are peaks of the whole process."""

    epochs: int
    steps: int
    scores: int
    """Scores on the validation split."""
    copies: int
    """Copies of the weights that are kept (`checkpoint_interval`)."""
    step_seconds: float
    once_seconds: float
    """Building the stage, and first steps (compilation)."""
    epoch_seconds: float
    """Scores and checkpoints of all epochs."""
    seconds: float
    host_bytes: int
    device_bytes: int | None


def warm_up(context: Context, needed: Sequence[str]) -> None:
    """One step of the first stage, so that what is slow once in a process is not taken for slow in every stage."""
    for name in needed[:1]:
        steps_from(new_trainer(context, name), 0, 1)


def stage_time(context: Context, name: str, measured: bool = True) -> StageEstimate | None:
    """Ends one epoch of an untrained stage, which leaves its checkpoints, and takes a few steps if `measured`."""
    reset_peak()
    began = clock()
    trainer = new_trainer(context, name)
    once = clock() - began
    scored = end_epoch(trainer)
    scored = end_epoch(trainer) if measured and scored < WORTH_REPEATING else scored
    trainer.files.finish(0.0)  # the stages that build on it ask for that
    if not measured:
        return None
    saved, copied = timed(trainer.save_resume), timed(lambda: trainer.save_weights("copy"))
    settings, training = context.settings(name), context.training
    compiled = training.compiles(settings)
    if compiled:
        trainer.compilation = Compilation(trainer.model, training.compile_mode)
    first, step = step_seconds(trainer)
    first *= compiled  # without compilation a first step is slow once in a process, not in every stage
    steps = settings.epochs * trainer.epoch_steps
    scores = math.ceil(settings.epochs / settings.validate_every)
    interval = training.copy_interval(settings)
    copies = settings.epochs // interval if interval else 0
    saves = settings.epochs - scores + step * steps / training.checkpoint_seconds
    epochs = scores * scored + copies * copied + saves * saved
    total = once + (settings.seconds or first + steps * step + epochs)
    counts = (settings.epochs, steps, scores, copies)
    return StageEstimate(*counts, step, once + first, epochs, total, host_peak(), device_peak())


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
