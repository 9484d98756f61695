"""What training left in a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ups.core.stages import STAGES
from ups.orchestrate.plan import Plan
from ups.orchestrate.state import Outcome, digest, file_hash
from ups.tracking.jsonl import read_log


def weights(folder: Path) -> dict[str, str]:
    """Names and hashes of the stages' weights, without those of other models, which an evaluation trains."""
    names = [f"{spec.stem}{suffix}.pt" for spec in STAGES.values() for suffix in ("", "_ema")]
    hashes = {name: file_hash(folder / "checkpoints" / name) for name in names}
    return {name: value for name, value in hashes.items() if value is not None}


def weights_hash(folder: Path) -> str:
    """One hash of all of them."""
    return digest(weights(folder))[:16]


def training_record(plan: Plan, private: dict[str, Any]) -> Outcome:
    """Epochs, steps and best held-out score of every stage that has weights, from the training log."""
    last = {entry["stage"]: entry for entry in read_log(plan.folder / plan.config.training.log_path).epochs}
    hashes = weights(plan.folder)
    stages = {
        name: {
            "epochs": last[name]["epoch"],
            "steps": last[name].get("steps"),
            "best_score": last[name].get("best_score"),
        }
        for name, spec in STAGES.items()
        if name in last and f"{spec.stem}.pt" in hashes
    }
    words = [
        f"{name} ({stage['epochs']} epochs, best score {_number(stage['best_score'])})"
        for name, stage in stages.items()
    ]
    return Outcome(f"trained {', '.join(words)}", {"stages": stages}, {**private, "weights": hashes})


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
