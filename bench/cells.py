"""Cells: the named parts of a benchmark, each a function of its settings, each with its own result file.

RESULTS/<bench>/<cell>.json   settings, machine, versions, data and scores; a cell that has one is not run again
"""

from __future__ import annotations

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
from ups.evaluation.evaluate import write_metrics

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
        bench: The benchmark, a folder of results.
        name: Stem of its result file.
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

    def result(self, place: Place) -> Path:
        """Its result file."""
        return place.results / self.bench / f"{self.name}.json"

    def folder(self, place: Place) -> Path:
        """Its own folder, another one for other settings."""
        return place.runs / self.bench / f"{self.name}-{key_of(self.settings)}"

    def finished(self, place: Place) -> bool:
        """Whether there is a result of these settings, and the product that others need."""
        return (self.product is None or self.product(place).exists()) and self.measured(place)

    def measured(self, place: Place) -> bool:
        """Whether there is a result of these settings."""
        path = self.result(place)
        return path.exists() and json.loads(path.read_text())["settings"] == json.loads(json.dumps(self.settings))


def key_of(values: Any) -> str:
    """Eight digits that stand for plain values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]


def run_cell(cell: Cell, place: Place) -> dict[str, Any]:
    """Runs a cell and writes its result file."""
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
    path = cell.result(place)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_metrics(path, record)
    return record


def pending(cells: Sequence[Cell], place: Place, pattern: str = "*") -> list[Cell]:
    """Cells whose title fits the pattern (as of file names) and that have no result yet, in the order of phases."""
    wanted = [cell for cell in cells if fnmatch(cell.title, pattern) and not cell.finished(place)]
    return sorted(wanted, key=lambda cell: cell.phase)


def records(place: Place, bench: str) -> list[dict[str, Any]]:
    """All results of a benchmark, by name."""
    return [json.loads(path.read_text()) for path in sorted((place.results / bench).glob("*.json"))]
