"""All cells of the benchmarks, and the results that are no longer theirs."""

from __future__ import annotations

from bench import (
    apebench,
    classical,
    compression,
    distill,
    growth,
    memory,
    peers,
    planar,
    problems,
    speed,
    stages,
    tuning,
)
from bench.cells import Cell, stored
from bench.scale import Place, Scale

BENCHES = (problems, tuning, peers, stages, classical, speed, growth, memory, distill, apebench, planar, compression)
"""Modules whose `cells` make up all benchmarks."""


def all_cells(scale: Scale) -> list[Cell]:
    """The cells of all benchmarks."""
    return [cell for bench in BENCHES for cell in bench.cells(scale)]


def outdated(place: Place, scale: Scale) -> list[str]:
    """Titles of results that no cell would leave as it is set now."""
    current = {cell.title for cell in all_cells(scale) if cell.measured(place)}
    benches = sorted(path.stem for path in place.results.glob("*.jsonl"))
    titles = [f"{bench}/{name}" for bench in benches for name in stored(place, bench)]
    return [title for title in titles if title not in current]
