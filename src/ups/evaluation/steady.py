"""The steady prior beside the operator's long rollout: two rows, both scored on the steady state alone.

Their "step" is the whole way to the steady state, so calls and milliseconds are those of one forecast.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch

from ups.core.errors import UserError
from ups.core.stages import STAGES
from ups.data.split import Split
from ups.evaluation.forecasters import training_seconds
from ups.evaluation.row import Row, SteadyShare
from ups.evaluation.rows import ForecastErrors, score_row
from ups.evaluation.settings import EvaluationSettings
from ups.surrogate.surrogate import Surrogate

STEADY = "steady_prior"
STEADY_BASE = STAGES[STEADY].built_on
"""The operator's long rollout, scored on the last frame alone and so comparable with no row above it."""


def steady_score_rows(
    surrogate: Surrogate,
    split: Split,
    rows: np.ndarray,
    tolerance: float,
    settings: EvaluationSettings,
    seed: int,
    std: Sequence[float],
) -> list[Row]:
    """Rows of the operator rolled out to the last frame and of the steady prior.

    Args:
        surrogate: A surrogate with a steady prior.
        split: The held-out trajectories.
        rows: Those of them that reach a steady state within `tolerance`, (n,).
        tolerance: Recorded in the rows, since it decides which trajectories they are of.
        settings: Batch size and threshold.
        seed: Breaks ties of ranks.
        std: Deviation of each channel over the training split, (C,).
    """
    if not len(rows) or surrogate.steady_prior is None:
        raise UserError(
            "no held-out trajectory reaches a steady state, so the steady prior has nothing to be scored on"
        )
    frames, zero = split.frames, np.zeros(len(rows), dtype=int)
    first, params = split.windows(rows, zero, 1)[:, 0], split.params[rows]
    last = split.windows(rows, zero + frames - 1, 1)
    steps, prior = frames - 1, surrogate.steady_prior
    forecasts = {
        STEADY_BASE: lambda: surrogate.rollout(first, steps, params=params, batch=settings.batch).values[:, 0, -1:],
        STEADY: lambda: surrogate.steady(first, params=params, batch=settings.batch)[:, None],
    }
    lead = torch.tensor([float(split.times[-1] - split.times[0])])
    found, sigma = [], dict(zip(surrogate.system.channels, std, strict=True))
    for name, forecast in forecasts.items():
        forecast()  # a warm-up, not timed
        began = time.perf_counter()
        fields = forecast()
        seconds = time.perf_counter() - began
        errors = ForecastErrors.of(last, fields[:, None], std, seed)
        weights = sum(p.numel() for p in prior.parameters()) if name == STEADY else 0
        row = Row(
            **dict(score_row(name, errors, errors.mean, lead, (), sigma, settings.correlation_threshold)),
            role="model",
            built_on=STEADY_BASE if name == STEADY else None,
            nfe_per_step=prior.num_steps if name == STEADY else steps,
            ms_per_step=1e3 * seconds / len(rows),
            train_seconds=training_seconds(surrogate, STEADY if name == STEADY else "operator"),
            parameters=surrogate.parameters + weights,
            steady=SteadyShare(trajectories=len(rows), of=split.n, tolerance=tolerance),
        )
        found.append(row)
    return found
