"""Conserved spatial means: what a forecast has drifted by, to be taken off."""

from __future__ import annotations

from torch import Tensor


def drift_of_means(v: Tensor, u: Tensor, held: Tensor) -> Tensor:
    """By how much the spatial means of fields v (B, C, *S) exceed those of u (B, C, *S), in the units of the fields.

    Args:
        v: Forecasts.
        u: The states that they started from.
        held: Channels that conserve their mean, (C,) bool; the drift of others counts as 0.

    Returns:
        (B, C, 1, ...), to be subtracted from v.
    """
    space = tuple(range(2, u.ndim))
    drift = v.mean(space, keepdim=True) - u.mean(space, keepdim=True)
    return drift.where(held.to(drift.device).view(-1, *[1] * len(space)), 0.0)
