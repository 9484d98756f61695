"""What training left in a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ups.orchestrate.plan import Plan
from ups.orchestrate.state import Outcome, file_hash
from ups.tracking.jsonl import read_lines


def weights(folder: Path) -> dict[str, str | None]:
    """Names and hashes of the checkpoints that an evaluation reads."""
    files = sorted((folder / "checkpoints").glob("*.pt"))
    return {path.name: file_hash(path) for path in files if "_resume" not in path.stem and "_epoch_" not in path.stem}


def training_record(plan: Plan, private: dict[str, Any]) -> Outcome:
    """Epochs, steps and best held-out score of every stage that was trained, from the training log."""
    stages: dict[str, dict[str, Any]] = {}
    for entry in read_lines(plan.folder / plan.config.training.log_path):
        stages[entry["stage"]] = {"epochs": entry["epoch"], "steps": entry["steps"], "best_score": entry["best_score"]}
    words = [
        f"{name} ({stage['epochs']} epochs, best score {_number(stage['best_score'])})"
        for name, stage in stages.items()
    ]
    return Outcome(f"trained {', '.join(words)}", {"stages": stages}, {**private, "weights": weights(plan.folder)})


def set_aside_checkpoints(folder: Path) -> Path | None:
    """Renames the checkpoints to the first free of `checkpoints.1`, `checkpoints.2`, ...; returns its path."""
    checkpoints = folder / "checkpoints"
    if not checkpoints.exists():
        return None
    n = 1
    while (target := folder / f"checkpoints.{n}").exists():
        n += 1
    return checkpoints.rename(target)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
