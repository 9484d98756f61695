"""What an orchestration has done so far, on disk after every step, so that a kill costs at most the step under way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from ups.core.files import write_text
from ups.core.record import Record, read_json, record_of

FORMAT = 1
AGAIN = "remove it, and every step is checked again"
"""What helps where the file cannot be read."""
EVALUATIONS = {"validation": "small evaluation", "test": "full evaluation"}
"""Splits and the steps that score on them."""
GATES = {"validation": "small gate", "test": "full gate"}
"""Splits and the steps that judge their scores."""
Seconds = Annotated[float, Field(ge=0, le=1e12)]
Bytes = Annotated[int, Field(ge=0, le=2**60)]


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


class OutcomeRecord(Record):
    """An `Outcome` as it lies on disk."""

    sentence: str
    data: dict[str, JsonValue]
    private: dict[str, JsonValue]


class StepRecord(Record):
    """A step that was done."""

    inputs: str
    outcome: OutcomeRecord
    seconds: Seconds


class Forced(Record):
    """A training from scratch that was begun."""

    inputs: str
    kept: str
    moved: bool


class StateRecord(Record):
    """`state.json`."""

    format: Literal[1]
    steps: dict[str, StepRecord]
    forced: Forced | None


class Open(Record):
    """A record that may hold more than is read back."""

    model_config = ConfigDict(extra="ignore")


class TrainingRecord(Open):
    """What training keeps: hashes by file, its peak of memory, and whether it was one from the start."""

    weights: dict[str, str]
    host_bytes: Bytes
    from_scratch: bool


class EvaluationRecord(Open):
    """What an evaluation keeps: the hash of `metrics.json`, and its peak of memory."""

    metrics: str | None
    host_bytes: Bytes


class Timed(Open):
    """What an evaluation was estimated to take."""

    seconds: Seconds


class Estimated(Open):
    """What a run was estimated to take."""

    data_seconds: Seconds
    training_seconds: Seconds
    host_bytes: Bytes
    stages: dict[str, JsonValue]
    evaluations: dict[str, Timed]


class DryRunRecord(Open):
    """What a dry run keeps."""

    estimate: Estimated


class GateRecord(Open):
    """What a gate decided."""

    passed: bool


NEEDED: dict[str, tuple[str, type[Open]]] = {
    "dry run": ("private", DryRunRecord),
    "train": ("private", TrainingRecord),
    **{step: ("private", EvaluationRecord) for step in EVALUATIONS.values()},
    **{step: ("data", GateRecord) for step in GATES.values()},
}
"""What is read back of a step's outcome, and from where in it."""


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
    content = read_json(path, AGAIN)
    where = f"{path} is not the record of an orchestration"
    for name, step in record_of(StateRecord, content, where, AGAIN).steps.items():
        if name in NEEDED:
            part, kind = NEEDED[name]
            record_of(kind, getattr(step.outcome, part), f"{where}: steps.{name}.outcome.{part}", AGAIN)
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
