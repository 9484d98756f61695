"""What training left in a run folder, and what of it a training from scratch puts aside."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ups.orchestrate.plan import Plan
from ups.orchestrate.state import Outcome, digest, file_hash
from ups.peers.settings import PEERS
from ups.pipeline import PREDECESSORS, STAGES
from ups.stages.context import FILES
from ups.tracking.jsonl import read_lines


def weights(folder: Path) -> dict[str, str]:
    """Names and hashes of the stages' weights, without those of other models, which an evaluation trains."""
    names = [f"{FILES.get(stage, stage)}{suffix}.pt" for stage in STAGES for suffix in ("", "_ema")]
    hashes = {name: file_hash(folder / "checkpoints" / name) for name in names}
    return {name: value for name, value in hashes.items() if value is not None}


def weights_hash(folder: Path) -> str:
    """One hash of all of them."""
    return digest(weights(folder))[:16]


def training_record(plan: Plan, private: dict[str, Any]) -> Outcome:
    """Epochs, steps and best held-out score of every stage that has weights, from the training log."""
    last = {entry["stage"]: entry for entry in read_lines(plan.folder / plan.config.training.log_path)}
    hashes = weights(plan.folder)
    stages = {
        name: {"epochs": last[name]["epoch"], "steps": last[name]["steps"], "best_score": last[name]["best_score"]}
        for name in STAGES
        if name in last and f"{FILES.get(name, name)}.pt" in hashes
    }
    words = [
        f"{name} ({stage['epochs']} epochs, best score {_number(stage['best_score'])})"
        for name, stage in stages.items()
    ]
    return Outcome(f"trained {', '.join(words)}", {"stages": stages}, {**private, "weights": hashes})


def resting_on(stage: str) -> list[str]:
    """A stage and all that build on it, later stages first; every stage for `all`."""
    found: list[str] = []
    for name in STAGES:
        if stage in ("all", name) or not set(PREDECESSORS[name]).isdisjoint(found):
            found.insert(0, name)
    return found


def free_folder(folder: Path) -> str:
    """The first of `checkpoints.1`, `checkpoints.2`, ... that is not there yet."""
    n = 1
    while (folder / f"checkpoints.{n}").exists():
        n += 1
    return f"checkpoints.{n}"


def set_aside_checkpoints(folder: Path, stage: str, target: str) -> None:
    """Moves the files of a stage, and of all that build on it, from `checkpoints` to the folder `target` beside it.

    Other models go with the operator, since they are trained for as long as it was. What builds on others goes first,
    and of each the state to resume from, so that a kill between two files leaves a folder that can be trained in.
    """
    stages = resting_on(stage)
    stems = [*(PEERS if "operator" in stages else ()), *(FILES.get(name, name) for name in stages)]
    for path in (path for stem in stems for path in _files(folder / "checkpoints", stem)):
        (folder / target).mkdir(exist_ok=True)
        path.rename(folder / target / path.name)


def _files(checkpoints: Path, stem: str) -> list[Path]:
    name = re.compile(rf"{stem}(_resume|(_epoch_\d+)?(_ema)?)\.pt")
    found = [path for path in checkpoints.glob(f"{stem}*.pt") if name.fullmatch(path.name)]
    return sorted(found, key=lambda path: (not path.stem.endswith("_resume"), path.name))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
