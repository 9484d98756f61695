"""Values that the training data hold at walls, which every forecast keeps."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

from ups.core.domain import Domain
from ups.core.tables import table

Walls = tuple[tuple[tuple[float | None, ...], ...], ...]
"""The value that is held by axis, side (low, high) and channel, in physical units; None where it is free."""


@table
def held_points(
    walls: Walls, shape: tuple[int, ...], boundary: tuple[str, ...], device: torch.device
) -> tuple[Tensor, Tensor] | None:
    """The points where a value is held, (C, *S) bool, and the values, (C, *S); None if there are none.

    A point on two walls, an edge or a corner, is held if both hold it at the same value.
    """
    sides = [(axis, side) for axis, kind in enumerate(boundary) if kind != "periodic" for side in (0, 1)]
    if not any(value is not None for axis, side in sides for value in walls[axis][side]):
        return None
    low, high = (torch.full((len(walls[0][0]), *shape), sign * torch.inf, device=device) for sign in (1, -1))
    free = torch.zeros_like(low, dtype=torch.bool)
    for (axis, side), (channel, _) in product(sides, enumerate(walls[0][0])):
        value = walls[axis][side][channel]
        place = (channel, *(slice(None),) * axis, -side)
        if value is None:
            free[place] = True
        else:
            low[place], high[place] = low[place].clamp_max(value), high[place].clamp_min(value)
    held = (low == high) & ~free
    return held, low.where(held, 0.0)


def hold_walls(u: Tensor, walls: Walls, domain: Domain) -> Tensor:
    """Fields u (B, C, *S) with the values that walls hold; `walls` may be empty."""
    found = held_points(walls, domain.shape, domain.boundary, u.device) if walls else None
    return u if found is None else torch.where(found[0], found[1].to(u), u)
