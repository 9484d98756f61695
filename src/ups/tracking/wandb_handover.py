"""The file through which one process hands its Weights & Biases run on to another."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict
from pathlib import Path

from ups.core.errors import UserError
from ups.core.files import write_text
from ups.tracking.wandb_client import RunIdentity


class HandOver:
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


def read_handover(path: Path) -> tuple[RunIdentity | None, str | None]:
    """The run in a file that `HandOver` wrote, and through which service it is reached, if it is open.

    Raises UserError if the file is missing or is another one.
    """
    try:
        fields = json.loads(path.read_text())
        service = fields.pop("service")
        if fields["mode"] == "disabled":
            return None, None
        tags, folder = tuple(fields.pop("tags")), Path(fields.pop("folder"))
        return RunIdentity(**fields, tags=tags, folder=folder), service
    except FileNotFoundError:
        raise UserError(f"there is no W&B context {path}; the process that owns the run writes it") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not a W&B context as save_wandb_context writes it ({error})") from error
