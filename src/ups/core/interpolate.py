"""Values of gridded fields at any coordinates, one small matrix per axis.

Periodic axes use trigonometric interpolation, exact for what the grid resolves; other axes use cubic Lagrange
polynomials on the four nearest points. Both return the grid values themselves at the grid points.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ups.core.errors import UserError


def interpolation_matrix(source: Tensor, query: Tensor, boundary: str) -> Tensor:
    """The matrix M (Q, S) with u(query) ≈ M u(source), for one axis.

    Args:
        source: Equidistant grid coordinates, (S,). A periodic axis excludes its right end: the period is S times the
            spacing.
        query: Coordinates that are asked for, (Q,).
        boundary: `periodic`, or anything else for an axis with two ends.
    """
    source, query = source.to(query.device).double(), query.double()
    if len(source) == 1:
        return torch.ones(len(query), 1, dtype=torch.double, device=source.device)
    position = (query - source[0]) / ((source[-1] - source[0]) / (len(source) - 1))
    if boundary == "periodic":
        return _trigonometric(position, len(source))
    if position.min() < -0.5 or position.max() > len(source) - 0.5:
        low, high = float(source[0]), float(source[-1])
        raise UserError(
            f"coordinates must lie in the domain [{low:g}, {high:g}], found {query.min():g} to {query.max():g}"
        )
    return _cubic(position, len(source))


def _trigonometric(position: Tensor, n: int) -> Tensor:
    grid = torch.arange(n, device=position.device, dtype=position.dtype)
    k = 2 * torch.pi / n * torch.arange(1, (n - 1) // 2 + 1, device=position.device, dtype=position.dtype)
    a, b = torch.outer(position, k), torch.outer(grid, k)
    kernel = 1 + 2 * (a.cos() @ b.cos().T + a.sin() @ b.sin().T)
    if n % 2 == 0:
        kernel = kernel + torch.cos(torch.pi * position[:, None]) * torch.cos(
            torch.pi * torch.arange(n, device=position.device)
        )
    return kernel / n


def _cubic(position: Tensor, n: int) -> Tensor:
    order = min(4, n)
    first = (position.floor().long() - (order // 2 - 1)).clamp(0, n - order)
    nodes = first[:, None] + torch.arange(order, device=position.device)
    weights = torch.ones_like(nodes, dtype=torch.double)
    for i in range(order):
        for j in range(order):
            if i != j:
                weights[:, i] *= (position - nodes[:, j]) / (i - j)
    return torch.zeros(len(position), n, dtype=torch.double, device=position.device).scatter_(1, nodes, weights)


def sample(u: Tensor, source: Sequence[Tensor], points: Tensor, boundary: Sequence[str]) -> Tensor:
    """Values at scattered points: u (B, C, *S), points (Q, axes) -> (B, C, Q)."""
    matrices = [
        interpolation_matrix(a, points[:, i], kind).to(u)
        for i, (a, kind) in enumerate(zip(source, boundary, strict=True))
    ]
    letters = "xyz"[: len(matrices)]
    return torch.einsum(f"bc{letters},{','.join('q' + s for s in letters)}->bcq", u, *matrices)
