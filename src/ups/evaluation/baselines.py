"""Forecasts without which no score is shown: persistence, and the autoencoder alone as the floor of latent models."""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from ups.evaluation.row import Role

PERSISTENCE = "persistence"
FLOOR = "autoencoder"
"""Name of the row that is no forecast but what encoding and decoding the truth costs; no row is compared with it."""


@dataclass(frozen=True, kw_only=True)
class Untrained:
    """What a forecaster without a network says of itself, unless told otherwise: no weights, no training, no calls."""

    role: Role = "baseline"
    built_on: str | None = None
    seconds: float | None = None
    parameters: int = 0
    train_seconds: float = 0.0
    evaluations: float = 0.0


@dataclass(frozen=True)
class Persistence(Untrained):
    """Holds the last given frame: `v_t = u_start`."""

    def rollout(self, truth: Tensor, start: int, steps: int, params: Tensor, members: int, seed: int) -> Tensor:
        """Frame `start` of `truth (b, T, C, *S)`, `steps` times: `(b, 1, steps, C, *S)`."""
        return truth[:, start : start + 1].unsqueeze(2).expand(-1, 1, steps, *truth.shape[2:])


@dataclass(frozen=True)
class AutoencoderFloor(Untrained):
    """`decode(encode(u_t))` of the truth itself: the error that remains if the latent dynamics were perfect."""

    reconstruct: Callable[[Tensor], Tensor]
    """Physical fields `(B, C, *S)` through the codec and back, same shape and units."""
    role: Role = field(default="floor", kw_only=True)

    def rollout(self, truth: Tensor, start: int, steps: int, params: Tensor, members: int, seed: int) -> Tensor:
        """Frames `start + 1 ... start + steps` of `truth (b, T, C, *S)` reconstructed: `(b, 1, steps, C, *S)`."""
        frames = truth[:, start + 1 : start + 1 + steps]
        return self.reconstruct(frames.flatten(0, 1)).reshape(frames.shape).unsqueeze(1)
