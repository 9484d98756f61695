"""What an orchestration has done so far, on disk after every step, so that a kill costs at most the step under way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ups.core.errors import UserError
from ups.core.files import write_text

FORMAT = 1


@dataclass(frozen=True)
class Outcome:
    """What a step came to.

    Attributes:
        sentence: The outcome in words.
        data: The same as plain values; it depends on config and data alone, never on clocks.
        private: What is needed to go on and must not be compared between runs: hashes of files and times.
    """

    sentence: str
    data: dict[str, Any] = field(default_factory=dict)
    private: dict[str, Any] = field(default_factory=dict)


class State:
    """The record of the steps of one run folder.

    Args:
        path: The JSON file that holds it; a missing one is an empty record.

    Raises:
        UserError: The file is damaged or foreign.
    """

    def __init__(self, path: Path):
        self.path = path
        self.content: dict[str, Any] = {"format": FORMAT, "steps": {}, "forced": None}
        if path.exists():
            self.content = _read(path)

    def outcome(self, step: str, inputs: str) -> Outcome | None:
        """The recorded outcome of a step, or None where there is none or it came from other inputs."""
        found = self.content["steps"].get(step)
        return Outcome(**found["outcome"]) if found and found["inputs"] == inputs else None

    def seconds(self, step: str) -> float | None:
        """Wall-clock time of a recorded step."""
        found = self.content["steps"].get(step)
        return found["seconds"] if found else None

    def record(self, step: str, inputs: str, outcome: Outcome, seconds: float) -> None:
        """Keeps the outcome of a step."""
        self.content["steps"][step] = {"inputs": inputs, "outcome": asdict(outcome), "seconds": seconds}
        self.save()

    def forget(self, steps: Sequence[str]) -> None:
        """Drops the outcomes of steps that are to be done again."""
        for step in steps:
            self.content["steps"].pop(step, None)
        self.save()

    @property
    def forced(self) -> dict[str, Any] | None:
        """A training from scratch that was begun and has not come to its summary: its `inputs`, the folder `kept` for
        earlier checkpoints, and whether they were `moved` there."""
        return self.content["forced"]

    def force(self, inputs: str, kept: str, moved: bool) -> None:
        """Notes how far a training from scratch is prepared."""
        self.content["forced"] = {"inputs": inputs, "kept": kept, "moved": moved}
        self.save()

    def finish(self) -> None:
        """Nothing is under way any more."""
        self.content["forced"] = None
        self.save()

    def save(self) -> None:
        """Writes the record."""
        write_json(self.path, self.content)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
        if content["format"] != FORMAT or not isinstance(content["steps"], dict):
            raise ValueError(f"expected format {FORMAT}")
        if content["forced"] is not None and set(content["forced"]) != {"inputs", "kept", "moved"}:
            raise ValueError("a training from scratch without inputs, kept or moved")
        for step in content["steps"].values():
            Outcome(**step["outcome"])
            if not {"inputs", "seconds"} <= set(step):
                raise ValueError("a step without inputs or seconds")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is not the record of an orchestration ({type(error).__name__}: {error}); "
            "remove it, and every step is checked again"
        ) from error
    return content


def digest(value: Any) -> str:
    """A hash of plain values, settings and paths."""
    text = json.dumps(value, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in a hash")


def file_hash(path: Path) -> str | None:
    """A hash of a file's content, None if there is none."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, content: Any) -> None:
    """Writes strict JSON, whole or not at all."""
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")
