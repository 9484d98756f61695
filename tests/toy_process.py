"""A stochastic system with known forecasts: a field that moves one point a step, decays and is kicked at random."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ups.evaluation.row import Role

DECAY, KICK, POINTS, FRAMES = 0.95, 0.3, 32, 12


def kick(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Random fields of wavenumbers 1 to 3, unit variance."""
    x = torch.arange(POINTS) * 2 * torch.pi / POINTS
    waves = torch.stack([f(k * x) for k in (1, 2, 3) for f in (torch.sin, torch.cos)])
    return torch.randn(*shape, 6, generator=generator) @ waves / 3**0.5


def step(u: Tensor, generator: torch.Generator | None) -> Tensor:
    """One step of fields `(..., X)`; without a generator its mean."""
    u = DECAY * u.roll(1, -1)
    return u if generator is None else u + KICK * kick(u.shape[:-1], generator)


@dataclass
class Process:
    """The true process as a forecaster: perfect members with `noise`, else the conditional mean; other streams give
    independent members."""

    noise: bool
    stream: int = 0
    role: Role = "model"
    built_on: str | None = None
    seconds: float | None = None
    parameters: int = 10
    train_seconds: float = 3.0
    evaluations: float = 1.0

    def rollout(self, truth: Tensor, start: int, steps: int, params: Tensor, members: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed + 1 + 5000 * self.stream) if self.noise else None
        u = truth[:, start].unsqueeze(1).repeat(1, members if self.noise else 1, 1, 1)
        frames = []
        for _ in range(steps):
            u = step(u, generator)
            frames.append(u)
        return torch.stack(frames, dim=2)


class ToySplit:
    """Trajectories `(n, T, 1, X)` of the process."""

    def __init__(self, n: int) -> None:
        generator = torch.Generator().manual_seed(123)
        frames = [kick((n, 1), generator)]
        for _ in range(FRAMES - 1):
            frames.append(step(frames[-1], generator))
        self.values = torch.stack(frames, dim=1)
        self.n, self.frames, self.times = n, FRAMES, np.arange(FRAMES) * 0.5
        self.params = torch.zeros(n, 0)

    def trajectories(self, start: int, stop: int) -> Tensor:
        return self.values[start:stop]
