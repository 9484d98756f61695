"""Patches: the exact map between a grid and its tokens, for any number of tokens on 1, 2 or 3 axes.

Token i of an axis with S points and G tokens covers p >= S / G points from floor(i S / G) on. Where G p = S these are
the usual disjoint patches; elsewhere neighbours overlap and each point is read back from the last token that covers it,
so `join(split(u)) == u` always holds to the bit.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ups.core.domain import Domain
from ups.core.errors import UserError
from ups.core.tables import table


def token_grid(shape: Sequence[int], tokens: int) -> tuple[int, ...]:
    """Factors `tokens` over the axes of `shape` so that patches are as close to cubes as can be."""
    if tokens < 1 or tokens > math.prod(shape):
        raise UserError(
            f"latent.tokens must be between 1 and the number of grid points {math.prod(shape)}, found {tokens}"
        )
    divisors = [n for n in range(1, tokens + 1) if tokens % n == 0]
    choices = [
        grid
        for grid in itertools.product(divisors, repeat=len(shape))
        if math.prod(grid) == tokens and all(g <= s for g, s in zip(grid, shape, strict=True))
    ]
    if not choices:
        raise UserError(
            f"latent.tokens = {tokens} cannot be laid out on the grid {tuple(shape)}; choose a product of small factors"
        )
    return min(choices, key=lambda grid: _elongation(shape, grid))


def _elongation(shape: Sequence[int], grid: Sequence[int]) -> float:
    sides = [math.log(s / g) for s, g in zip(shape, grid, strict=True)]
    return max(sides) - min(sides)


@table
def _starts(s: int, g: int, p: int, device: torch.device) -> Tensor:
    return (torch.arange(g, device=device) * s // g).clamp_max(s - p)


@table
def _gather(s: int, g: int, p: int, device: torch.device) -> Tensor:
    return (_starts(s, g, p, device)[:, None] + torch.arange(p, device=device)).flatten()


@table
def _scatter(s: int, g: int, p: int, device: torch.device) -> Tensor:
    starts, points = _starts(s, g, p, device), torch.arange(s, device=device)
    owner = torch.searchsorted(starts, points, right=True) - 1
    return owner * p + points - starts[owner]


@dataclass(frozen=True)
class Patches:
    """Splits a field into tokens and joins it again, without loss.

    Attributes:
        shape: Grid points per axis, S.
        grid: Tokens per axis, G, each at most S.
        sides: Points of a patch per axis, p.
    """

    shape: tuple[int, ...]
    grid: tuple[int, ...]
    sides: tuple[int, ...]

    @property
    def points(self) -> int:
        """Points of a patch."""
        return math.prod(self.sides)

    @property
    def disjoint(self) -> bool:
        """Whether no point is in two tokens."""
        return all(s == g * p for s, g, p in zip(self.shape, self.grid, self.sides, strict=True))

    def split(self, u: Tensor) -> Tensor:
        """(B, C, *S) -> (B, N, C * p), N tokens in row-major order of the token grid."""
        d = len(self.shape)
        order = [0, *(2 + 2 * i for i in range(d)), 1, *(3 + 2 * i for i in range(d))]
        return self._cut(u, 2).permute(order).flatten(1, d).flatten(2)

    def join(self, tokens: Tensor) -> Tensor:
        """(B, N, C * p) -> (B, C, *S), the inverse of `split`."""
        d = len(self.shape)
        x = tokens.unflatten(1, self.grid).unflatten(-1, (-1, *self.sides))
        return self._glued(x.permute(0, 1 + d, *(i for axis in range(d) for i in (1 + axis, 2 + d + axis))), 2)

    def split_last(self, x: Tensor) -> Tensor:
        """(B, *S, C) -> (B, N, p * C): `split` for channels that are last, and stay last so that less is moved."""
        d = len(self.shape)
        order = [0, *(1 + 2 * i for i in range(d)), *(2 + 2 * i for i in range(d)), 1 + 2 * d]
        return self._cut(x, 1).permute(order).flatten(1, d).flatten(2)

    def join_last(self, tokens: Tensor) -> Tensor:
        """(B, N, p * C) -> (B, *S, C), the inverse of `split_last`."""
        d = len(self.shape)
        x = tokens.unflatten(1, self.grid).unflatten(-1, (*self.sides, -1))
        return self._glued(x.permute(0, *(i for axis in range(d) for i in (1 + axis, 1 + d + axis)), 1 + 2 * d), 1)

    def _cut(self, u: Tensor, first: int) -> Tensor:
        """Each spatial axis, from `first` on, into tokens and points of a token: S -> G, p."""
        for axis, (s, g, p) in enumerate(zip(self.shape, self.grid, self.sides, strict=True)):
            dim = first + 2 * axis
            if s != g * p:
                u = u.index_select(dim, _gather(s, g, p, u.device))
            u = u.unflatten(dim, (g, p))
        return u

    def _glued(self, x: Tensor, first: int) -> Tensor:
        """The inverse of `_cut`."""
        for dim, (s, g, p) in enumerate(zip(self.shape, self.grid, self.sides, strict=True), start=first):
            x = x.flatten(dim, dim + 1)
            if s != g * p:
                x = x.index_select(dim, _scatter(s, g, p, x.device))
        return x


def sides_of(shape: Sequence[int], grid: Sequence[int]) -> tuple[int, ...]:
    """Points of the smallest patches with which the tokens of a grid cover it."""
    return tuple(-(-s // g) for s, g in zip(shape, grid, strict=True))


@dataclass(frozen=True)
class Layout:
    """How any domain is cut into tokens: into patches of the sides and the density that one domain fixes.

    A larger domain of the same spacing has more tokens. A finer one is taken apart into interleaved grids of that
    spacing, so that a stencil spans the same distance on all of them; their tokens follow one another.

    Attributes:
        domain: The domain of the training data.
        grid: Tokens per axis on it.
    """

    domain: Domain
    grid: tuple[int, ...]

    @property
    def sides(self) -> tuple[int, ...]:
        """Points of a patch per axis."""
        return sides_of(self.domain.shape, self.grid)

    def strides(self, domain: Domain) -> tuple[int, ...]:
        """How many grids are interleaved along each axis; raises UserError for domains that do not fit."""
        if domain.axes != self.domain.axes:
            raise UserError(f"a model of {self.domain.axes} axes was given a domain of {domain.axes}")
        return domain.strides(self.domain.spacing)

    def patches(self, domain: Domain) -> Patches:
        """The patches of one of the interleaved grids of a domain; raises UserError for domains that do not fit."""
        shape = tuple(n // stride for n, stride in zip(domain.shape, self.strides(domain), strict=True))
        density = zip(shape, self.grid, self.domain.shape, strict=True)
        if any(p > n for p, n in zip(self.sides, shape, strict=True)):
            raise UserError(f"a patch of {self.sides} points does not fit into a grid of {shape}: use a larger domain")
        return Patches(shape, tuple(-(-n * g // s) for n, g, s in density), self.sides)

    def tokens(self, domain: Domain) -> Domain:
        """The tokens of one of the interleaved grids of a domain, as a grid of their own."""
        patches = self.patches(domain)
        return replace(domain, shape=patches.shape, spacing=self.domain.spacing).coarsened(patches.grid)


def interleaved(u: Tensor, strides: Sequence[int]) -> Tensor:
    """Takes a grid apart: (B, C, *S) -> (B R, C, *S / strides), R = product of the strides."""
    if max(strides) == 1:
        return u
    d = len(strides)
    for axis, stride in enumerate(strides):
        u = u.unflatten(2 + 2 * axis, (-1, stride))
    u = u.permute(0, *(3 + 2 * i for i in range(d)), 1, *(2 + 2 * i for i in range(d)))
    return u.flatten(0, d)


def deinterleaved(u: Tensor, strides: Sequence[int]) -> Tensor:
    """The inverse of `interleaved`: (B R, C, *S / strides) -> (B, C, *S)."""
    if max(strides) == 1:
        return u
    d = len(strides)
    u = u.unflatten(0, (-1, *strides))
    u = u.permute(0, d + 1, *(i for axis in range(d) for i in (d + 2 + axis, 1 + axis)))
    for axis in range(d):
        u = u.flatten(2 + axis, 3 + axis)
    return u
