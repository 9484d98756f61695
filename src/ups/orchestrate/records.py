"""The records of a training that is to be done again from scratch."""

from __future__ import annotations

import shutil
from pathlib import Path

from ups.orchestrate.handed import HANDED
from ups.orchestrate.plan import Plan
from ups.tracking.wandb_context import remembered


def set_aside_records(plan: Plan, target: Path) -> None:
    """Moves training log and TensorBoard's files to the old checkpoints, and lets a new Weights & Biases run begin.

    The next training then counts its global steps from 1, in files of its own.

    Args:
        plan: The orchestration.
        target: The folder of the old checkpoints.
    """
    folder, log = plan.folder, plan.folder / plan.config.training.log_path
    for path in (log, folder / "tensorboard", remembered(folder)):
        if path.exists():
            target.mkdir(exist_ok=True)
            shutil.move(path, target / path.name)
    (folder / "orchestrate" / HANDED).unlink(missing_ok=True)
