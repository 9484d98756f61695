"""`metrics.json`: what an evaluation found and how it was scored, written and read back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ConfigDict, Field

from ups.core.errors import UserError
from ups.core.files import write_text
from ups.core.record import Record, Score, read_json, record_of
from ups.evaluation.ledger import LedgerEntry
from ups.evaluation.row import Row

SCHEMA = 2
"""Grows when a reader of `metrics.json` has to know; 1 had none."""
AGAIN = "evaluate again"
"""What helps where the file cannot be read."""


class SplitPart(Record):
    """A split of the data."""

    trajectories: int
    hash: str


class DataFile(Record):
    """A file of the data."""

    name: str
    hash: str


class ScoringProtocol(Record):
    """What a score means: the data, how many frames are given, how many members are drawn, and the hardware.

    It also holds what a data set says of itself.
    """

    model_config = ConfigDict(extra="allow")

    context: int = Field(ge=1)
    members: int
    one_step_members: int
    trajectories: int = Field(ge=1)
    frames: int
    dt: float
    channels: list[str] = Field(min_length=1)
    unit: Literal["training deviation"] = "training deviation"
    """Of scores over all channels that are no ratio: each channel is divided by its `std`."""
    std: list[float]
    """Deviation of each channel over the training split; 0 for one that never changes and is not scored."""
    shape: list[int]
    axes: list[str] = Field(default_factory=lambda: ["x", "y", "z"])
    lead_times: list[int]
    correlation_threshold: float
    bootstrap: int = Field(ge=1, le=10**6)
    seed: int = Field(ge=0)
    batch: int = Field(ge=1)
    device: str
    threads: int
    torch: str
    times: list[float]
    """Of all frames, those given included."""
    split: str = "test"
    task: str | None = None
    params: list[str] = Field(default_factory=list)
    boundary: list[Any] = Field(default_factory=list)
    stride: dict[str, int] = Field(default_factory=dict)
    splits: dict[str, SplitPart] = Field(default_factory=dict)
    files: list[DataFile] = Field(default_factory=list)
    data_hash: str | None = None
    split_hash: str | None = None
    config_hash: str | None = None

    @property
    def leads(self) -> list[float]:
        """Physical lead times of the scored frames."""
        return [time - self.times[self.context - 1] for time in self.times[self.context :]]


class Spectra(Record):
    """Power spectra `(lead time, C, K)`, mean over trajectories: of the truth, and of one member under every model."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, list[list[list[Score]]]]

    lead_times: list[int]
    truth: list[list[list[Score]]]

    def of(self, model: str) -> list[list[list[Score]]]:
        """Those of one row."""
        return self.__pydantic_extra__[model]


class Scores(Record):
    """All that an evaluation found."""

    schema_version: Literal[2] = SCHEMA
    protocol: ScoringProtocol
    errors: list[str]
    """Sentences: rows without a score, and rows that are not there."""
    rows: list[Row] = Field(min_length=1)
    ledger: list[LedgerEntry]
    spectra: Spectra
    pictures: list[str]
    """Names below the folder."""
    break_even: str | None = None
    """After how many forecasts training has paid, in a sentence."""

    def row(self, model: str) -> Row | None:
        """The row of that name."""
        return next((row for row in self.rows if row.model == model), None)

    @property
    def models(self) -> list[Row]:
        """Rows of the stack that have a score along the whole rollout."""
        return [row for row in self.rows if row.of_stack and row.marching and row.error is None]


S = TypeVar("S", bound=Scores)


def write_scores(path: Path, scores: Scores) -> None:
    """Writes strict JSON, whole or not at all. Raises ValueError at a number that is not finite."""
    write_text(path, json.dumps(scores.model_dump(), indent=1, allow_nan=False), "scores")


def read_scores(path: Path, kind: type[S] = Scores) -> S:
    """What `write_scores` wrote.

    Raises:
        UserError: The file is missing, damaged or of an earlier version; the sentence says what is wrong in it.
    """
    if not path.is_file():
        raise UserError(f"there are no scores {path}; evaluate the run first")
    content = read_json(path, AGAIN)
    if isinstance(content, dict) and "rows" in content and content.get("schema_version") != SCHEMA:
        found = content.get("schema_version", 1)
        raise UserError(f"{path} was written by another version (schema {found}, expected {SCHEMA}); {AGAIN}")
    scores = record_of(kind, content, path, AGAIN)
    if wrong := _contradiction(scores):
        raise UserError(f"{path}: {wrong}; {AGAIN}")
    return scores


def _contradiction(scores: Scores) -> str | None:
    """What does not fit together, or None."""
    protocol, names = scores.protocol, [row.model for row in scores.rows]
    steps = protocol.frames - protocol.context
    if len(protocol.std) != len(protocol.channels):
        return f"protocol.std has {len(protocol.std)} of {len(protocol.channels)} channels"
    if len(protocol.times) != protocol.frames or steps < 1:
        return f"protocol.times has {len(protocol.times)} of {protocol.frames} frames, {protocol.context} of them given"
    if len(set(names)) < len(names) or [entry.model for entry in scores.ledger] != names:
        return "rows and ledger do not name the same models, each once"
    found = [
        _in_row(row, row.steady.trajectories if row.steady else protocol.trajectories, steps) for row in scores.rows
    ]
    marching = [row.model for row in scores.rows if row.marching]
    return next((problem for problem in (*found, _in_spectra(scores.spectra, protocol, marching)) if problem), None)


def _in_row(row: Row, trajectories: int, steps: int) -> str | None:
    """Scores and curves that are not as many as they should be."""
    lists = {f"per_trajectory.{name}": (values, trajectories) for name, values in row.per_trajectory}
    if row.marching:
        curves = {"nrmse_per_frame": row.rollout.nrmse_per_frame, "correlation": row.rollout.correlation_per_frame}
        lists |= {f"rollout.{name}": (values, steps) for name, values in curves.items()}
        per_frame = row.probabilistic.per_frame
        lists |= {f"probabilistic.per_frame.{name}": (values, steps) for name, values in per_frame}
    for name, (values, expected) in lists.items():
        if len(values) != expected:
            return f"rows.{row.model}.{name} has {len(values)} of {expected} numbers"
    per_trajectory = [score for _, values in row.per_trajectory for score in values]
    if row.error is None and None in (*per_trajectory, row.crps, row.rollout.nrmse):
        return f"rows.{row.model} has no error and no score"
    return None


def _in_spectra(spectra: Spectra, protocol: ScoringProtocol, models: Sequence[str]) -> str | None:
    """Spectra that are not of the lead times, channels and models of the rows."""
    steps, powers = protocol.frames - protocol.context, spectra.model_dump(exclude={"lead_times"})
    if any(not 1 <= step <= steps for step in spectra.lead_times):
        return f"spectra.lead_times are not steps from 1 to {steps}"
    if spectra.lead_times:
        missing = [model for model in models if model not in powers]
        if missing:
            return f"spectra.{missing[0]} is missing"
    wavenumbers = {len(power) for found in spectra.truth for power in found}
    for name, found in powers.items():
        sizes = {len(power) for channels in found for power in channels}
        whole = len(found) == len(spectra.lead_times) and {len(channels) for channels in found} <= {
            len(protocol.channels)
        }
        if not whole or sizes != wavenumbers or len(sizes) > 1 or sizes & {0, 1, 2}:
            return f"spectra.{name} is not of the lead times, channels and wavenumbers of the others"
    return None
