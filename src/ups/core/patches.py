"""Patches: the exact map between a grid and its tokens, for any number of tokens on 1, 2 or 3 axes.

Token i of an axis with S points and G tokens covers the p = ceil(S / G) points from floor(i S / G) on. Where G
divides S
these are the usual disjoint patches; elsewhere neighbours overlap and each point is read back from the last token that
covers it, so `join(split(u)) == u` always holds to the bit.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ups.core.errors import UserError


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


class Patches(nn.Module):
    """Splits a field into tokens and joins it again, without loss.

    Args:
        shape: Grid points per axis, S.
        grid: Tokens per axis, G, each at most S.
    """

    def __init__(self, shape: Sequence[int], grid: Sequence[int]):
        super().__init__()
        self.shape, self.grid = tuple(shape), tuple(grid)
        self.sides = tuple(-(-s // g) for s, g in zip(shape, grid, strict=True))
        self.points = math.prod(self.sides)
        for axis, (s, g, p) in enumerate(zip(self.shape, self.grid, self.sides, strict=True)):
            starts = torch.arange(g) * s // g
            owner = torch.searchsorted(starts, torch.arange(s), right=True) - 1
            self.register_buffer(f"_gather{axis}", (starts[:, None] + torch.arange(p)).flatten(), persistent=False)
            self.register_buffer(f"_scatter{axis}", owner * p + torch.arange(s) - starts[owner], persistent=False)

    def split(self, u: Tensor) -> Tensor:
        """(B, C, *S) -> (B, N, C * p), N tokens in row-major order of the token grid."""
        d = len(self.shape)
        for axis, (s, g, p) in enumerate(zip(self.shape, self.grid, self.sides, strict=True)):
            dim = 2 + 2 * axis
            if s % g:
                u = u.index_select(dim, self.get_buffer(f"_gather{axis}"))
            u = u.unflatten(dim, (g, p))
        order = [0, *(2 + 2 * i for i in range(d)), 1, *(3 + 2 * i for i in range(d))]
        return u.permute(order).flatten(1, d).flatten(2)

    def join(self, tokens: Tensor) -> Tensor:
        """(B, N, C * p) -> (B, C, *S), the inverse of `split`."""
        d = len(self.shape)
        x = tokens.unflatten(1, self.grid).unflatten(-1, (-1, *self.sides))
        x = x.permute(0, 1 + d, *(i for axis in range(d) for i in (1 + axis, 2 + d + axis)))
        for axis, (s, g) in enumerate(zip(self.shape, self.grid, strict=True)):
            x = x.flatten(2 + axis, 3 + axis)
            if s % g:
                x = x.index_select(2 + axis, self.get_buffer(f"_scatter{axis}"))
        return x
