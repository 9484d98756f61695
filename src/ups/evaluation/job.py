"""One evaluation: the held-out trajectories, the settings and the seed that every forecaster shares."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ups.core.system import System
from ups.evaluation.settings import EvaluationSettings

ScoringProgress = Callable[[str, int, int], None]
"""Called with the model's name, the trajectories done and their number."""


class HeldOut(Protocol):
    """What an evaluation reads: trajectories in physical units, one batch at a time."""

    @property
    def n(self) -> int: ...
    @property
    def frames(self) -> int: ...
    @property
    def times(self) -> np.ndarray: ...
    @property
    def params(self) -> Tensor: ...
    def trajectories(self, start: int, stop: int) -> Tensor:
        """`(stop - start, T, C, *S)` float32."""
        ...


@dataclass(frozen=True)
class Job:
    """One evaluation: the data, the settings and the seed that every forecaster shares."""

    split: HeldOut
    system: System
    std: tuple[float, ...]
    """Deviation of each channel over the training split, `(C,)`; 0 for one that never changes and is not scored."""
    settings: EvaluationSettings
    seed: int

    @property
    def sigma(self) -> dict[str, float]:
        """Training deviations by the name of the channel."""
        return dict(zip(self.system.channels, self.std, strict=True))

    @property
    def trajectories(self) -> int:
        """Number of scored trajectories."""
        return min(self.split.n, self.settings.trajectories or self.split.n)

    @property
    def stored(self) -> int:
        """Number of trajectories whose forecasts are kept."""
        return self.trajectories if self.settings.store is None else min(self.settings.store, self.trajectories)

    def batches(self) -> list[tuple[int, int]]:
        """First, and one past the last, trajectory of every batch."""
        size = self.settings.batch
        return [(i, min(i + size, self.trajectories)) for i in range(0, self.trajectories, size)]

    def leads(self, context: int) -> Tensor:
        """Physical lead times `(T - context,)` of a rollout from the last given frame."""
        times = torch.from_numpy(np.asarray(self.split.times, dtype=np.float64))
        return times[context:] - times[context - 1]
