"""Where a system lives: the grid, its spacing and what happens at its boundary. It is an argument of every model call.

Notation: S = (S_1, ..., S_d) grid points along d = 1, 2 or 3 axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ups.core.errors import UserError

KINDS = ("periodic", "dirichlet", "neumann", "wall", "open")
"""Conditions: a value is prescribed (`dirichlet`), nothing flows through (`neumann`, `wall`), things leave (`open`)."""
Boundary = str
"""The condition of an axis: one of `KINDS` for both of its sides, or `low/high`, such as `dirichlet/neumann`."""


def sides(boundary: Boundary) -> tuple[str, str]:
    """The condition of the low and of the high side of an axis."""
    low, _, high = boundary.partition("/")
    return low, high or low


def read_boundary(word: str) -> Boundary:
    """The condition of an axis in its shortest form; raises ValueError for one that does not exist."""
    low, high = sides(word)
    if low not in KINDS or high not in KINDS or (low == "periodic") != (high == "periodic"):
        raise ValueError(
            f"one of {', '.join(KINDS)} expected, or two for both sides as dirichlet/neumann, found {word}"
        )
    return low if low == high else f"{low}/{high}"


@dataclass(frozen=True)
class Domain:
    """A regular grid with its boundary; hashable, so that masks, waves and patches are made once for each.

    Attributes:
        shape: Grid points S.
        boundary: Boundary condition of each axis.
        spacing: Distance of neighbouring points along each axis, in units of length.
        origin: Coordinate of the first point along each axis.
    """

    shape: tuple[int, ...]
    boundary: tuple[Boundary, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]

    @classmethod
    def unit(cls, shape: Sequence[int], boundary: Sequence[Boundary] = ()) -> Domain:
        """A grid of spacing 1 from 0 on, periodic unless said otherwise."""
        d = len(shape)
        return cls(tuple(shape), tuple(boundary) or ("periodic",) * d, (1.0,) * d, (0.0,) * d)

    @property
    def axes(self) -> int:
        """Number d of axes."""
        return len(self.shape)

    @property
    def coords(self) -> tuple[Tensor, ...]:
        """Coordinates of the points along each axis, (S_i,) each."""
        return tuple(
            start + step * torch.arange(n, dtype=torch.double)
            for n, step, start in zip(self.shape, self.spacing, self.origin, strict=True)
        )

    @property
    def extent(self) -> tuple[float, ...]:
        """Length of each axis: the period of a periodic axis, the distance from first to last point of any other."""
        return tuple(
            step * (n if kind == "periodic" else n - 1)
            for step, n, kind in zip(self.spacing, self.shape, self.boundary, strict=True)
        )

    def refined(self, *factors: int) -> Domain:
        """The same domain with so many times the points along each axis; an axis with ends keeps both of them."""
        shape = tuple(
            f * n if kind == "periodic" else f * (n - 1) + 1
            for f, n, kind in zip(factors, self.shape, self.boundary, strict=True)
        )
        return replace(self, shape=shape, spacing=tuple(s / f for s, f in zip(self.spacing, factors, strict=True)))

    def coarsened(self, shape: Sequence[int]) -> Domain:
        """The same domain in fewer cells, such as the tokens that each hold some of its points."""
        ratios = [n / m for n, m in zip(self.shape, shape, strict=True)]
        spacing = tuple(s * r for s, r in zip(self.spacing, ratios, strict=True))
        origin = tuple(o + s * (r - 1) / 2 for o, s, r in zip(self.origin, self.spacing, ratios, strict=True))
        return Domain(tuple(shape), self.boundary, spacing, origin)

    def strides(self, spacing: Sequence[float]) -> tuple[int, ...]:
        """How many points of this grid lie in a distance of `spacing` along each axis.

        Raises:
            UserError: That is no whole number, or an axis with ends is finer than `spacing`.
        """
        found = []
        for axis, (mine, theirs, n, kind) in enumerate(
            zip(self.spacing, spacing, self.shape, self.boundary, strict=True)
        ):
            stride = round(theirs / mine)
            if stride < 1 or abs(theirs / mine - stride) > 1e-3 * stride or n % stride:
                raise UserError(
                    f"axis {axis} needs the spacing {theirs:g} of the training data, or that over a whole number which "
                    f"divides its {n} points; found {mine:g}: resample the fields"
                )
            if stride > 1 and kind != "periodic":
                raise UserError(
                    f"axis {axis}, which has ends, needs the spacing {theirs:g} of the training data, found {mine:g}: "
                    "resample the fields"
                )
            found.append(stride)
        return tuple(found)
