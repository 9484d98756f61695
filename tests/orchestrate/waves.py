"""A run of seconds on waves that no task is known for, so that no classical solver is compiled."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.small import advection, config
from ups.evaluation import evaluate
from ups.orchestrate import Options, Result, gated, orchestrate, steps
from ups.orchestrate.state import State
from ups.run import score as scoring
from ups.training import stage_files
from ups.training.loop import Trainer


def waves(folder: Path, **sections: dict[str, Any]) -> Path:
    """A config beside its data; its run folder is `folder/runs/waves`."""
    data = advection(folder / "data").rename(folder / "data" / "waves.hdf5")
    settings: dict[str, dict[str, Any]] = {
        "data": {"task": None, "files": [str(data)], "boundary": ["periodic"], "validation": 0.2, "test": 0.2},
        "run": {"dir": str(folder / "runs" / "waves"), "threads": 1, "device": "cpu"},
    }
    path = config(folder, **{**settings, **sections})
    (folder / "data" / "1D_Advection_Sols_beta0.4.hdf5").unlink()
    return path


def run(path: Path, **flags: Any) -> Result:
    """An orchestration that says nothing and estimates nothing unless asked to."""
    return orchestrate(Options(path, **{"skip_dry_run": True, **flags}), lambda text: None)


def die() -> None:
    """Ends this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def dies_when(owner: Any, name: str, when: Callable[..., bool], before: bool = False) -> None:
    """Lets this process die after (or before) the work of `owner.name` once `when` its arguments are so."""
    work = getattr(owner, name)

    def fatal(*given: Any, **named: Any) -> Any:
        if before and when(*given):
            die()
        found = work(*given, **named)
        if when(*given):
            die()
        return found

    setattr(owner, name, fatal)


def kill_at(marker: str) -> None:
    """Lets this process die by SIGKILL.

    Args:
        marker: A step of the orchestration, whose work is then done and not recorded; a function of it that is then
            done; `STAGE@N` in the middle of an epoch, after N steps of the stage; `STAGE.score` before its second
            epoch is scored; `STAGE.pt` with half of the weights written; `SPLIT/ROW` when the row is scored on the
            split; `SPLIT/report` with scores written and no report.
    """
    stage, _, count = marker.partition("@")
    split, _, row = marker.partition("/")
    if count:
        dies_when(Trainer, "optimizer_step", lambda t, *_: (t.stage.name, t.tally.step) == (stage, int(count)))
    elif marker.endswith(".score"):
        name = marker.removesuffix(".score")
        dies_when(Trainer, "evaluate", lambda t: (t.stage.name, t.tally.epoch) == (name, 2), before=True)
    elif marker.endswith(".pt"):
        setattr(stage_files.checkpoint.torch, "save", half_of(marker))  # noqa: B010
    elif row == "report":
        dies_when(scoring, "write_report", lambda target, *_: (target.name == "validation") == (split == "validation"))
    elif row:
        within(split, lambda: dies_when(evaluate, "evaluate_row", lambda name, *_: name == row))
    elif marker in ("finish_board", "set_aside_checkpoints"):
        dies_when(steps, marker, lambda *_: True)
    else:
        dies_when(State, "record", lambda _, name, *rest: name == marker, before=True)


def half_of(name: str) -> Callable[[dict[str, Any], Path], None]:
    """What stands in for `torch.save`: it leaves the file `name` cut off."""
    import torch

    whole = torch.save

    def save(payload: dict[str, Any], part: Path) -> None:
        whole(payload, part)
        if part.name == f"{name}.part":
            os.truncate(part, part.stat().st_size // 2)
            die()

    return save


def within(split: str, begin: Callable[[], None]) -> None:
    """Calls `begin` when the evaluation on `split` begins; the tiny ones of a dry run do not count."""
    scored = gated.evaluate_run

    def evaluated(folder: Path, part: str, *rest: Any) -> Any:
        if part == split:
            begin()
        return scored(folder, part, *rest)

    setattr(gated, "evaluate_run", evaluated)  # noqa: B010


if __name__ == "__main__":
    chosen, given = sys.argv[2], json.loads(sys.argv[3])
    kill_at(chosen)
    run(Path(sys.argv[1]), **given)
