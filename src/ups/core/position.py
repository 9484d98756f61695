"""Where tokens are: features of their position beside their latents, for systems whose law changes from place to place.

Along a periodic axis of length L they are sin and cos of 2 pi k (x - x_0) / L, k = 1 ... 8; along any other axis the
coordinate, from -1 to 1, and exp(-d / h) for the distance d to either wall, with h the distance of neighbouring tokens.
L and x_0 are those of the training domain, so that a finer grid has the same features at the same place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ups.core.domain import Domain
from ups.core.patches import Layout
from ups.core.tables import table

HARMONICS = 8


@dataclass(frozen=True)
class Position:
    """Features of position along some axes.

    Attributes:
        layout: How domains are cut into tokens.
        axes: The axes along which tokens are told where they are; none adds nothing.
    """

    layout: Layout
    axes: tuple[int, ...] = ()

    @property
    def width(self) -> int:
        """Number P of features."""
        kinds = self.layout.domain.boundary
        return sum(2 * HARMONICS if kinds[axis] == "periodic" else 3 for axis in self.axes)

    def beside(self, z: Tensor, domain: Domain) -> Tensor:
        """Tokens z (B, R N, D) of a domain with their features beside them, (B, R N, D + P)."""
        if not self.axes:
            return z
        features = _features(self, domain, z.device)
        return torch.cat([z, features.to(z).expand(len(z), -1, -1)], -1)


@table
def _features(position: Position, domain: Domain, device: torch.device) -> Tensor:
    """(R N, P): of the N tokens of one interleaved grid after the other."""
    tokens, strides = position.layout.tokens(domain), position.layout.strides(domain)
    d, every = domain.axes, (*strides, *tokens.shape)
    columns = []
    for axis in position.axes:
        offsets = domain.spacing[axis] * torch.arange(strides[axis], dtype=torch.double)
        shape = [1] * (2 * d)
        shape[axis], shape[d + axis] = strides[axis], tokens.shape[axis]
        x = (offsets[:, None] + tokens.coords[axis]).view(shape).expand(every).flatten()
        columns.append(_along(position.layout.domain, domain, axis, x, tokens.spacing[axis]))
    return torch.cat(columns, -1).float().to(device)


def _along(reference: Domain, domain: Domain, axis: int, x: Tensor, h: float) -> Tensor:
    """Features along an axis at the coordinates x (M,), (M, 16) or (M, 3)."""
    length = reference.extent[axis]
    if reference.boundary[axis] == "periodic":
        angle = 2 * math.pi / length * (x[:, None] - reference.origin[axis]) * torch.arange(1, HARMONICS + 1)
        return torch.cat([angle.sin(), angle.cos()], -1)
    low, high = x - domain.origin[axis], domain.origin[axis] + domain.extent[axis] - x
    return torch.stack([(low - high) / length, torch.exp(-low / h), torch.exp(-high / h)], -1)
