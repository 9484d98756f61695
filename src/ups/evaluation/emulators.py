"""The trained surrogate as an evaluation sees it: one forecaster per space and sampler."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ups.evaluation.baselines import FLOOR, AutoencoderFloor
from ups.evaluation.emulator import Emulator
from ups.surrogate import Surrogate


@dataclass(frozen=True)
class SurrogateEmulator:
    """A `Surrogate` rolled out in one space."""

    surrogate: Surrogate
    space: str
    batch: int = 64

    @property
    def parameters(self) -> int:
        """Weights of codec and operator."""
        return self.surrogate.parameters

    @property
    def train_seconds(self) -> float:
        """Time spent on training them."""
        return self.surrogate.train_seconds

    @property
    def evaluations(self) -> float:
        """Network evaluations per step."""
        return 1.0

    def rollout(self, truth: Tensor, start: int, steps: int, params: Tensor, members: int, seed: int) -> Tensor:
        """Free rollout from frame `start` of truth (b, T, C, *S): (b, 1, steps, C, *S)."""
        return self.surrogate.rollout(truth[:, start], steps, params=params, space=self.space, batch=self.batch).values


def emulators(surrogate: Surrogate, batch: int) -> dict[str, Emulator]:
    """The rows of an evaluation: the autoencoder's floor, and the operator in the other space and in the run's."""
    codec = surrogate.model.codec
    other = "latent" if surrogate.space == "field" else "field"

    def reconstruct(u: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.cat([codec(part) for part in u.to(surrogate.device).split(batch)]).cpu()

    size = sum(p.numel() for p in codec.parameters())
    return {
        FLOOR: AutoencoderFloor(reconstruct, parameters=size, train_seconds=surrogate.train_seconds),
        f"operator ({other} space)": SurrogateEmulator(surrogate, other, batch),
        "operator": SurrogateEmulator(surrogate, surrogate.space, batch),
    }
