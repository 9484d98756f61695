"""Test-time conditioning as a forecaster like any other, for a row of the ledger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ups.core.stages import samplers
from ups.core.system import System
from ups.evaluation.forecasters import training_seconds
from ups.evaluation.job import HeldOut
from ups.evaluation.row import Role
from ups.simulate.generate import GenerateSettings
from ups.surrogate.surrogate import Surrogate
from ups.ttc.candidates import condition, head_of, judge_of
from ups.ttc.rewards import Bounds, Reward, rewards_of, weighted
from ups.ttc.settings import TTCSettings

TTC = "ttc"
"""Its row in the ledger."""
BOUNDED = 256
"""Training trajectories that bounds are taken from."""


@dataclass
class TTCForecaster:
    """The surrogate with test-time conditioning as a row of the ledger.

    Attributes:
        surrogate: A run with a sampler.
        settings: Candidates, width, horizon and budget.
        reward: What chooses.
        batch: Trajectories searched at once.
    """

    surrogate: Surrogate
    settings: TTCSettings
    reward: Reward
    batch: int = 64
    role: Role = "informed"
    built_on: str | None = "operator"
    seconds: float | None = None
    evaluations: float = field(default=0.0, init=False)
    """Network evaluations per step of the last rollout, mean over its trajectories."""

    @property
    def parameters(self) -> int:
        """Weights of codec, operator and sampler."""
        head = head_of(self.surrogate, self.settings.sampler)[1]
        return self.surrogate.parameters + sum(p.numel() for p in head.network.parameters())

    @property
    def train_seconds(self) -> float:
        """Time spent on training everything that is used."""
        return training_seconds(self.surrogate, samplers()[head_of(self.surrogate, self.settings.sampler)[0]].name)

    def rollout(self, truth: Tensor, start: int, steps: int, params: Tensor, members: int, seed: int) -> Tensor:
        """Free rollout from frame `start` of truth (b, T, C, *S): (b, 1, steps, C, *S)."""
        judge = judge_of(self.reward)
        found = condition(
            self.surrogate, judge, truth[:, start], steps, params, self.settings, seed=seed, batch=self.batch
        )
        self.evaluations = float(found.evaluations.double().mean()) / steps
        return found.values.unsqueeze(1)


def reward_of(
    system: System,
    std: Sequence[float],
    settings: TTCSettings,
    generated: GenerateSettings | None,
    train: Callable[[], HeldOut],
) -> Reward:
    """What test-time conditioning of a data set chooses by.

    Args:
        system: What the data are.
        std: Deviation of each channel over the training split, (C,).
        settings: Weights of the rewards; those of the task unless given.
        generated: How the data were generated, if they were: points that it hides leave no reward but `bounds`.
        train: Opens the training split, which only `bounds` needs.

    Raises:
        UserError: A reward does not hold for the data, or what it needs is missing.
    """
    hidden = generated is not None and generated.observe_every > 1
    return weighted(rewards_of(system, lambda: bounds_of(train()), settings.rewards, std=std, hidden=hidden))


def bounds_of(split: HeldOut) -> Bounds:
    """Smallest and largest value of each channel over the first `BOUNDED` trajectories of the training split."""
    low, high = [], []
    for first in range(0, min(split.n, BOUNDED), 32):
        values = split.trajectories(first, min(first + 32, split.n)).movedim(2, 0).flatten(1)
        low.append(values.amin(1))
        high.append(values.amax(1))
    return torch.stack(low).amin(0), torch.stack(high).amax(0)
