"""Which files a training from scratch puts aside: those of a stage and of all that build on it."""

from __future__ import annotations

import re
from pathlib import Path

from ups.core.stages import STAGES, built_on_by
from ups.peers.settings import PEERS


def free_folder(folder: Path) -> str:
    """The first of `checkpoints.1`, `checkpoints.2`, ... that is not there yet."""
    n = 1
    while (folder / f"checkpoints.{n}").exists():
        n += 1
    return f"checkpoints.{n}"


def set_aside_checkpoints(folder: Path, stage: str, target: str, exact: bool = False) -> None:
    """Moves the files of a stage, and of all that build on it, from `checkpoints` to the folder `target` beside it.

    Other models go with the operator, since they are trained for as long as it was. What builds on others goes first,
    and of each the state to resume from, so that a kill between two files leaves a folder that can be trained in. With
    an `exact` codec nothing builds on a stage for the codec's sake.
    """
    stages = built_on_by(stage, exact)
    stems = [*(PEERS if "operator" in stages else ()), *(STAGES[name].stem for name in stages)]
    for path in (path for stem in stems for path in _files(folder / "checkpoints", stem)):
        (folder / target).mkdir(exist_ok=True)
        path.rename(folder / target / path.name)


def _files(checkpoints: Path, stem: str) -> list[Path]:
    name = re.compile(rf"{stem}(_resume|(_epoch_\d+)?(_ema)?)\.pt")
    found = [path for path in checkpoints.glob(f"{stem}*.pt") if name.fullmatch(path.name)]
    return sorted(found, key=lambda path: (not path.stem.endswith("_resume"), path.name))
