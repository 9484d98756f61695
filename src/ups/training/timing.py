"""Seconds that steps of training take, measured on a few real ones.

Steps are timed at points spread over a stage, because a step costs more where more is unrolled.
"""

from __future__ import annotations

import itertools
import statistics
import time

import torch
from torch import Tensor

from ups.training.loop import Trainer
from ups.training.tally import Tally

POSITIONS, TIMED = 8, 2
"""Points of a stage at which steps are timed, and steps at each after one that is not."""


def clock() -> float:
    """Wall-clock seconds; waits for a GPU first."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def step_seconds(trainer: Trainer, timed: int = TIMED) -> tuple[float, float]:
    """Seconds that first steps take over others in all, and of one step on average over the stage, from `timed` steps
    at each of its points."""
    total = trainer.settings.epochs * trainer.epoch_steps
    places = min(POSITIONS, total)
    extra, means = 0.0, []
    for i in range(places):
        start = max(0, min(int((i + 0.5) * total / places), total - timed - 1))
        (first, *others), _ = steps_from(trainer, start, 1 + timed)
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
