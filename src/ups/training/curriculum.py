"""How many steps a rollout in training unrolls, as a function of progress."""

from __future__ import annotations

from ups.training.settings import TrainingSettings


def horizon(training: TrainingSettings, fraction: float) -> int:
    """Steps to unroll when `fraction` of the stage is done: 1 until `rollout_start`, then 2 growing to
    `rollout_horizon`."""
    if not training.lambda_rollout or training.rollout_horizon < 2 or fraction < training.rollout_start:
        return 1
    share = (fraction - training.rollout_start) / max(1 - training.rollout_start, 1e-9)
    return min(training.rollout_horizon, 2 + int(share * (training.rollout_horizon - 1)))
