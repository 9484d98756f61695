"""The Fourier neural operator (arXiv 2010.08895) of the package `neuraloperator`, an optional dependency."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from pydantic import Field
from torch import Tensor, nn

from ups.core.domain import Domain
from ups.core.errors import UserError
from ups.core.settings import Settings


class FNOSettings(Settings):
    """The Fourier neural operator.

    Good values: the defaults in 1D; `modes` 32 and `width` 32 to 64 in 2D.
    """

    width: int = Field(default=64, ge=1)
    """Channels inside."""
    modes: int = Field(default=64, ge=2)
    """Frequencies kept along each axis, positive and negative ones as the package counts them; halved until the grid
    has so many points."""
    layers: int = Field(default=4, ge=1)
    """Fourier layers."""


def fno(settings: FNOSettings, channels_in: int, channels_out: int, shape: Sequence[int]) -> nn.Module:
    """A network (B, channels_in, *S) and a domain -> (B, channels_out, *S); raises UserError without the package."""
    require_neuralop()
    return _plain_fno()(
        n_modes=tuple(kept(settings.modes, points) for points in shape),
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
