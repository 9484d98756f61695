"""One stage trained in a run folder, whoever supplies it: our own, a peer's or a bench's."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from ups.tracking.sinks import Tracker
from ups.tracking.training_logger import TrainingLogger
from ups.training.budget import Clock, wall_clock
from ups.training.loop import fit
from ups.training.settings import StageSettings, TrainingSettings
from ups.training.stage import Stage

NOBODY = Tracker()
"""A tracker that nobody listens to."""


def train_stage(
    stage: Stage,
    settings: StageSettings,
    training: TrainingSettings,
    folder: Path,
    *,
    tracker: Tracker = NOBODY,
    seed: int = 0,
    device: torch.device | str = "cpu",
    clock: Clock = wall_clock,
) -> nn.Module:
    """Trains a stage, goes on where it stands, or loads it where it is finished; returns its best model.

    Args:
        stage: What is trained.
        settings: The stage's own settings.
        training: What all stages share.
        folder: The run folder: weights go into `checkpoints/`, a line for each epoch into `training.log_path`.
        tracker: Gets the epochs, and the weights in the end.
        seed: Fixes all randomness.
        device: Where training runs.
        clock: Seconds from any start, which fill the time of a stage: of the clock on the wall unless given.

    Raises:
        UserError: What is there was trained with other settings or data, or a loss or score stops being finite.
    """
    checkpoints, log = folder / "checkpoints", TrainingLogger(folder / training.log_path, (tracker.epoch,))
    model = fit(stage, settings, training, checkpoints, log, seed=seed, device=device, clock=clock)
    for weights in (checkpoints / f"{stage.stem}{suffix}.pt" for suffix in ("", "_ema")):
        if weights.exists():
            tracker.file(weights)
    return model
