"""Stand-ins for a Weights & Biases run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ups.tracking.wandb_client import Mode, RunIdentity


def identity(
    folder: Path, id: str = "abc", mode: Mode = "offline", project: str = "tests", finish_seconds: float = 5.0
) -> RunIdentity:
    """A run in `folder`."""
    return RunIdentity(id, mode, project, None, folder.name, ("toy",), folder, finish_seconds)


@dataclass
class Fake:
    """Keeps every call with its arguments; `act` is done first.

    Its `connect` keeps what it was asked for in `asked`.
    """

    service: str | None = "3-1-unix-socket"
    records: str = "wandb/run-abc"
    uploads: bool = False
    act: Callable[[], Any] = lambda: None
    connected: Callable[[], Any] = lambda: None
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    asked: list[tuple[RunIdentity, Mapping[str, Any], str | None]] = field(default_factory=list)

    def connect(
        self, identity: RunIdentity, config: Mapping[str, Any], service: str | None, warn: Callable[[str], None]
    ) -> Fake:
        self.connected()
        self.asked.append((identity, config, service))
        return self

    def _call(self, *call: Any) -> None:
        self.act()
        self.calls.append(call)

    def log(self, stage: str, metrics: Mapping[str, float], step: int) -> None:
        self._call("log", stage, metrics, step)

    def summary(self, values: Mapping[str, float]) -> None:
        self._call("summary", values)

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        self._call("table", name, columns, rows)

    def image(self, name: str, path: Path) -> None:
        self._call("image", name, path)

    def save(self, path: Path) -> None:
        self._call("save", path)

    def finish(self, exit_code: int) -> None:
        self._call("finish", exit_code)


def explode() -> None:
    """A failure inside wandb."""
    raise RuntimeError("wandb is broken")


HANG_SECONDS = 60.0


def hang() -> None:
    """A call that never comes back while the tests run."""
    threading.Event().wait(HANG_SECONDS)
