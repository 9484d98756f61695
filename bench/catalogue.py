"""All cells of the benchmarks, and the results that are no longer theirs."""

from __future__ import annotations

from pathlib import Path

from bench import classical, distill, growth, memory, peers, problems, speed, stages, tuning
from bench.cells import Cell
from bench.scale import Place, Scale

BENCHES = (problems, tuning, peers, stages, classical, speed, growth, memory, distill)
"""Modules whose `cells` make up all benchmarks."""


def all_cells(scale: Scale) -> list[Cell]:
    """The cells of all benchmarks."""
    return [cell for bench in BENCHES for cell in bench.cells(scale)]


def outdated(place: Place, scale: Scale) -> list[Path]:
    """Result files that no cell would leave as it is set now."""
    current = {cell.result(place) for cell in all_cells(scale) if cell.measured(place)}
    return sorted(path for path in place.results.glob("*/*.json") if path not in current)
