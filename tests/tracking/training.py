"""A process that trains and tracks: `python -m tests.tracking.training FOLDER MODE`."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from tests.tracking.settings import Tracking, Wandb
from tests.training.toy import stage
from ups.tracking.sinks import Tracker, open_sinks
from ups.tracking.training_logger import TrainingLogger
from ups.training.loop import fit
from ups.training.settings import StageSettings, TrainingSettings


def train_toy(folder: Path, tracker: Tracker) -> torch.Tensor:
    """Trains three epochs and returns the weights, flat."""
    torch.set_num_threads(1)
    log = TrainingLogger(folder / "reports" / "training_log.jsonl", (tracker.epoch,))
    model = fit(stage(noise=0.1), StageSettings(epochs=3), TrainingSettings(), folder / "checkpoints", log)
    return torch.cat([p.detach().flatten() for p in model.parameters()])


if __name__ == "__main__":
    folder, mode = Path(sys.argv[1]), sys.argv[2]
    with Tracker(open_sinks(Tracking(Wandb(mode), tensorboard=True), folder, {"seed": 0})) as tracker:  # type: ignore[arg-type]
        torch.save(train_toy(folder, tracker), folder / "weights.pt")
