"""The learning rate of every model: the same number of rates, each for a minute or as long as it is compared, chosen on
the validation split."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from bench.cells import Cell, Phase, records
from bench.contenders import CONTENDERS, Contender, train
from bench.problems import PROBLEMS, opened
from bench.scale import Place, Scale
from ups.core.errors import UserError


def cells(scale: Scale) -> list[Cell]:
    """One cell for each rate of each model on each problem that is tuned on; none where only one rate is tried."""
    if scale.rates < 2:
        return []
    return [
        Cell(
            "tuning",
            f"{problem}_{name}_{rate:g}",
            Phase.TUNING,
            {"problem": problem, "model": name, "rate": rate, "minutes": contender.tuning_minutes}
            | {"seed": scale.seeds[0], "scale": scale.name, "setup": contender.on(problem).at(rate).settings()},
            partial(_tune, name, problem, rate, scale),
            contender.tuning_minutes * scale.minute + 5,
        )
        for problem in scale.problems
        if PROBLEMS[problem].tuned_on == problem
        for name, contender in CONTENDERS.items()
        for rate in contender.rates[: scale.rates]
    ]


def tuned_rate(place: Place, name: str, problem: str, scale: Scale) -> float:
    """The rate of a model with the smallest validation error; its usual one where none was tried.

    Raises UserError if some are still to be tried.
    """
    contender, tuned_on = CONTENDERS[name], PROBLEMS[problem].tuned_on
    if scale.rates < 2:
        return contender.rates[0]
    tried = [r for r in records(place, "tuning") if _is_of(r["settings"], name, tuned_on, contender)]
    if len(tried) < scale.rates:
        raise UserError(f"expected {scale.rates} tuning results of {name} on {tuned_on}, found {len(tried)}")
    return min(tried, key=lambda r: r["training"]["best_score"])["settings"]["rate"]


def _is_of(settings: dict[str, Any], name: str, problem: str, contender: Contender) -> bool:
    wanted = settings["rate"] in contender.rates and settings["minutes"] == contender.tuning_minutes
    return wanted and settings["model"] == name and settings["problem"] == problem


def _tune(name: str, problem: str, rate: float, scale: Scale, place: Place, folder: Path) -> dict[str, Any]:
    data = opened(place, problem, scale)
    contender = CONTENDERS[name].on(problem).at(rate)
    result = train(contender, data, contender.tuning_minutes * scale.minute, scale.seeds[0], folder)
    return {"training": result.facts, "data": data.describe()}
