"""Stage 0: the codec between fields and latent tokens.

    z = (P E(u) + c_enc(u) - m) / s          u = D(z s + m)

u is standardised per channel; P cuts it into patches and E keeps the lowest cosine modes of each (all of them where
the latent has room), so the codec starts as an exactly invertible map and c_enc, a zero-initialised convolutional
correction, as well as its mirror in the decoder, learn what the dynamics want. Full-resolution convolutions before and
after the patches make shifts by less than a patch easy. m and s are the latents' mean and deviation over training data.
"""

from __future__ import annotations

import itertools
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
from ups.core.settings import Settings
from ups.core.system import System
from ups.models.grid_codec import GridCodec


def _word(value: Any) -> Any:
    """`on` and `off`, which YAML may read as true and false."""
    return ("off", "on")[value] if isinstance(value, bool) else value


PositionMode = Annotated[Literal["auto", "on", "off"], BeforeValidator(_word)]


class LatentSettings(Settings):
    """The latent space.

    Good values: `exact`, unless latents are to be small: `tokens * dim` an eighth of the field's size, at several times
    the error; one token for 8 grid points of an axis and `dim` 64 for accuracy with learnt patches in 1D.
    """

    codec: Literal["exact", "patch"] = "exact"
    """`exact` rearranges the grid: nothing is lost, nothing is learnt, and the latent is as large as the field;
    `patch` learns tokens of `dim` numbers, of which there are `tokens`. Unless given, `patch` where one of `dim`,
    `tokens`, `width` and `kernel` is."""
    patch: int | None = Field(default=None, ge=1, le=WIDEST)
    """Points of an exact codec's patches along each axis; unless given 1, and 2 on grids of more than 2,048 points of
    two and three axes that have an even number of points."""
    dim: int = Field(default=64, ge=1, le=WIDEST)
    """Width D of a token; equals `operator.pdet.input_dim`."""
    tokens: int = Field(default=32, ge=1, le=2**20)
    """Number N of tokens; need not divide the grid."""
    width: int = Field(default=32, ge=1, le=WIDEST)
    """Channels of the convolutions around the patches."""
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
    def _learnt(cls, given: Any) -> Any:
        """Fill in the codec that is meant."""
        return {**given, "codec": cls.kind(given)} if isinstance(given, Mapping) else given

    @staticmethod
    def kind(given: Mapping[str, Any]) -> Any:
        """The codec of settings that may not name it: who gives the size of a learnt latent means one."""
        return given.get("codec", "patch" if given.keys() & {"dim", "tokens", "width", "kernel"} else "exact")

    @field_validator("kernel")
    @classmethod
    def _odd(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, found {kernel}")
        return kernel

    def grid(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Tokens per axis of the exact codec on a grid; raises UserError for patches that do not divide it."""
        fine = len(shape) > 1 and math.prod(shape) > 2048 and all(n % 2 == 0 for n in shape)
        patch = self.patch or (2 if fine else 1)
        if any(n % patch for n in shape):
            raise UserError(f"latent.patch = {patch} must divide the {' x '.join(map(str, shape))} points of the grid")
        return tuple(n // patch for n in shape)

    def position_axes(self, system: System) -> tuple[int, ...]:
        """The axes along which tokens are told where they are."""
        axes = {"on": range(len(system.shape)), "off": (), "auto": system.fixed_axes}
        return tuple(axes[self.position])

    def least_weights(self, shape: Sequence[int]) -> int:
        """What the codec of a grid has at least: one of its convolutions, and the map from a patch to a token."""
        if self.codec == "exact":
            return 0
        patch = -(-math.prod(shape) // self.tokens)
        return patch * self.width * self.dim + self.kernel ** len(shape) * self.width**2


def cosine_basis(channels: int, sides: Sequence[int], keep: int) -> Tensor:
    """Orthonormal rows (keep, channels * points): the pixels themselves if all are kept, else the lowest cosine modes
    of a patch."""
    points = math.prod(sides)
    if keep == channels * points:
        return torch.eye(keep)
    modes = sorted(
        itertools.product(*(range(p) for p in sides)),
        key=lambda k: sum(i * i / p / p for i, p in zip(k, sides, strict=True)),
    )[: -(-keep // channels)]
    waves = []
    for k in modes:
        rows = torch.ones(1)
        for i, p in zip(k, sides, strict=True):
            wave = torch.cos(torch.pi / p * (torch.arange(p) + 0.5) * i) * math.sqrt((1 if i == 0 else 2) / p)
            rows = torch.outer(rows, wave).flatten()
        waves.append(rows)
    basis = torch.zeros(keep, channels, points)
    for row, (wave, channel) in enumerate(itertools.islice(itertools.product(waves, range(channels)), keep)):
        basis[row, channel] = wave
    return basis.flatten(1)


class Autoencoder(GridCodec):
    """The codec that learns: a patch of many points is a token of `latent.dim` numbers.

    Args:
        system: Channels of the data, and the domain whose tokens fix the patches of all others.
        latent: Size of the latent space.
    """

    basis: Tensor
    z_mean: Tensor
    z_std: Tensor
    exact = False

    def __init__(self, system: System, latent: LatentSettings):
        super().__init__(system, token_grid(system.shape, latent.tokens))
        channels, width, axes = len(system.channels), latent.width, len(system.shape)
        points = math.prod(self.layout.sides)
        self.dim, self.linear_dim = latent.dim, min(latent.dim, channels * points)
        self.register_buffer("basis", cosine_basis(channels, self.layout.sides, self.linear_dim), persistent=False)
        self.register_buffer("z_mean", torch.zeros(latent.dim))
        self.register_buffer("z_std", torch.ones(latent.dim))
        self.stem = DomainSequential(
            BoundaryConv(channels, width, latent.kernel, axes, fields=True),
            nn.GELU(),
            BoundaryConv(width, width, latent.kernel, axes),
            nn.GELU(),
        )
        self.to_latent = nn.Linear(width * points, latent.dim)
        beside = max(width - channels, 1)  # with the field itself, `width` channels: what convolutions are fast with
        self.from_latent = nn.Linear(latent.dim, beside * points)
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

    @torch.no_grad()
    def calibrate(self, u: Tensor) -> None:
        """Sets the latents' mean and deviation from training fields u (B, C, *S); decode(encode(u)) stays as it is."""
        z = self.encode(u) * self.z_std + self.z_mean
        self.z_mean.copy_(z.mean((0, 1)))
        self.z_std.copy_(z.std((0, 1)).clamp_min(1e-3))

    def _tokens(self, v: Tensor, domain: Domain) -> Tensor:
        patches = self.layout.patches(domain)
        z = self.to_latent(patches.split(self.stem(v, domain)))
        with torch.autocast(v.device.type, enabled=False):  # the exact path stays exact
            linear = patches.split(v) @ self.basis.T
        z = torch.cat([z[..., : self.linear_dim] + linear, z[..., self.linear_dim :]], -1)
        return (z - self.z_mean) / self.z_std

    def _fields(self, z: Tensor, domain: Domain) -> Tensor:
        patches, z = self.layout.patches(domain), z * self.z_std + self.z_mean
        with torch.autocast(z.device.type, enabled=False):
            v = patches.join(z[..., : self.linear_dim] @ self.basis)
        return v + self.head(torch.cat([patches.join(self.from_latent(z)), v], 1), domain)

    def _moved(self, z: Tensor, change: Tensor) -> Tensor:
        exact, learnt, by = z[..., : self.linear_dim], z[..., self.linear_dim :], change @ self.basis.T
        return torch.cat([exact - by.view(*z.shape[:2], -1) / self.z_std[: self.linear_dim], learnt], -1)


def codec_of(system: System, latent: LatentSettings) -> GridCodec:
    """The codec that the settings name, for a system."""
    return Autoencoder(system, latent) if latent.codec == "patch" else GridCodec(system, latent.grid(system.shape))
