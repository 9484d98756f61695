"""What metrics are computed from: tensors that keep the trajectory and frame axes and are joined before any root."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class FrameStatistics:
    """Base of a record whose every field is a float64 tensor `(n, T, C, ...)`: trajectories, scored frames, scored
    channels, rest."""

    def frames(self, which: slice) -> Self:
        """The same statistics of some frames only, for scores at a lead time or in a window."""
        return type(self)(**{f.name: getattr(self, f.name)[:, which] for f in fields(self)})

    def channel(self, index: int) -> Self:
        """The same statistics of one channel only."""
        return type(self)(**{f.name: getattr(self, f.name)[:, :, index : index + 1] for f in fields(self)})

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """One record of the trajectories of all batches, in order."""
        return cls(**{f.name: torch.cat([getattr(part, f.name) for part in parts]) for f in fields(cls)})


def mean_over_grid(field: Tensor, leading: int) -> Tensor:
    """Mean over the grid axes, those after the first `leading`, in float64: `(..., *S) -> (...)`."""
    return field.flatten(leading).mean(dim=-1, dtype=torch.float64)


def scored_channels(field: Tensor, std: Tensor | Sequence[float], axis: int) -> Tensor:
    """A field over sigma, the training deviation of each channel, without the channels whose sigma is 0.

    Args:
        field: Physical values, or differences of them, `(..., C, *S)`.
        std: Sigma of each channel, `(C,)`.
        axis: Which axis the channels are.

    Raises:
        ValueError: `std` has another length than C, a value below 0 or not finite, or is 0 throughout.
    """
    sigma = torch.as_tensor(std, dtype=torch.float64, device=field.device)
    if sigma.shape != field.shape[axis : axis + 1] or not bool((sigma >= 0).all() & sigma.isfinite().all()):
        raise ValueError(f"expected a training deviation for each of {field.shape[axis]} channels, found {std}")
    kept = sigma.nonzero().flatten()
    if not len(kept):
        raise ValueError("no channel varies in the training data, so there is nothing to score")
    field = field if len(kept) == len(sigma) else field.index_select(axis, kept)
    return field / sigma[kept].to(field.dtype).view(-1, *[1] * (field.ndim - axis - 1))
