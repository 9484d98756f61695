"""The Fourier neural operator (arXiv 2010.08895): that of the package `neuraloperator`, an optional dependency, or the
same network written with real matrix products.

    x <- gelu(mlp(gelu(F^-1( R_k F(x)_k ) + W x + b)) + a x), |k| <= modes / 2, the last layer without gelu(...)
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ups.core.domain import Domain
from ups.core.errors import UserError
from ups.core.settings import Settings
from ups.core.spectral import SpectralMixing


class FNOSettings(Settings):
    """The Fourier neural operator.

    Good values: the defaults in 1D; `modes` 32 and `width` 32 to 64 in 2D; `products` real, which is faster where few
    frequencies are kept, with a narrow network and Muon.
    """

    width: int = Field(default=64, ge=1)
    """Channels inside."""
    modes: int = Field(default=64, ge=2)
    """Frequencies kept along each axis, positive and negative ones as the package counts them; halved until the grid
    has so many points."""
    layers: int = Field(default=4, ge=1)
    """Fourier layers."""
    products: Literal["complex", "real"] = "complex"
    """`complex` is the package's network; `real` multiplies real and imaginary parts by real matrices, so that Muon can
    take them, needs no package, keeps the frequency modes / 2 of both signs and mirrors axes that are not periodic."""


def fno(settings: FNOSettings, channels_in: int, channels_out: int, grid: Domain) -> nn.Module:
    """A network (B, channels_in, *S) and a domain -> (B, channels_out, *S), for training data on `grid`; raises
    UserError where it is the package's and that is missing."""
    if settings.products == "real":
        return RealFNO(settings, channels_in, channels_out, grid)
    require_neuralop()
    return _plain_fno()(
        n_modes=tuple(kept(settings.modes, points) for points in grid.shape),
        in_channels=channels_in,
        out_channels=channels_out,
        hidden_channels=settings.width,
        n_layers=settings.layers,
        positional_embedding=None,
    )


def kept(modes: int, points: int) -> int:
    """`modes`, halved until there are as many points."""
    while modes > points:
        modes //= 2
    return modes


def require_neuralop() -> None:
    """Raises UserError if the package is missing."""
    if find_spec("neuralop") is None:
        raise UserError(
            "the Fourier neural operator needs neuraloperator, which is not installed: "
            "pip install 'universal-physics-stack[bench]'"
        )


def _plain_fno() -> Any:
    """The package's class with the state of any module (its own adds the arguments, which no checkpoint can hold), and
    called as all networks on a grid are."""
    from neuralop.models import FNO  # pyright: ignore[reportMissingImports]

    class PlainFNO(FNO):
        state_dict = nn.Module.state_dict  # pyright: ignore[reportAssignmentType]
        load_state_dict = nn.Module.load_state_dict  # pyright: ignore[reportAssignmentType]

        def forward(self, x: Tensor, domain: Domain) -> Tensor:
            return super().forward(x)

    return PlainFNO


class RealFNO(nn.Module):
    """(B, channels_in, *S) on a domain -> (B, channels_out, *S), with channels last inside.

    Args:
        settings: Its size.
        channels_in: Channels of the input.
        channels_out: Channels of the result.
        grid: The domain of the training data.
    """

    def __init__(self, settings: FNOSettings, channels_in: int, channels_out: int, grid: Domain):
        super().__init__()
        width = settings.width
        modes = max(kept(settings.modes, points) for points in grid.shape) // 2 + 1
        self.lifting = _mlp(channels_in, 2 * width, width)
        self.layers = nn.ModuleList(FourierLayer(width, grid, modes) for _ in range(settings.layers))
        self.projection = _mlp(width, 2 * width, channels_out)

    def forward(self, x: Tensor, domain: Domain) -> Tensor:
        x = self.lifting(x.movedim(1, -1))
        for layer in self.layers:
            x = layer(x, domain, last=layer is self.layers[-1])
        return self.projection(x).movedim(-1, 1)


class FourierLayer(nn.Module):
    """(B, *S, D) on a domain -> (B, *S, D), as a layer of the package with its defaults, and as it is initialised."""

    def __init__(self, width: int, grid: Domain, modes: int):
        super().__init__()
        self.spectral = SpectralMixing(width, grid, modes)
        self.skip = nn.Linear(width, width)
        self.mlp = _mlp(width, round(width / 2), width)
        self.gate = nn.Parameter(torch.ones(width))
        nn.init.normal_(self.spectral.weight, std=(2 * width) ** -0.5)  # a complex number of variance 1 / width
        nn.init.normal_(self.skip.bias, std=width**-0.5)

    def forward(self, x: Tensor, domain: Domain, last: bool) -> Tensor:
        h = self.spectral(x, domain) + self.skip(x)
        y = torch.addcmul(self.mlp(h if last else F.gelu(h)), self.gate, x)
        return y if last else F.gelu(y)


def _mlp(dim_in: int, inner: int, dim_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim_in, inner), nn.GELU(), nn.Linear(inner, dim_out))
