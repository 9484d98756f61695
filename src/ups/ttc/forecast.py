"""A forecast with test-time conditioning, as `Surrogate.rollout` gives one without."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ups.core.errors import UserError
from ups.surrogate.arguments import LARGEST_SEED, Params, whole_number
from ups.surrogate.forecast import Forecast
from ups.surrogate.surrogate import Surrogate
from ups.ttc.candidates import condition, head_of, judge_of
from ups.ttc.rewards import Reward, rewards_of, weighted
from ups.ttc.settings import TTCSettings


def rollout_with_ttc(
    model: Surrogate,
    u0: Tensor | np.ndarray,
    steps: int,
    *,
    params: Params | None = None,
    settings: TTCSettings | None = None,
    reward: Reward | None = None,
    space: str | None = None,
    seed: int = 0,
    batch: int = 64,
) -> Forecast:
    """Forecasts from initial states, choosing every step among candidates by what is known of the physics.

    Args:
        model: A run with a sampler.
        u0: As in `Surrogate.rollout`.
        steps: Steps of the data's time step to go.
        params: As in `Surrogate.rollout`; a residual is that of the equation with these parameters.
        settings: Candidates, width, horizon and budget; the defaults of `TTCSettings` unless given.
        reward: What chooses, (before (B, C, *S), after (B, C, *S), params (B, P)) -> (B,), higher is better; the
            rewards of the settings, which are those of the task unless given.
        space: As in `Surrogate.rollout`.
        seed: Fixes the draws; the same seed and batch give the same forecast.
        batch: States at once.

    Returns:
        A `Forecast` with one member, values (B, 1, steps, C, *S), and the mean number of evaluations per step.

    Raises:
        UserError: A shape, a value or a name does not fit, the run has no sampler, the budget is too small, or the
            rewards need the range of the training data, which a model alone does not know.
    """
    steps, batch = map(whole_number, (steps, batch), ("steps", "batch"))
    seed = whole_number(seed, "seed", 0, LARGEST_SEED)
    plan, fields = settings or TTCSettings(), model.states(u0)
    model.require_room(len(fields), 1, steps)
    if space not in (None, "field", "latent"):
        raise UserError(f"space must be `field` or `latent`, found {space!r}")
    std = model.model.codec.u_std.tolist()
    judge = judge_of(reward or weighted(rewards_of(model.system, weights=plan.rewards, std=std)))
    conditions = model.conditions(params, len(fields))
    found = condition(model, judge, fields, steps, conditions, plan, space=space, seed=seed, batch=batch)
    times = model.system.dt * torch.arange(1, steps + 1, dtype=torch.double)
    evaluations = float(found.evaluations.double().mean()) / steps
    sampler = f"ttc with {head_of(model, plan.sampler)[0]}"
    how = {"nfe": plan.nfe or 0, "space": space or model.space, "seed": seed, "dt": model.system.dt}
    origin = model.origin(params, sampler=sampler, **how)
    return Forecast(found.values.unsqueeze(1), times, model.system, conditions.cpu(), evaluations, origin)
