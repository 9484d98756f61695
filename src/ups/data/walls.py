"""Values that trajectories hold at the sides of their domain, found while all values are read once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ups.core.domain import Boundary, sides
from ups.core.walls import Walls

CONSTANT = 1e-5
"""Largest change of a value that is held, relative to the channel's deviation; rounding in float32 comes on top."""


class RunningWalls:
    """Smallest and largest value of each channel on each side of each axis, `(axes, 2, C)`.

    The edges and corners where two sides meet are left out, unless they are all there is: either may hold them.
    """

    def __init__(self, boundary: Sequence[Boundary], channels: int) -> None:
        self.boundary = tuple(boundary)
        self.low = np.full((len(boundary), 2, channels), np.inf)
        self.high = -self.low

    def add(self, values: np.ndarray) -> None:
        """Merge a block of values `(b, t, C, *S)`."""
        for axis, kind in enumerate(self.boundary):
            for side in (0, 1) if kind != "periodic" else ():
                found = np.moveaxis(self._side(values, axis, side), 2, 0).reshape(values.shape[2], -1)
                self.low[axis, side] = np.minimum(self.low[axis, side], found.min(1))
                self.high[axis, side] = np.maximum(self.high[axis, side], found.max(1))

    def _side(self, values: np.ndarray, axis: int, side: int) -> np.ndarray:
        inside = [slice(1, -1) if k != "periodic" and n > 2 else slice(None) for k, n in self._grid(values)]
        inside[axis] = slice(-1, None) if side else slice(0, 1)
        return values[(slice(None),) * 3 + tuple(inside)]

    def _grid(self, values: np.ndarray) -> list[tuple[Boundary, int]]:
        return list(zip(self.boundary, values.shape[3:], strict=True))

    def held(self, std: Sequence[float], of_channels: Sequence[Sequence[Boundary]]) -> Walls:
        """The values that never change by more than rounding, given each channel's deviation (C,) and conditions.

        An open side holds nothing. Empty if no side holds anything.
        """
        deviation, eps = np.asarray(std), float(np.finfo(np.float32).eps)
        with np.errstate(invalid="ignore"):  # an axis without sides has nothing between infinities
            middle = (self.low + self.high) / 2
            constant = self.high - self.low <= CONSTANT * deviation + 4 * eps * np.abs(middle)
        values = np.where(np.abs(middle) <= eps * deviation, 0.0, middle).astype(np.float32)

        def value(axis: int, side: int, channel: int) -> float | None:
            free = sides(of_channels[channel][axis])[side] in ("periodic", "open")
            return float(values[axis, side, channel]) if constant[axis, side, channel] and not free else None

        axes, both, channels = (range(n) for n in values.shape)
        walls = tuple(tuple(tuple(value(i, side, c) for c in channels) for side in both) for i in axes)
        return walls if any(held is not None for axis in walls for side in axis for held in side) else ()
