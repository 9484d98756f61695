"""Stage 0: the codec between fields and learnt patches.

Beside the cosine modes of each patch, convolutions at full resolution before and after the patches learn what the
dynamics want, and make shifts by less than a patch easy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import BeforeValidator, Field, field_validator, model_validator
from torch import Tensor, nn

from ups.core.blocks_pdet import WIDEST
from ups.core.boundary import BoundaryConv, DomainSequential
from ups.core.domain import Domain
from ups.core.errors import UserError
from ups.core.patches import token_grid
from ups.core.settings import Settings, require_all
from ups.core.system import System
from ups.models.learnt_codec import LearntCodec


def _word(value: Any) -> Any:
    """`on` and `off`, which YAML may read as true and false."""
    return ("off", "on")[value] if isinstance(value, bool) else value


PositionMode = Annotated[Literal["auto", "on", "off"], BeforeValidator(_word)]


class LatentSettings(Settings):
    """The latent space.

    Good values: `exact`, unless latents are to be small: then `hierarchical` with `compression` 8 to 64, at several
    times the error; one token for 8 grid points of an axis and `dim` 64 for accuracy with learnt patches in 1D.
    """

    codec: Literal["exact", "patch", "hierarchical"] = "exact"
    """`exact` rearranges the grid: nothing is lost, nothing is learnt, and the latent is as large as the field;
    `patch` learns tokens of `dim` numbers, of which there are `tokens`; `hierarchical` learns to compress by
    `compression`, level by level, each of which halves the grid. Unless given, `hierarchical` where `compression` or
    `downsample` is, else `patch` where one of `dim`, `tokens`, `width` and `kernel` is."""
    patch: int | None = Field(default=None, ge=1, le=WIDEST)
    """Points of an exact codec's patches along each axis; unless given 1, and 2 on grids of more than 2,048 points of
    two and three axes that have an even number of points."""
    compression: float | None = Field(default=None, ge=1, le=WIDEST)
    """Numbers in a field over numbers in the latent of a hierarchical codec, which sets `dim`, to the nearest whole
    number; 8 unless it or `dim` is given."""
    downsample: int | None = Field(default=None, ge=2, le=1024)
    """Points of each axis for a token of a hierarchical codec, a power of two; unless given the smallest from 4 on that
    gives a token as many points as `compression`."""
    dim: int | None = Field(default=64, ge=1, le=WIDEST)
    """Width D of a token, 64 for learnt patches; equals `operator.pdet.input_dim`. A hierarchical codec takes it
    instead of `compression`."""
    tokens: int | None = Field(default=32, ge=1, le=2**20)
    """Number N of learnt patches, 32 unless given; need not divide the grid. Not for a hierarchical codec, which has
    `downsample`."""
    width: int = Field(default=32, ge=1, le=WIDEST)
    """Channels of the convolutions around the patches, or of the finest level of a hierarchical codec."""
    kernel: int = Field(default=5, ge=1, le=1001)
    """Points of these convolutions along each axis; odd."""
    hold_means: bool = True
    """Forecasts keep the spatial mean of every channel whose mean each training trajectory keeps (64 are looked at) and
    whose sides are all periodic or let nothing through, as a conservation law in flux form demands of mass or momentum;
    off, such means drift like any other error."""
    position: PositionMode = "auto"
    """Whether the networks on latents are told where their tokens are: `auto` along the periodic axes along which the
    training data are not homogeneous and, unless the task is a known one, along axes with ends, `on` along all, `off`
    along none."""

    @model_validator(mode="before")
    @classmethod
    def _meant(cls, given: Any) -> Any:
        """Fill in the codec that is meant, and what is usual for it."""
        if not isinstance(given, Mapping):
            return given
        codec = cls.kind(given)
        usual: dict[str, Any] = {"dim": 64, "tokens": 32}
        if codec == "hierarchical":
            usual = {"dim": None, "tokens": None, "compression": 8.0 if given.get("dim") is None else None}
        return {**usual, **{k: v for k, v in given.items() if v is not None or k not in usual}, "codec": codec}

    @staticmethod
    def kind(given: Mapping[str, Any]) -> Any:
        """The codec of settings that may not name it: who gives the size of a learnt latent means one."""
        if given.keys() & {"compression", "downsample"}:
            usual = "hierarchical"
        else:
            usual = "patch" if given.keys() & {"dim", "tokens", "width", "kernel"} else "exact"
        return given.get("codec", usual)

    @field_validator("kernel")
    @classmethod
    def _odd(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, found {kernel}")
        return kernel

    @model_validator(mode="after")
    def _consistent(self) -> LatentSettings:
        levels, points = self.codec == "hierarchical", self.downsample or 2
        require_all(
            {
                f"compression belongs to codec hierarchical, and codec is {self.codec}": not levels
                and self.compression is not None,
                f"downsample belongs to codec hierarchical, and codec is {self.codec}": not levels
                and self.downsample is not None,
                "tokens belongs to codec patch, and codec is hierarchical: set downsample": levels
                and self.tokens is not None,
                "patch belongs to codec exact, and codec is hierarchical": levels and self.patch is not None,
                "compression and dim say the same of a hierarchical codec: give one of them": levels
                and self.compression is not None
                and self.dim is not None,
                f"downsample must be a power of two, found {points}": points & (points - 1) != 0,
            }
        )
        return self

    def factor(self, shape: Sequence[int]) -> int:
        """Points of each axis for a token of a hierarchical codec; raises UserError for more than the grid has."""
        factor = self.downsample or 4
        while not self.downsample and factor ** len(shape) < (self.compression or 1):
            factor *= 2
        if factor > min(shape):
            raise UserError(
                f"latent.downsample = {factor} must be at most the fewest points of an axis, {min(shape)} of the grid "
                f"{' x '.join(map(str, shape))}"
            )
        return factor

    def grid(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Tokens per axis on a grid; raises UserError where there are none that fit."""
        if self.codec == "hierarchical":
            return tuple(-(-n // self.factor(shape)) for n in shape)
        if self.codec == "patch":
            return token_grid(shape, self.tokens or 1)
        fine = len(shape) > 1 and math.prod(shape) > 2048 and all(n % 2 == 0 for n in shape)
        patch = self.patch or (2 if fine else 1)
        if any(n % patch for n in shape):
            raise UserError(f"latent.patch = {patch} must divide the {' x '.join(map(str, shape))} points of the grid")
        return tuple(n // patch for n in shape)

    def token_width(self, channels: int, shape: Sequence[int]) -> int:
        """Width D of a token of a learnt codec; raises UserError where `compression` leaves a token no number."""
        if self.dim is not None:
            return self.dim
        ratio, numbers = self.compression or 1.0, channels * math.prod(shape) / math.prod(self.grid(shape))
        if (width := round(numbers / ratio)) < 1:
            raise UserError(
                f"latent.compression = {ratio:g} leaves nothing of the {numbers:g} numbers of a token: raise "
                "latent.downsample"
            )
        return width

    def position_axes(self, system: System) -> tuple[int, ...]:
        """The axes along which tokens are told where they are."""
        axes = {"on": range(len(system.shape)), "off": (), "auto": system.fixed_axes}
        return tuple(axes[self.position])

    def least_weights(self, shape: Sequence[int]) -> int:
        """What the codec of a grid has at least: one of its convolutions, and the map from a patch to a token, or the
        channel mixing of the coarsest level."""
        if self.codec == "exact":
            return 0
        if self.codec == "hierarchical":
            widest = self.width * self.factor(shape) // 2
            return 2 * widest**2 + self.kernel ** len(shape) * widest
        patch = -(-math.prod(shape) // (self.tokens or 1))
        return patch * self.width * (self.dim or 1) + self.kernel ** len(shape) * self.width**2


class Autoencoder(LearntCodec):
    """The codec of learnt patches: many points are a token of `latent.dim` numbers.

    Args:
        system: Channels of the data, and the domain whose tokens fix the patches of all others.
        latent: Size of the latent space.
    """

    def __init__(self, system: System, latent: LatentSettings):
        channels, width, axes = len(system.channels), latent.width, len(system.shape)
        super().__init__(system, latent.grid(system.shape), latent.token_width(channels, system.shape))
        points = math.prod(self.layout.sides)
        self.stem = DomainSequential(
            BoundaryConv(channels, width, latent.kernel, axes, fields=True),
            nn.GELU(),
            BoundaryConv(width, width, latent.kernel, axes),
            nn.GELU(),
        )
        self.to_latent = nn.Linear(width * points, self.dim)
        beside = max(width - channels, 1)  # with the field itself, `width` channels: what convolutions are fast with
        self.from_latent = nn.Linear(self.dim, beside * points)
        self.head = DomainSequential(
            BoundaryConv(beside + channels, width, latent.kernel, axes, fields=True),
            nn.GELU(),
            BoundaryConv(width, channels, latent.kernel, axes),
        )
        last = self.head[-1]
        assert isinstance(last, BoundaryConv)
        with torch.no_grad():
            for tensor in (
                self.to_latent.weight[: self.linear_dim],
                self.to_latent.bias,
                last.conv.weight,
                last.conv.bias,
            ):
                if tensor is not None:
                    tensor.zero_()

    def _correction(self, v: Tensor, domain: Domain) -> Tensor:
        return self.to_latent(self.layout.patches(domain).split(self.stem(v, domain)))

    def _detail(self, z: Tensor, v: Tensor, domain: Domain) -> Tensor:
        return self.head(torch.cat([self.layout.patches(domain).join(self.from_latent(z)), v], 1), domain)
