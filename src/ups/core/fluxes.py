"""What fluxes bring: a change that is a difference of fluxes keeps the sum over the grid, whatever the fluxes are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def divergence(fluxes: Tensor, boundary: Sequence[str]) -> Tensor:
    """Differences of neighbouring fluxes, summed over the axes: (B, C, axes, *S) -> (B, C, *S), whose sum over S is 0.

    `fluxes[:, :, a, i]` flows through the face above point i of axis a. Through the faces at the ends of an axis that
    is not periodic nothing flows.
    """
    total = torch.zeros_like(fluxes[:, :, 0])
    for a, kind in enumerate(boundary):
        flux, axis = fluxes[:, :, a], 2 + a
        if kind == "periodic":
            total = total + flux - flux.roll(1, axis)
        else:
            inner = flux.narrow(axis, 0, flux.shape[axis] - 1)
            end = torch.zeros_like(flux.narrow(axis, 0, 1))
            total = total + torch.cat([inner, end], axis) - torch.cat([end, inner], axis)
    return total
