"""A toy stage, quick and exact: a line through points."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ups.training.stage import Progress, Stage


@dataclass(frozen=True)
class Points:
    """Inputs x (B, 20) and targets y (B, 20)."""

    x: Tensor
    y: Tensor

    @property
    def size(self) -> int:
        return len(self.x)

    def to(self, device: torch.device) -> Points:
        return Points(self.x.to(device), self.y.to(device))


class Memory:
    """A log in memory."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def rewind(self, stage: str, epoch: int) -> None:
        self.entries = [e for e in self.entries if e["stage"] != stage or e["epoch"] <= epoch]

    def write(self, entry: dict[str, Any]) -> None:
        self.entries.append(entry)


def stage(batch: int = 8, samples: int = 40, scores: list[float] | None = None, noise: float = 0.0) -> Stage:
    """40 samples in batches of `batch`, in another order in every epoch; `scores` replaces the held-out error."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(samples, 20, generator=generator)
    y = x.roll(1, 1)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 20), nn.Tanh(), nn.Linear(20, 20))
    per_epoch = -(-samples // batch)
    given = iter(scores or [])

    def batches(step: int) -> Iterator[Points]:
        while True:
            epoch, i = step // per_epoch, step % per_epoch * batch
            visit = torch.randperm(samples, generator=torch.Generator().manual_seed(epoch))[i : i + batch]
            yield Points(x[visit], y[visit])
            step += 1

    def loss(model: nn.Module, points: Points, progress: Progress) -> dict[str, Tensor]:
        error = (model(points.x) + noise * torch.randn(points.y.shape) - points.y).square().mean()
        return {"loss": error, "L_forward": error}

    def score(model: nn.Module) -> float:
        return next(given) if scores else float((model(x).detach() - y).square().mean())

    return Stage("operator", model, batches, per_epoch, loss, score, fingerprint={"toy": 1})
