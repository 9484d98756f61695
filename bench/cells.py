"""Cells: the named parts of a benchmark, each a function of its settings, each with its own line of results.

RESULTS/<bench>.jsonl   a line for each cell: settings, machine, versions, data and scores, but no curves over frames or
                        trajectories; a cell that has one is not run again
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from bench.machine import machine
from bench.scale import Place
from ups.core.files import write_text

Work = Callable[[Place, Path], dict[str, Any]]
"""(where to work, a folder of the cell's own) -> what the result file holds besides settings and machine."""


class Phase(IntEnum):
    """Cells of a phase need those of the phases before it; within one they may run side by side, except alone."""

    DATA = 0
    TUNING = 1
    TRAINING = 2
    ALONE = 3


@dataclass(frozen=True)
class Cell:
    """A part of a benchmark.

    Attributes:
        bench: The benchmark, a file of results.
        name: Its name there.
        phase: When it may run.
        settings: All that decides its result, as plain values.
        work: What it does.
        seconds: About how long it takes.
        product: A file that it leaves for other cells and that no result can replace, or None.
    """

    bench: str
    name: str
    phase: Phase
    settings: dict[str, Any]
    work: Work
    seconds: float = 30.0
    product: Callable[[Place], Path] | None = None

    @property
    def title(self) -> str:
        """`<bench>/<name>`."""
        return f"{self.bench}/{self.name}"

    def folder(self, place: Place) -> Path:
        """Its own folder, another one for other settings."""
        return place.runs / self.bench / f"{self.name}-{key_of(self.settings)}"

    def finished(self, place: Place) -> bool:
        """Whether there is a result of these settings, and the product that others need."""
        return (self.product is None or self.product(place).exists()) and self.measured(place)

    def measured(self, place: Place) -> bool:
        """Whether there is a result of these settings."""
        found = stored(place, self.bench).get(self.name)
        return found is not None and agree(found["settings"], json.loads(json.dumps(self.settings)))


def agree(measured: Any, asked: Any) -> bool:
    """Whether plain values are equal, but for settings that came after it, whose defaults change nothing."""
    if isinstance(measured, dict) and isinstance(asked, dict):
        return measured.keys() <= asked.keys() and all(agree(value, asked[key]) for key, value in measured.items())
    return measured == asked


def key_of(values: Any) -> str:
    """Eight digits that stand for plain values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]


def run_cell(cell: Cell, place: Place) -> dict[str, Any]:
    """Runs a cell and stores its line of results."""
    folder = cell.folder(place)
    folder.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    outcome = cell.work(place, folder)
    record = {
        "bench": cell.bench,
        "cell": cell.name,
        "settings": cell.settings,
        "machine": machine(),
        "seconds": round(time.perf_counter() - began, 2),
        **outcome,
    }
    store(place, record)
    return record


def stored(place: Place, bench: str) -> dict[str, dict[str, Any]]:
    """The results of a benchmark by the names of its cells, in their order."""
    path = place.results / f"{bench}.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return {record["cell"]: record for record in map(json.loads, lines)}


def store(place: Place, record: dict[str, Any]) -> None:
    """Puts a record in the place of the earlier one of its cell; raises ValueError at a number that is not finite.

    Cells that end at the same time wait for each other.
    """
    place.runs.mkdir(parents=True, exist_ok=True)
    with (place.runs / "results.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = {**stored(place, record["bench"]), record["cell"]: record}
        lines = [json.dumps(found[name], allow_nan=False, separators=(",", ":")) for name in sorted(found)]
        write_text(place.results / f"{record['bench']}.jsonl", "\n".join(lines) + "\n", "results")


def pending(cells: Sequence[Cell], place: Place, pattern: str = "*") -> list[Cell]:
    """Cells whose title fits the pattern (as of file names) and that have no result yet, in the order of phases."""
    wanted = [cell for cell in cells if fnmatch(cell.title, pattern) and not cell.finished(place)]
    return sorted(wanted, key=lambda cell: cell.phase)


def records(place: Place, bench: str) -> list[dict[str, Any]]:
    """All results of a benchmark, by name."""
    return list(stored(place, bench).values())
