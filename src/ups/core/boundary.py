"""Convolutions that know the boundary of each axis.

Padding continues a field beyond the grid: periodic axes wrap, sides repeat the edge, those of a Dirichlet condition add
zeros. Physical fields, to which a zero means nothing, repeat their edge at every side: a wall's own value.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ups.core.depthwise import depthwise
from ups.core.domain import Domain, sides


def pad(x: Tensor, width: int, boundary: Sequence[str], first_axis: int) -> Tensor:
    """Pads each spatial axis (`first_axis`, `first_axis + 1`, ...) of x by `width` points on both sides."""
    for axis, kind in enumerate(boundary, start=first_axis):
        n = x.shape[axis]
        if "dirichlet" in kind:
            zeros = x.new_zeros([*x.shape[:axis], width, *x.shape[axis + 1 :]])
            low, high = (
                zeros if side == "dirichlet" else x.narrow(axis, end, 1).expand_as(zeros)
                for side, end in zip(sides(kind), (0, n - 1), strict=True)
            )
            x = torch.cat([low, x, high], axis)
        elif width <= n and kind == "periodic":
            x = torch.cat([x.narrow(axis, n - width, width), x, x.narrow(axis, 0, width)], axis)
        else:
            index = torch.arange(-width, n + width, device=x.device)
            x = x.index_select(axis, index % n if kind == "periodic" else index.clamp(0, n - 1))
    return x


def _repeating(boundary: Sequence[str]) -> list[str]:
    """The boundary of physical fields, which repeat their edge at every side that does not wrap."""
    return ["periodic" if kind == "periodic" else "neumann" for kind in boundary]


class BoundaryConv(nn.Module):
    """A dense convolution (B, C_in, *S) on a domain -> (B, C_out, *S) with an odd `kernel` on 1, 2 or 3 axes.

    With `fields` its input holds physical fields, which repeat their edge at every side.
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int, axes: int, fields: bool = False):
        super().__init__()
        self.width, self.fields = kernel // 2, fields
        self.conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1](channels_in, channels_out, kernel)

    def forward(self, x: Tensor, domain: Domain) -> Tensor:
        boundary = _repeating(domain.boundary) if self.fields else domain.boundary
        return self.conv(pad(x, self.width, boundary, 2))


class TokenConv(nn.Module):
    """A convolution over a grid of tokens, (B, *G, D_in) -> (B, *G, D_out), with an odd number of `taps` along 1, 2 or
    3 axes; `depthwise`, each channel for itself.

    Tokens stay in the memory layout that they have: to a convolution they are fields with their channels last, which
    in 1D is fast only as a picture of one line. With `fields` its input holds physical fields, as in `BoundaryConv`.
    """

    def __init__(self, dim_in: int, dim_out: int, taps: int, axes: int, depthwise: bool = False, fields: bool = False):
        super().__init__()
        self.width, self.fields, self.flat = taps // 2, fields, axes == 1
        groups = dim_in if depthwise else 1
        if axes == 3:
            self.conv = nn.Conv3d(dim_in, dim_out, taps, groups=groups)
        else:
            self.conv = nn.Conv2d(dim_in, dim_out, (1 if self.flat else taps, taps), groups=groups)

    def forward(self, x: Tensor, tokens: Domain) -> Tensor:
        boundary = _repeating(tokens.boundary) if self.fields else tokens.boundary
        x = pad(x, self.width, boundary, 1).movedim(-1, 1)
        return (self._across(x.unsqueeze(2)).squeeze(2) if self.flat else self._across(x)).movedim(1, -1)

    def _across(self, x: Tensor) -> Tensor:
        conv = self.conv
        alone = isinstance(conv, nn.Conv2d) and conv.groups > 1
        return depthwise(x, conv.weight, conv.bias) if alone else conv(x)


class StarConv(nn.Module):
    """A depthwise convolution with a star-shaped stencil, like a finite difference: `taps` points along each axis.

    Works on tokens (B, *G, D), so no transposition is needed. Zero-initialised: at first it adds nothing.
    """

    def __init__(self, dim: int, axes: int, taps: int = 3):
        super().__init__()
        self.width = taps // 2
        self.weight = nn.Parameter(torch.zeros(axes, taps, dim))

    def forward(self, x: Tensor, tokens: Domain) -> Tensor:
        out = torch.zeros_like(x)
        for axis, kind in enumerate(tokens.boundary):
            padded = pad(x, self.width, [kind], 1 + axis)
            for tap, weight in enumerate(self.weight[axis]):
                out = out + padded.narrow(1 + axis, tap, x.shape[1 + axis]) * weight
        return out


class DomainSequential(nn.Sequential):
    """Layers one after the other; the domain is passed on to the convolutions among them."""

    def forward(self, x: Tensor, domain: Domain) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        for layer in self:
            x = layer(x, domain) if isinstance(layer, BoundaryConv) else layer(x)
        return x


def mirror(x: Tensor, boundary: Sequence[str], first_axis: int) -> Tensor:
    """Extends axes that are not periodic evenly to twice their length, so that x becomes periodic without a jump."""
    for axis, kind in enumerate(boundary, start=first_axis):
        if kind != "periodic":
            x = torch.cat([x, x.flip(axis)], axis)
    return x
