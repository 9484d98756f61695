"""Fields in units of sigma, the deviation of each channel over the training split, so that no unit weighs more than
another: sigma 0 marks a channel that never changes, which is carried and not learnt."""

from __future__ import annotations

from torch import Tensor

NEGLIGIBLE = 0.01
"""Size of a field, in sigma, below which a relative error is taken of this size instead: a field that vanishes would
make any error infinite."""


def in_deviations(u: Tensor, std: Tensor, axes: int) -> Tensor:
    """Fields over sigma, 0 in channels that never change.

    Args:
        u: Physical fields (..., C, *S), or their deviation from the mean.
        std: Sigma of each channel, (C,).
        axes: Number of spatial axes.
    """
    std = std.to(u).view(-1, *[1] * axes)
    varies = std > 0
    return (u / std.where(varies, 1.0)).where(varies, 0.0)  # never a division by 0: its gradient is not a number
