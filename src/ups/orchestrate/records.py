"""Records and scores of a training that is to be done again from scratch."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from ups.orchestrate.plan import Plan
from ups.orchestrate.wandb_run import CONTEXT_FILE
from ups.tracking.wandb_context import remembered

SCORES = ("metrics.json", "predictions.h5", "report.html", "report", "validation", "summary.json")
"""What an evaluation, and the judgement of it, leave in a run folder."""


def set_aside_scores(folder: Path, target: Path) -> None:
    """Moves scores, reports and summary, which are of the old weights, to the folder of the old checkpoints."""
    _move([folder / name for name in SCORES], target)


def set_aside_records(plan: Plan, target: Path) -> None:
    """Moves training log and TensorBoard's files to the old checkpoints, and lets a new Weights & Biases run begin.

    The next training then counts its global steps from 1, in files of its own.

    Args:
        plan: The orchestration.
        target: The folder of the old checkpoints.
    """
    folder, log = plan.folder, plan.folder / plan.config.training.log_path
    _move([log, folder / "tensorboard", remembered(folder)], target)
    (folder / "orchestrate" / CONTEXT_FILE).unlink(missing_ok=True)


def _move(paths: Sequence[Path], target: Path) -> None:
    """Moves those that are there."""
    for path in paths:
        if path.exists():
            target.mkdir(exist_ok=True)
            shutil.move(path, target / path.name)
