"""The training log: one JSON object a line, appended with one write each, so that a kill costs at most the line being
written. Lines that are no epochs are skipped, counted, and kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, ValidationError
from pydantic_core import from_json

from ups.core.errors import UserError
from ups.core.files import replacing
from ups.core.record import LARGEST, Record

LIMIT = 1e300
"""Larger numbers have no place in a curve."""
Entry = dict[str, Any]
"""An epoch: its `stage`, `epoch` and `global_step`, and further numbers and texts; None for what is not finite."""


class Epoch(Record):
    """What a line must hold to be an epoch."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[int, Field(ge=-(2**53), le=2**53)] | float | str | bool | None]

    stage: str
    epoch: int = Field(ge=0, le=2**53)
    global_step: int = Field(ge=0, le=2**53)


@dataclass(frozen=True)
class TrainingLog:
    """A log that was read.

    Attributes:
        epochs: Its entries in order.
        skipped: How many lines are no epochs.
    """

    epochs: list[Entry]
    skipped: int

    @property
    def notice(self) -> str:
        """What to say of the lines that were skipped; empty if there are none."""
        return f"{self.skipped} line{'s' if self.skipped > 1 else ''} of the training log skipped" * bool(self.skipped)


def plain(value: Any) -> Any:
    """JSON has no infinity and no NaN: both become null."""
    return None if isinstance(value, float) and not abs(value) <= LIMIT else value


def read_log(path: Path) -> TrainingLog:
    """All epochs of a log; none where there is no file. Raises UserError for what is no file, or far too large."""
    found = [_entry(line) for line in _lines(path)]
    epochs = [entry for entry in found if entry is not None]
    return TrainingLog(epochs, len(found) - len(epochs))


def _lines(path: Path) -> list[bytes]:
    if not path.exists():
        return []
    if not path.is_file() or path.stat().st_size > LARGEST:
        raise UserError(f"{path} is not a training log: expected a file of at most {LARGEST // 2**20} MB; move it away")
    return [line for line in path.read_bytes().split(b"\n") if line.strip()]


def _entry(line: bytes) -> Entry | None:
    """The epoch in a line, None if it is none."""
    try:
        content = from_json(line)
        return Epoch.model_validate({key: plain(value) for key, value in content.items()}).model_dump()
    except (ValueError, AttributeError, ValidationError):
        return None


def append_line(path: Path, entry: Entry) -> None:
    """Appends one entry in one write."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab", buffering=0) as file:
            file.write((json.dumps({k: plain(v) for k, v in entry.items()}) + "\n").encode())
    except OSError as error:
        raise UserError(f"cannot write the training log {path}: {error.strerror}") from error


def drop_epochs(path: Path, drop: Callable[[Entry], bool]) -> list[Entry]:
    """Takes epochs out of a log, as a whole and atomically, and returns those that stay.

    Lines that are no epochs stay, but for a last one that a kill cut off.
    """
    lines = _lines(path)
    entries = [_entry(line) for line in lines]
    whole = not lines or path.read_bytes().endswith(b"\n")
    kept = [i for i, entry in enumerate(entries) if entry is None or not drop(entry)]
    if not whole:
        kept = [i for i in kept if i < len(lines) - 1 or entries[i] is not None]
    if not whole or len(kept) < len(lines):
        with replacing(path, "training log") as part:
            part.write_bytes(b"".join(lines[i] + b"\n" for i in kept))
    return [entry for i in kept if (entry := entries[i]) is not None]
