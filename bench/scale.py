"""How much of the benchmarks is run: all of it in hours, or a look at every part in minutes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Scale:
    """The size of everything.

    Attributes:
        name: `full` or `short`.
        train, validation, test: Trajectories of each split.
        fewer: Sizes of smaller training splits.
        problems: Data sets by name.
        minute: Seconds that stand for a minute of training.
        seeds: Seeds of training; the first also tunes.
        candidates: Configurations tried of each model.
        file_mb: Sizes of files in the measurement of memory.
        repeats: Repetitions of a measurement of time, of which the median is kept.
    """

    name: str
    train: int
    validation: int
    test: int
    fewer: tuple[int, ...]
    problems: tuple[str, ...]
    minute: float
    seeds: tuple[int, ...]
    candidates: int
    file_mb: tuple[int, ...]
    repeats: int


FULL = Scale(
    name="full",
    train=1080,
    validation=60,
    test=120,
    fewer=(100, 300),
    problems=("burgers-0.001", "burgers-0.01", "advection", "ks"),
    minute=60.0,
    seeds=(0, 1, 2),
    candidates=3,
    file_mb=(64, 256, 1024),
    repeats=7,
)
SHORT = Scale(
    name="short",
    train=64,
    validation=8,
    test=16,
    fewer=(16,),
    problems=("burgers-0.001", "ks"),
    minute=2.0,
    seeds=(0,),
    candidates=1,
    file_mb=(16, 64),
    repeats=3,
)


@dataclass(frozen=True)
class Place:
    """Where a benchmark works.

    Attributes:
        results: A file for each benchmark, with a line for each cell.
        runs: Checkpoints, by which a cell that was stopped goes on.
        data: Generated trajectories.
    """

    results: Path = Path("bench/results")
    runs: Path = Path("runs/bench")
    data: Path = Path("data/bench")
