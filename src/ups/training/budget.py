"""A stage that fills a given time: how many optimizer steps it takes follows from a few real ones.

The schedule then ends with these steps, so that two models that are compared at equal time both get a whole one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ups.training import checkpoint
from ups.training.loop import Trainer, fit
from ups.training.settings import StageSettings, TrainingSettings
from ups.training.stage import Log, Stage
from ups.training.timing import POSITIONS, TIMED, clock, step_seconds

EVALUATIONS = 4
"""Scores on the validation split, evenly spread over the stage."""
PROBED = 0.05
"""Share of the time for which steps are timed beforehand."""
PLANNED = ("epochs", "steps_per_epoch", "validate_every")
"""Settings of a stage that its time decides."""


@dataclass(frozen=True)
class Pace:
    """Seconds that one optimizer step of a stage takes on average, and that its score takes."""

    step: float
    score: float

    def steps(self, seconds: float) -> int:
        """Optimizer steps that fit into `seconds` beside the scores; at least one before each score."""
        return max(EVALUATIONS, int((seconds - EVALUATIONS * self.score) / self.step))


def pace_of(trainer: Trainer, seconds: float) -> Pace:
    """Times steps all over a stage for a share of the `seconds` that it will take, and its score; the weights change.

    A first round warms up, and says how many steps the second can afford.
    """
    _, rough = step_seconds(trainer)
    _, step = step_seconds(trainer, max(TIMED, int(PROBED * seconds / (POSITIONS * rough))))
    began = clock()
    trainer.evaluate()
    return Pace(step, clock() - began)


def planned(settings: StageSettings, steps: int, available: int, accum: int) -> StageSettings:
    """Settings of a stage that takes `steps` optimizer steps in all, up to the remainder of their even division.

    Args:
        settings: All other settings.
        steps: Wanted optimizer steps.
        available: Micro-batches in one pass over the data, which an epoch cannot exceed.
        accum: Micro-batches in an optimizer step.
    """
    longest = max(1, available // accum)
    validate_every = math.ceil(steps / (EVALUATIONS * longest))
    epochs = EVALUATIONS * validate_every
    plan = (epochs, steps // epochs * accum, validate_every)
    return settings.model_copy(update=dict(zip(PLANNED, plan, strict=True)))


def fit_within(
    seconds: float,
    build: Callable[[StageSettings], Stage],
    settings: StageSettings,
    training: TrainingSettings,
    folder: Path,
    log: Log,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> nn.Module:
    """Trains a stage for about `seconds`, its scores included, and returns its best model; resumes where it stands.

    Args:
        seconds: Time to fill.
        build: Builds the stage with the epochs and steps of the settings that it is given; called a second time for
            a stage with fresh weights. The fingerprint of the stage holds these settings as `stages.<name>....`.
        settings: The stage's own settings, whose epochs and steps are ignored.
        training: What all stages share.
        folder: Where checkpoints go.
        log: Where epochs are recorded.
        seed: Fixes all randomness but the number of steps.
        device: Where training runs.
    """
    free = settings.model_copy(update={"epochs": EVALUATIONS, "steps_per_epoch": None, "validate_every": 1})
    stage = build(free)
    path = folder / f"{stage.stem}_resume.pt"
    if path.exists():
        known = checkpoint.load(path)["fingerprint"]
        plan = settings.model_copy(update={key: known[f"stages.{stage.name}.{key}"] for key in PLANNED})
    else:
        probe = Trainer(stage, free, training, folder, log, seed, torch.device(device))
        steps = pace_of(probe, seconds).steps(seconds)
        plan = planned(settings, steps, stage.steps_per_epoch, training.accum_steps)
    return fit(build(plan), plan, training, folder, log, seed=seed, device=device)
