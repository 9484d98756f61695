"""Results of the comparison with peers as its tables read them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from bench.cells import records
from bench.scale import Place

MODEL = "model"
"""The row of the model itself, rolled out in the space of fields."""


@dataclass(frozen=True)
class Result:
    """One training of one model.

    Attributes:
        problem, model, minutes, seed, trajectories: What was trained, on what and for how long.
        rate: The tuned learning rate.
        training: What the training says of itself: `step`, `seconds`, `best_score`, `compression` of UPS, ...
        scores: Rows of `metrics.json` by name: `model`, `latent space` of UPS, `held means` of a peer,
            `persistence`.
    """

    problem: str
    model: str
    minutes: float
    seed: int
    trajectories: int
    rate: float
    training: Mapping[str, Any]
    scores: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """From a result file."""
        settings = record["settings"]
        named = {key: settings[key] for key in ("problem", "model", "minutes", "seed", "trajectories")}
        return cls(**named, rate=record["rate"], training=record["training"], scores=record["scores"])

    def error(self, row: str = MODEL, part: str = "rollout") -> float | None:
        """nRMSE; None if the forecast is not finite."""
        return self.scores[row][part]["nrmse"]

    def time(self, row: str = MODEL) -> float | None:
        """Correlation time of the free rollout."""
        return self.scores[row]["rollout"]["correlation_time"]


def results(place: Place) -> list[Result]:
    """All results of the comparison."""
    return [Result.of(record) for record in records(place, "peers")]


def whole(found: Sequence[Result]) -> list[Result]:
    """Those that were trained on the whole training split."""
    most = max((r.trajectories for r in found), default=0)
    return [r for r in found if r.trajectories == most]


def mean(values: Sequence[float | None]) -> float | None:
    """The mean; None if a value is missing, as that of a forecast that diverged."""
    finite = [value for value in values if value is not None]
    return statistics.fmean(finite) if finite and len(finite) == len(values) else None


def chosen(found: Sequence[Result], **wanted: Any) -> list[Result]:
    """Those with the wanted attributes, by seed."""
    fitting = [r for r in found if all(getattr(r, name) == value for name, value in wanted.items())]
    return sorted(fitting, key=lambda r: r.seed)


def paired(above: Sequence[Result], below: Sequence[Result]) -> list[tuple[Result, Result]]:
    """Results of two models with the same seed."""
    by_seed = {r.seed: r for r in below}
    return [(r, by_seed[r.seed]) for r in above if r.seed in by_seed]
