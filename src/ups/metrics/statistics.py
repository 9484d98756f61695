"""What metrics are computed from: tensors that keep the trajectory and frame axes and are joined before any root."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class FrameStatistics:
    """Base of a record whose every field is a float64 tensor `(n, T, ...)`: trajectories, scored frames, rest."""

    def frames(self, which: slice) -> Self:
        """The same statistics of some frames only, for scores at a lead time or in a window."""
        return type(self)(**{f.name: getattr(self, f.name)[:, which] for f in fields(self)})

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """One record of the trajectories of all batches, in order."""
        return cls(**{f.name: torch.cat([getattr(part, f.name) for part in parts]) for f in fields(cls)})


def mean_over_grid(field: Tensor, leading: int) -> Tensor:
    """Mean over the grid axes, those after the first `leading`, in float64: `(..., *S) -> (...)`."""
    return field.flatten(leading).mean(dim=-1, dtype=torch.float64)
