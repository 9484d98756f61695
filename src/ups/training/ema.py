"""The exponential moving average of a model's weights.

e_n = d_n e_(n-1) + (1 - d_n) w_n with d_n = min(decay, (1 + n) / (10 + n)), so that the start does
not dominate short trainings.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


def decay_at(decay: float, n: int) -> float:
    """The decay d_n of update n = 0, 1, 2, ..."""
    return min(decay, (1 + n) / (10 + n))


class Average:
    """Keeps `module`, the average of a model; buffers follow the model."""

    def __init__(self, model: nn.Module, decay: float):
        self.decay = decay
        self.module = copy.deepcopy(model).requires_grad_(False).eval()

    @torch.no_grad()
    def update(self, model: nn.Module, n: int) -> None:
        """Update number `n` with the weights of `model`."""
        average = get_ema_multi_avg_fn(decay_at(self.decay, n))
        average(list(self.module.parameters()), list(model.parameters()), n)
        for buffer, current in zip(self.module.buffers(), model.buffers(), strict=True):
            buffer.copy_(current)
