"""The steady prior and what it is compared with, scored on the steady state alone: the initial state, the mean steady
state of the training data, the classical solver and the operator marching all the way.

Their "step" is the whole way to the steady state, so calls and milliseconds are those of one forecast.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ups.core.errors import UserError
from ups.core.stages import STAGES
from ups.data.split import Split
from ups.evaluation.baselines import PERSISTENCE, Persistence, Untrained
from ups.evaluation.forecaster import Forecaster
from ups.evaluation.forecasters import SurrogateForecaster, training_seconds
from ups.evaluation.row import Role, Row, SteadyShare
from ups.evaluation.rows import ForecastErrors, score_row
from ups.evaluation.settings import EvaluationSettings
from ups.surrogate.surrogate import Surrogate

STEADY = "steady_prior"
STEADY_BASE = STAGES[STEADY].built_on
"""The operator's long rollout, scored on the last frame alone and so comparable with no row above it."""
AT_THE_END = "@T"
"""End of the names of rows that march, or stand, until the last frame, and are scored there alone."""
STEADY_MEAN = f"mean{AT_THE_END}"


@dataclass(frozen=True)
class SteadyMean(Untrained):
    """The mean steady state of the training trajectories, (C, *S), wherever a forecast starts from."""

    state: Tensor

    def rollout(self, truth: Tensor, start: int, steps: int, params: Tensor, members: int, seed: int) -> Tensor:
        """The state for truth (b, T, C, *S): (b, 1, 1, C, *S), whatever `steps` is."""
        return self.state.expand(len(truth), 1, 1, *self.state.shape)


@dataclass(frozen=True)
class SteadyForecaster:
    """The steady prior of a surrogate."""

    surrogate: Surrogate
    batch: int = 64
    role: Role = "model"
    seconds: float | None = None

    @property
    def built_on(self) -> str | None:
        """The operator's long rollout, where there is an operator."""
        return STEADY_BASE if self.surrogate.has_operator else None

    @property
    def parameters(self) -> int:
        """Weights of the prior, and with a learnt codec of the model that it comes with."""
        prior, alone = self.surrogate.steady_prior, self.surrogate.model.codec.exact
        own = sum(p.numel() for p in prior.parameters()) if prior else 0
        return own if alone else own + self.surrogate.parameters

    @property
    def train_seconds(self) -> float:
        """Time spent on training the prior and all that it needs."""
        return training_seconds(self.surrogate, STEADY)

    @property
    def evaluations(self) -> float:
        """Network evaluations of a forecast."""
        return self.surrogate.steady_prior.num_steps if self.surrogate.steady_prior else 0

    def rollout(self, truth: Tensor, start: int, steps: int, params: Tensor, members: int, seed: int) -> Tensor:
        """Where frame `start` of truth (b, T, C, *S) goes to: (b, 1, 1, C, *S), whatever `steps` is."""
        return self.surrogate.steady(truth[:, start], params=params, batch=self.batch)[:, None, None]


def steady_forecasters(
    surrogate: Surrogate, mean: Tensor, marching: Mapping[str, Forecaster], batch: int
) -> dict[str, tuple[Forecaster, bool]]:
    """Forecasters of the steady state by the names of their rows, and whether they march there step by step.

    Args:
        surrogate: A surrogate with a steady prior; its operator is rolled out if it has one.
        mean: Mean steady state of the training data, (C, *S).
        marching: Further forecasters that march, such as the classical solver.
        batch: States at once.
    """
    found: dict[str, tuple[Forecaster, bool]] = {
        f"{PERSISTENCE}{AT_THE_END}": (Persistence(), True),
        STEADY_MEAN: (SteadyMean(mean), False),
    }
    found |= {f"{name}{AT_THE_END}": (forecaster, True) for name, forecaster in marching.items()}
    if surrogate.has_operator:
        found[STEADY_BASE] = (SurrogateForecaster(surrogate, surrogate.space, batch=batch), True)
    return found | {STEADY: (SteadyForecaster(surrogate, batch), False)}


def steady_score_rows(
    forecasters: Mapping[str, tuple[Forecaster, bool]],
    split: Split,
    rows: np.ndarray,
    tolerance: float,
    settings: EvaluationSettings,
    seed: int,
    sigma: Mapping[str, float],
) -> list[Row]:
    """The rows of forecasters of the steady state.

    Args:
        forecasters: Those of `steady_forecasters`.
        split: The held-out trajectories.
        rows: Those of them that reach a steady state within `tolerance`, (n,).
        tolerance: Recorded in the rows, since it decides which trajectories they are of.
        settings: Batch size and threshold.
        seed: Breaks ties of ranks.
        sigma: Deviation over the training split by channel.
    """
    if not len(rows):
        raise UserError(
            "no held-out trajectory reaches a steady state, so the steady prior has nothing to be scored on"
        )
    zero, share = np.zeros(len(rows), dtype=int), SteadyShare(trajectories=len(rows), of=split.n, tolerance=tolerance)
    first, last = split.windows(rows, zero, 1), split.windows(rows, zero + split.frames - 1, 1)
    lead, found = torch.tensor([float(split.times[-1] - split.times[0])]), []
    for name, (forecaster, marches) in forecasters.items():
        steps = split.frames - 1 if marches else 1
        fields, seconds = _arrive(forecaster, first, split.params[rows], steps, settings.batch, seed)
        errors = ForecastErrors.of(last, fields, list(sigma.values()), seed)
        row = Row(
            **dict(score_row(name, errors, errors.mean, lead, (), sigma, settings.correlation_threshold)),
            role=forecaster.role,
            built_on=forecaster.built_on,
            nfe_per_step=forecaster.evaluations * steps,
            ms_per_step=1e3 * seconds / len(rows),
            train_seconds=forecaster.train_seconds,
            parameters=forecaster.parameters,
            steady=share,
        )
        found.append(row)
    return found


def _arrive(
    forecaster: Forecaster, first: Tensor, params: Tensor, steps: int, batch: int, seed: int
) -> tuple[Tensor, float]:
    """Where frames (n, 1, C, *S) are after so many steps, (n, 1, 1, C, *S), and the seconds that all of them took."""
    parts, seconds = [], 0.0
    if forecaster.seconds is None:
        forecaster.rollout(first[:batch], 0, steps, params[:batch], 1, seed)  # a warm-up, not timed
    for u, c in zip(first.split(batch), params.split(batch), strict=True):
        began = time.perf_counter()
        parts.append(forecaster.rollout(u, 0, steps, c, 1, seed)[:, :, -1:])
        spent, own = time.perf_counter() - began, forecaster.seconds
        seconds += spent if own is None else own * steps * len(u)
    return torch.cat(parts), seconds
