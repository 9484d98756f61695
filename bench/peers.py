"""UPS against what people would use instead, at equal time: several data sets, seeds, times and sizes of the data."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from bench.cells import Cell, Phase
from bench.contenders import CONTENDERS, SMALL_LATENTS, VARIANTS, Contender, scores, train
from bench.problems import MAIN, opened
from bench.scale import Place, Scale
from bench.tuning import tuning

MINUTES = 3.0
OTHER_MINUTES = (1.0, 10.0)
"""Further training times, of the models in `FURTHER` on one problem."""
FURTHER = ("ups", "fno")
EASY, SECONDARY = ("burgers-0.01", "advection"), ("fno-rollout", "unet")
"""Problems on which some models are trained with the first seed only, and these models."""


EVERY_SEED = (SMALL_LATENTS, "ups-narrow")
"""Models of other sizes that are trained with all seeds; the others with the first only."""


def cells(scale: Scale) -> list[Cell]:
    """All models on all problems; then other times, smaller training splits and other sizes on one problem."""
    one = MAIN
    found = [
        cell(name, problem, MINUTES, seed, scale)
        for problem in scale.problems
        for name in CONTENDERS
        for seed in (scale.seeds[:1] if problem in EASY and name in SECONDARY else scale.seeds)
    ]
    found += [
        cell(name, one, minutes, seed, scale) for minutes in OTHER_MINUTES for name in FURTHER for seed in scale.seeds
    ]
    found += [cell(name, one, MINUTES, scale.seeds[0], scale, n) for n in scale.fewer for name in FURTHER]
    found += [
        cell(name, one, MINUTES, seed, scale)
        for name in VARIANTS
        for seed in (scale.seeds if name in EVERY_SEED else scale.seeds[:1])
    ]
    return found


def cell(name: str, problem: str, minutes: float, seed: int, scale: Scale, trajectories: int | None = None) -> Cell:
    """A model trained on a problem for some minutes."""
    size = f"_{trajectories}-trajectories" if trajectories else ""
    settings = {
        "problem": problem,
        "model": name,
        "minutes": minutes,
        "seed": seed,
        "trajectories": trajectories or scale.train,
        "scale": scale.name,
        "setup": contender_of(name).on(problem).settings(),
    }
    return Cell(
        "peers",
        f"{problem}_{name}_{minutes:g}min{size}_seed{seed}",
        Phase.TRAINING,
        settings,
        partial(_compare, name, problem, minutes, seed, scale, trajectories),
        minutes * scale.minute + (65 if problem == "ks" else 20),
    )


def contender_of(name: str) -> Contender:
    """The model of that name."""
    return VARIANTS[name][1] if name in VARIANTS else CONTENDERS[name]


def _compare(
    name: str,
    problem: str,
    minutes: float,
    seed: int,
    scale: Scale,
    trajectories: int | None,
    place: Place,
    folder: Path,
) -> dict[str, Any]:
    """Trains in the best of its configurations and scores on the test split."""
    data = opened(place, problem, scale, trajectories)
    best = tuning(VARIANTS[name][0] if name in VARIANTS else name, problem, scale).best(place)
    result = train(contender_of(name).on(problem).at(best), data, minutes * scale.minute, seed, folder)
    found = scores(result.rows, data, seed, folder)
    return {"rate": best.rate, "training": result.facts, "scores": found, "data": data.describe()}
