"""The data sets of the benchmarks: generated, in PDEBench's layout, one file for each split.

Every split has a seed of its own, and the first n trajectories of a seed are the same however many are generated, so a
smaller training split is the start of the larger one, with the same validation and test splits.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.cells import Cell, Phase
from bench.scale import Place, Scale
from ups.data.dataset import Dataset, open_dataset
from ups.data.settings import DataSettings, FilesSettings
from ups.simulate.generate import GenerateSettings, generate, refinement_error

SEEDS = {"train": 0, "validation": 1, "test": 2}


@dataclass(frozen=True)
class Problem:
    """A data set.

    Attributes:
        task: Key of `ups.core.tasks.TASKS`.
        tuned_on: The problem whose learning rates it takes.
        params: PDE parameters.
        seconds: About how long the generation of one trajectory takes.
        frames: Frames of a trajectory; those of the task unless given.
        ups: What else the validation split chose for UPS on it, as changes to bench/patches.yaml.
    """

    task: str
    tuned_on: str
    params: dict[str, float]
    seconds: float
    frames: int | None = None
    ups: tuple[str, ...] = ()


PROBLEMS = {
    "burgers-0.001": Problem("burgers1d", "burgers-0.001", {"Nu": 0.001}, 0.47, ups=("training.amp=true",)),
    "burgers-0.01": Problem("burgers1d", "burgers-0.001", {"Nu": 0.01}, 0.06),
    "advection": Problem("advection1d", "burgers-0.001", {"beta": 0.4}, 0.01),
    "ks": Problem("ks1d", "ks", {}, 0.03, 201),
}
MAIN = "burgers-0.001"
"""The problem of all that is measured on one only: other times, sizes and splits, ablations, speed."""


def generation(problem: str, split: str, trajectories: int) -> GenerateSettings:
    """How a split is generated."""
    known = PROBLEMS[problem]
    return GenerateSettings(
        pde=known.task,
        params=dict(known.params),
        trajectories=trajectories,
        frames=known.frames,
        seed=SEEDS[split],
    )


def split_file(place: Place, problem: str, split: str, trajectories: int) -> Path:
    """The file of a split."""
    return place.data / problem / f"{split}_{trajectories}.hdf5"


def opened(place: Place, problem: str, scale: Scale, trajectories: int | None = None) -> Dataset:
    """The data set, with fewer training trajectories if asked for; raises UserError if it was not generated."""
    counts = {"train": trajectories or scale.train, "validation": scale.validation, "test": scale.test}
    files = {split: (str(split_file(place, problem, split, n)),) for split, n in counts.items()}
    return open_dataset(DataSettings(task=PROBLEMS[problem].task, files=FilesSettings(**files)))


def cells(scale: Scale) -> list[Cell]:
    """Generates every file."""
    return [
        Cell(
            "data",
            f"{problem}_{split}_{trajectories}",
            Phase.DATA,
            {"problem": problem, "split": split, **generation(problem, split, trajectories).model_dump(mode="json")},
            partial(_generate, problem, split, trajectories),
            15 + PROBLEMS[problem].seconds * trajectories,
            partial(split_file, problem=problem, split=split, trajectories=trajectories),
        )
        for problem in scale.problems
        for split, trajectories in sizes(problem, scale)
    ]


def sizes(problem: str, scale: Scale) -> list[tuple[str, int]]:
    """Splits and their trajectories."""
    fewer = scale.fewer if problem == MAIN else ()
    splits = [("train", scale.train), ("validation", scale.validation), ("test", scale.test)]
    return splits + [("train", n) for n in fewer]


def _generate(problem: str, split: str, trajectories: int, place: Place, folder: Path) -> dict[str, Any]:
    """A file, the time of one of its trajectories, and for the test split the error against twice the points."""
    settings, path = generation(problem, split, trajectories), split_file(place, problem, split, trajectories)
    path.parent.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    generate(settings, path)
    seconds = (time.perf_counter() - began) / trajectories
    error = refinement_error(settings) if split == "test" else None
    return {"seconds_per_trajectory": seconds, "refinement_error": error}
