"""The held-out error of a forecaster of fields, by which its best epoch is chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from ups.metrics import compare, nrmse


def forecast_score(
    truth: Tensor,
    rollout: Callable[[Any, Tensor, int], Tensor],
    select_by: Literal["rollout", "one_step"],
    std: Sequence[float],
) -> Callable[[Any], float]:
    """The nRMSE of a model on held-out trajectories: of the free rollout, or of single steps.

    Args:
        truth: Physical fields, (n, T, C, *S).
        rollout: (model, fields (n, C, *S), steps) -> later frames (n, steps, C, *S).
        select_by: `training.select_by`.
        std: Deviation of each channel over the training split, (C,).
    """

    def one_step(model: Any) -> float:
        ahead = [rollout(model, u, 1)[:, 0] for u in truth[:, :-1].unbind(1)]
        return float(nrmse(compare(truth[:, 1:], torch.stack(ahead, 1), std)))

    def free(model: Any) -> float:
        return float(nrmse(compare(truth[:, 1:], rollout(model, truth[:, 0], truth.shape[1] - 1), std)))

    return free if select_by == "rollout" else one_step
