"""A trained peer as an evaluation sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ups.peers.one_step import ResidualForecaster

CPU = torch.device("cpu")


@dataclass(frozen=True)
class PeerForecaster:
    """A `ResidualForecaster` with its costs: the protocol `ups.evaluation.forecaster.Forecaster`.

    Attributes:
        model: The trained model.
        train_seconds: Time spent on its training.
        batch: States rolled out at once.
        device: Where it runs.
        held: Channels whose spatial mean is held after every step, (C,) bool; none unless given.
    """

    model: ResidualForecaster
    train_seconds: float
    batch: int = 64
    device: torch.device = CPU
    evaluations: float = 1.0
    held: Tensor | None = None
    role: Literal["peer"] = "peer"
    built_on: str | None = None
    seconds: float | None = None

    @property
    def parameters(self) -> int:
        """Number of weights; a complex one counts twice."""
        return sum(p.numel() * (2 if p.is_complex() else 1) for p in self.model.parameters())

    @torch.no_grad()
    def rollout(self, truth: Tensor, start: int, steps: int, params: Tensor, members: int, seed: int) -> Tensor:
        """Free rollout from frame `start` of truth (b, T, C, *S): (b, 1, steps, C, *S)."""
        parts = zip(truth[:, start].split(self.batch), params.split(self.batch), strict=True)
        frames = [self.model.rollout(u.to(self.device), steps, c.to(self.device), self.held).cpu() for u, c in parts]
        return torch.cat(frames).unsqueeze(1)
