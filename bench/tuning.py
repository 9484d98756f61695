"""The configuration of every model: the same number of candidates, each for as long, chosen on the validation split."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.cells import Cell, Phase, stored
from bench.contenders import CONTENDERS, Candidate, Contender, train
from bench.problems import PROBLEMS, opened
from bench.scale import Place, Scale
from ups.core.errors import DivergenceError, UserError
from ups.data.dataset import Dataset


@dataclass(frozen=True)
class Tuning:
    """The trials of one model on one data set.

    Attributes:
        bench: Their file of results.
        stem: Start of their names.
        settings: What names them in the file besides their configuration.
        contender: The model, as it is on this data set.
        data: Opens the data set.
        seconds: How long it learns in each of its configurations.
        seed: Seed of all of them.
    """

    bench: str
    stem: str
    settings: dict[str, Any]
    contender: Contender
    data: Callable[[Place], Dataset]
    seconds: float
    seed: int = 0

    def cells(self) -> list[Cell]:
        """A cell for each candidate; none where there is one only."""
        candidates = self.contender.candidates
        return [self._cell(candidate) for candidate in candidates] if len(candidates) > 1 else []

    def best(self, place: Place) -> Candidate:
        """The candidate with the smallest error on the validation split, the only one where there is no choice.

        Raises UserError if some are still to be tried, or if all diverged.
        """
        cells, candidates = self.cells(), self.contender.candidates
        if not cells:
            return candidates[0]
        if missing := [cell.title for cell in cells if not cell.measured(place)]:
            raise UserError(f"expected {len(cells)} tuning results, these are missing: {', '.join(missing)}")
        found = stored(place, self.bench)
        scores = [found[cell.name]["training"]["best_score"] for cell in cells]
        scored = [(score, i) for i, score in enumerate(scores) if score is not None]
        if not scored:
            raise UserError(f"{self.bench}/{self.stem}: all {len(cells)} candidates diverged")
        return candidates[min(scored)[1]]

    def _cell(self, candidate: Candidate) -> Cell:
        setup = self.contender.at(candidate).settings()
        return Cell(
            self.bench,
            f"{self.stem}_{candidate.name}",
            Phase.TUNING,
            {**self.settings, "rate": candidate.rate, "setup": setup},
            partial(self._try, candidate),
            self.seconds + 5,
        )

    def _try(self, candidate: Candidate, place: Place, folder: Path) -> dict[str, Any]:
        """Trains it; one that diverges has no score."""
        data, began = self.data(place), time.perf_counter()
        try:
            facts = train(self.contender.at(candidate), data, self.seconds, self.seed, folder).facts
        except DivergenceError:
            facts = {"best_score": None, "seconds": time.perf_counter() - began}
        return {"training": facts, "data": data.describe()}


def cells(scale: Scale) -> list[Cell]:
    """The trials of each model on each problem that is tuned on; none where only one candidate is tried."""
    tuned = [problem for problem in scale.problems if PROBLEMS[problem].tuned_on == problem]
    return [cell for problem in tuned for name in CONTENDERS for cell in tuning(name, problem, scale).cells()]


def tuning(name: str, problem: str, scale: Scale) -> Tuning:
    """The trials whose best a model takes on a problem."""
    contender, tuned_on = CONTENDERS[name], PROBLEMS[problem].tuned_on
    minutes, seed = contender.tuning_minutes, scale.seeds[0]
    tried = replace(contender.on(tuned_on), candidates=contender.candidates[: scale.candidates])
    return Tuning(
        "tuning",
        f"{tuned_on}_{name}",
        {"problem": tuned_on, "model": name, "minutes": minutes, "seed": seed, "scale": scale.name},
        tried,
        partial(opened, problem=tuned_on, scale=scale),
        minutes * scale.minute,
        seed,
    )
