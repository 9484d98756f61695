"""What forecasts keep: values held at walls, and conserved spatial means."""

from __future__ import annotations

import torch
from torch import Tensor

from ups.core.domain import Domain
from ups.core.walls import Walls, held_points


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


def conform(v: Tensor, u: Tensor, conserved: Tensor, walls: Walls, domain: Domain) -> tuple[Tensor, Tensor]:
    """Forecasts v (B, C, *S) from the states u (B, C, *S) with what they keep.

    Args:
        v: Forecasts.
        u: The states that they started from.
        conserved: Channels that keep the spatial mean of u, (C,) bool.
        walls: Values held at walls, or empty.
        domain: Where v and u live.

    Returns:
        The forecasts, and what was taken off v, both (B, C, *S). Points at walls have no share in the drift of a mean.
    """
    found = held_points(walls, domain.shape, domain.boundary, v.device) if walls else None
    if found is None:
        drift = drift_of_means(v, u, conserved)
        return v - drift, drift.expand_as(v)
    held, values = found
    walled = torch.where(held, values.to(v), v)
    space = tuple(range(1, held.ndim))
    free = (~held).to(v)
    drift = drift_of_means(walled, u, conserved) * free / free.mean(space, keepdim=True).clamp_min(1e-12)
    return walled - drift, v - walled + drift
