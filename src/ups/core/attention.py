"""Shifted-window attention over a grid of tokens with 1, 2 or 3 axes: its cost is linear in the number of tokens.

Windows hold about `group_size` tokens. Every other block shifts them by half a window, so that information crosses
their edges (Swin Transformer, arXiv 2103.14030; PDE-Transformer, arXiv 2505.24717). Periodic axes wrap with the shift;
elsewhere tokens that the shift has brought together from opposite ends do not see each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ups.core.domain import Domain
from ups.core.tables import table


def window_sides(grid: Sequence[int], group_size: int) -> tuple[int, ...]:
    """Window sides per axis: the largest of equal length whose product is at most `group_size`, cut to the grid."""
    sides, budget = [1] * len(grid), group_size
    for done, axis in enumerate(sorted(range(len(grid)), key=lambda i: grid[i])):
        sides[axis] = max(1, min(grid[axis], int(budget ** (1 / (len(grid) - done)) + 1e-9)))
        budget //= sides[axis]
    return tuple(sides)


@dataclass(frozen=True)
class Windows:
    """Windows over a grid of tokens: their sides, the grid filled up to whole windows, and the shift.

    Attributes:
        grid: Tokens per axis, G.
        sides: Tokens of a window per axis.
        shifts: Tokens by which the windows are shifted.
    """

    grid: tuple[int, ...]
    sides: tuple[int, ...]
    shifts: tuple[int, ...]

    @property
    def padded(self) -> tuple[int, ...]:
        """Tokens per axis with those that only fill the last window up."""
        return tuple(-(-g // w) * w for g, w in zip(self.grid, self.sides, strict=True))

    def split(self, x: Tensor) -> Tensor:
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

    def join(self, x: Tensor, batch: int) -> Tensor:
        """The inverse of `split`."""
        d = len(self.grid)
        counts = [p // w for p, w in zip(self.padded, self.sides, strict=True)]
        x = x.view(batch, *counts, *self.sides, x.shape[-1])
        x = x.permute(0, *(i for axis in range(d) for i in (1 + axis, 1 + d + axis)), 2 * d + 1)
        x = x.reshape(batch, *self.padded, x.shape[-1])
        for axis, g in enumerate(self.grid, start=1):
            x = x.narrow(axis, 0, g)
        return torch.roll(x, list(self.shifts), list(range(1, d + 1))) if any(self.shifts) else x


@table
def _mask(
    grid: tuple[int, ...],
    sides: tuple[int, ...],
    shifts: tuple[int, ...],
    periodic: tuple[bool, ...],
    device: torch.device,
) -> Tensor | None:
    """Which tokens of a window see each other, (windows, 1, w, w), or None where all do."""
    windows = Windows(grid, sides, shifts)
    if windows.padded == grid and all(wraps or s == 0 for wraps, s in zip(periodic, shifts, strict=True)):
        return None
    region = torch.zeros(grid, dtype=torch.long, device=device)
    for axis, (wraps, shift) in enumerate(zip(periodic, shifts, strict=True)):
        moved = torch.arange(grid[axis], device=device) < (0 if wraps else shift)
        region = 2 * region + moved.long().view([-1 if i == axis else 1 for i in range(len(grid))])
    region = windows.split((region + 1).unsqueeze(0).unsqueeze(-1)).squeeze(-1)
    same = region[:, :, None] == region[:, None, :]
    return (same & (region[:, None, :] > 0) | torch.eye(region.shape[1], dtype=torch.bool, device=device)).unsqueeze(1)


class WindowAttention(nn.Module):
    """Multi-head self-attention within windows, (B, *G, D) on a grid of tokens -> (B, *G, D).

    Args:
        dim: Width D, divisible by `heads`.
        heads: Attention heads.
        group_size: Tokens in a window; a window that covers the grid makes this full attention.
        shift: Whether windows are shifted by half a side.
    """

    def __init__(self, dim: int, heads: int, group_size: int, shift: bool):
        super().__init__()
        self.heads, self.group_size, self.shift = heads, group_size, shift
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def windows(self, grid: tuple[int, ...]) -> Windows:
        """The windows over a grid."""
        sides = window_sides(grid, self.group_size)
        shifts = tuple(w // 2 if self.shift and w < g else 0 for g, w in zip(grid, sides, strict=True))
        return Windows(grid, sides, shifts)

    def forward(self, x: Tensor, tokens: Domain) -> Tensor:
        windows = self.windows(tokens.shape)
        split = windows.split(x)
        q, k, v = self.qkv(split).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        periodic = tuple(kind == "periodic" for kind in tokens.boundary)
        mask = _mask(windows.grid, windows.sides, windows.shifts, periodic, x.device)
        if mask is not None:
            mask = mask.repeat(x.shape[0], 1, 1, 1)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return windows.join(self.out(mixed.transpose(1, 2).flatten(2)), x.shape[0])
