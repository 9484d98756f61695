"""The file through which one process hands its Weights & Biases run on to another."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from pydantic import Field

from ups.core.errors import UserError
from ups.core.files import write_text
from ups.core.record import Record, read_json, record_of
from ups.tracking.wandb_client import LONGEST, RunIdentity

AGAIN = "remove it, and a new run begins"
"""What helps where the file cannot be read."""


class RunFile:
    """Keeps files that name a run, and through which service it is reached while it is open, up to date.

    Args:
        identity: The run; None hands on that nothing is recorded.
    """

    def __init__(self, identity: RunIdentity | None):
        self.identity, self.service = identity, None
        self._files: list[Path] = []
        self._lock = threading.Lock()

    def write_to(self, path: Path) -> None:
        """Writes `path` now and whenever something changes."""
        with self._lock:
            self._files.append(path.absolute())
            self._write(path)

    def watch(self, path: Path) -> None:
        """Writes `path` once something changes."""
        with self._lock:
            self._files.append(path.absolute())

    def update(self, service: str | None) -> None:
        """The run is open behind `service`, or no longer open."""
        with self._lock:
            self.service = service
            for path in self._files:
                self._write(path)

    def _write(self, path: Path) -> None:
        run = self.identity
        fields = {**asdict(run), "folder": str(run.folder.absolute())} if run else {"mode": "disabled"}
        write_text(path, json.dumps({**fields, "service": self.service}, indent=1) + "\n", "W&B context")


class StoredRun(Record):
    """A run as `RunFile` writes it: `RunIdentity`, and through which service it is reached."""

    id: str = Field(min_length=1)
    mode: Literal["offline", "online"]
    project: str
    entity: str | None
    name: str
    tags: list[str]
    folder: str
    finish_seconds: float = Field(gt=0, le=LONGEST)
    service: str | None


def read_run_file(path: Path) -> tuple[RunIdentity | None, str | None]:
    """The run in a file that `RunFile` wrote, and through which service it is reached, if it is open.

    Raises UserError if the file is missing or is another one.
    """
    if not path.exists():
        raise UserError(f"there is no W&B context {path}; the process that owns the run writes it")
    content = read_json(path, AGAIN)
    if content == {"mode": "disabled", "service": None}:
        return None, None
    found = record_of(StoredRun, content, f"{path} is not a W&B context as save_wandb_context writes it", AGAIN)
    fields = found.model_dump(exclude={"service", "tags", "folder"})
    return RunIdentity(**fields, tags=tuple(found.tags), folder=Path(found.folder)), found.service
