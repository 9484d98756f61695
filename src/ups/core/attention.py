"""Shifted-window attention over a grid of tokens with 1, 2 or 3 axes: its cost is linear in the number of tokens.

Windows hold about `group_size` tokens. Every other block shifts them by half a window, so that information crosses
their edges (Swin Transformer, arXiv 2103.14030; PDE-Transformer, arXiv 2505.24717). Periodic axes wrap with the shift;
elsewhere tokens that the shift has brought together from opposite ends do not see each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def window_sides(grid: Sequence[int], group_size: int) -> tuple[int, ...]:
    """Window sides per axis: the largest of equal length whose product is at most `group_size`, cut to the grid."""
    sides, budget = [1] * len(grid), group_size
    for done, axis in enumerate(sorted(range(len(grid)), key=lambda i: grid[i])):
        sides[axis] = max(1, min(grid[axis], int(budget ** (1 / (len(grid) - done)) + 1e-9)))
        budget //= sides[axis]
    return tuple(sides)


class WindowAttention(nn.Module):
    """Multi-head self-attention within windows, (B, *G, D) -> (B, *G, D).

    Args:
        dim: Width D, divisible by `heads`.
        heads: Attention heads.
        grid: Tokens per axis, G.
        boundary: Boundary kind per axis.
        group_size: Tokens in a window; a window that covers the grid makes this full attention.
        shift: Whether windows are shifted by half a side.
    """

    mask: Tensor | None

    def __init__(
        self, dim: int, heads: int, grid: Sequence[int], boundary: Sequence[str], group_size: int, shift: bool
    ):
        super().__init__()
        self.heads, self.grid = heads, tuple(grid)
        self.sides = window_sides(grid, group_size)
        self.padded = tuple(-(-g // w) * w for g, w in zip(self.grid, self.sides, strict=True))
        self.shifts = tuple(w // 2 if shift and w < g else 0 for g, w in zip(self.grid, self.sides, strict=True))
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.register_buffer("mask", self._mask(boundary), persistent=False)

    def _mask(self, boundary: Sequence[str]) -> Tensor | None:
        """Which tokens of a window see each other, (windows, 1, w, w), or None where all do."""
        if self.padded == self.grid and all(
            k == "periodic" or s == 0 for k, s in zip(boundary, self.shifts, strict=True)
        ):
            return None
        region = torch.zeros(self.grid, dtype=torch.long)
        for axis, (kind, shift) in enumerate(zip(boundary, self.shifts, strict=True)):
            wrapped = (
                torch.arange(self.grid[axis]) < shift
                if kind != "periodic"
                else torch.zeros(self.grid[axis], dtype=torch.bool)
            )
            region = 2 * region + wrapped.long().view([-1 if i == axis else 1 for i in range(len(self.grid))])
        region = self._windows((region + 1).unsqueeze(0).unsqueeze(-1)).squeeze(-1)
        same = region[:, :, None] == region[:, None, :]
        return (same & (region[:, None, :] > 0) | torch.eye(region.shape[1], dtype=torch.bool)).unsqueeze(1)

    def _windows(self, x: Tensor) -> Tensor:
        """(B, *G, D) -> (B * windows, tokens per window, D)."""
        d = len(self.grid)
        if any(self.shifts):
            x = torch.roll(x, [-s for s in self.shifts], list(range(1, d + 1)))
        if self.padded != self.grid:
            x = F.pad(
                x, [0, 0, *(n for g, p in zip(self.grid[::-1], self.padded[::-1], strict=True) for n in (0, p - g))]
            )
        for axis, w in enumerate(self.sides):
            x = x.unflatten(1 + 2 * axis, (-1, w))
        x = x.permute(0, *(1 + 2 * i for i in range(d)), *(2 + 2 * i for i in range(d)), 2 * d + 1)
        return x.flatten(0, d).flatten(1, d)

    def _unwindow(self, x: Tensor, batch: int) -> Tensor:
        d = len(self.grid)
        counts = [p // w for p, w in zip(self.padded, self.sides, strict=True)]
        x = x.view(batch, *counts, *self.sides, x.shape[-1])
        x = x.permute(0, *(i for axis in range(d) for i in (1 + axis, 1 + d + axis)), 2 * d + 1)
        x = x.reshape(batch, *self.padded, x.shape[-1])
        for axis, g in enumerate(self.grid, start=1):
            x = x.narrow(axis, 0, g)
        return torch.roll(x, list(self.shifts), list(range(1, d + 1))) if any(self.shifts) else x

    def forward(self, x: Tensor) -> Tensor:
        windows = self._windows(x)
        q, k, v = self.qkv(windows).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mask = self.mask
        if mask is not None:
            mask = mask.repeat(x.shape[0], 1, 1, 1)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self._unwindow(self.out(mixed.transpose(1, 2).flatten(2)), x.shape[0])
