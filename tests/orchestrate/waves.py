"""A run of seconds on waves that no task is known for, so that no classical solver is compiled."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from tests.small import advection, config
from ups.orchestrate import Options, Result, orchestrate, steps
from ups.orchestrate.state import State


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


def kill_at(step: str) -> None:
    """Lets this process die by SIGKILL when the work of `step` is done and nothing of it is recorded yet."""

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    if step in ("finish_board", "set_aside_checkpoints"):
        work = getattr(steps, step)
        setattr(steps, step, lambda *given: (work(*given), die()))
        return
    record = State.record

    def recorded(self: State, name: str, *rest: Any) -> None:
        if name == step:
            die()
        record(self, name, *rest)

    setattr(State, "record", recorded)  # noqa: B010


if __name__ == "__main__":
    chosen, given = sys.argv[2], json.loads(sys.argv[3])
    kill_at(chosen)
    run(Path(sys.argv[1]), **given)
