"""A U-shaped network over a grid of tokens, as the PDE-Transformer is (arXiv 2505.24717), of two kinds of blocks.

`convolution` (ConvNeXt, arXiv 2201.03545, with a filter over all frequencies in some blocks), where tokens are points:

    x <- x + (1 + g) * mlp(mod(conv(x) + filter(x)))

`transformer`, where tokens are patches:

    x <- x + star(x)                                   position, from a depthwise convolution
    x <- x + g1 * (attention + spectral)(mod1(x))      mixing of tokens
    x <- x + g2 * mlp(mod2(x))                         mixing of channels

with mod(x) = (1 + a) * LayerNorm(x) + b, and a, b, g linear in the condition and 0 at first (AdaLN, arXiv 2212.09748),
or learnt numbers where nothing varies that could condition them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from ups.core.attention import WindowAttention
from ups.core.boundary import StarConv, TokenConv
from ups.core.domain import Domain
from ups.core.patches import Patches
from ups.core.settings import Settings, require_all
from ups.core.spectral import SpectralFilter, SpectralMixing

DEEPEST, WIDEST = 1000, 2**16
"""Blocks in all, and channels: what lies above is a slip of the finger."""


USUAL: dict[str, dict[str, Any]] = {
    "convolution": {},
    "transformer": {
        "hidden_dim": 64,
        "depths": (4,),
        "spectral_modes": 17,
        "conv_taps": 3,
        "stem_taps": 1,
        "growth": 1,
    },
}
"""What measured best with each kind of block, where it is not the default of the field."""


class PDETransformerConfig(Settings):
    """The backbone of the operator.

    Good values: the defaults; with `transformer` blocks `hidden_dim` 64 to 128, `depths` [4] up to 128 tokens on an
    axis and [2, 4, 2] beyond, `spectral_modes` half the tokens of an axis and one; attention (`group_size` 16 to 64)
    costs as much again and did not pay on periodic flows.
    """

    block: Literal["convolution", "transformer"] = "convolution"
    """`convolution` for tokens that are points of the grid (`latent.codec: exact`) or of a coarser one
    (`hierarchical`), `transformer` for learnt patches; unless given, `transformer` where the codec is `patch`, or
    where `input_dim` is given and no codec."""
    input_dim: int = Field(default=64, ge=1, le=WIDEST)
    """Width of a token; equals `latent.dim` where the codec is learnt."""
    hidden_dim: int = Field(default=32, ge=1, le=WIDEST)
    """Width inside the blocks; 64 for transformers."""
    growth: int | None = Field(default=None, ge=1, le=16)
    """Factor of the width from each level to the next coarser one. Unless given 1 on grids of one axis and 2 on others,
    where a coarser level has a quarter of the tokens or fewer; 1 for transformers."""
    depths: tuple[int, ...] = (1, 1, 2, 1, 1)
    """Blocks per level, down to the coarsest and up again; an odd count. `[6]` stays at full resolution. `[4]` for
    transformers."""
    group_size: int = Field(default=0, ge=0)
    """Tokens in an attention window; 0 leaves attention out."""
    num_heads: int = Field(default=8, ge=1, le=WIDEST)
    """Attention heads; divides `hidden_dim`."""
    mlp_ratio: float = Field(default=2.0, gt=0, le=1000)
    """Width of the MLPs relative to `hidden_dim`."""
    spectral_modes: int = Field(default=0, ge=0)
    """Frequencies per axis of the spectral mixing of transformers, at most those that the tokens have; 0 leaves it out.
    17 for transformers."""
    conv_taps: int = Field(default=5, ge=1, le=1001)
    """Points per axis of the depthwise convolutions; odd. 3 for transformers."""
    filter_every: int = Field(default=2, ge=0)
    """Of blocks of convolutions, every so many-th, from the first on, also filters all frequencies; 0 leaves it out."""
    filter_modes: int | None = Field(default=None, ge=1)
    """Frequencies per axis of these filters; all unless given."""
    stem_taps: int | None = Field(default=None, ge=1, le=1001)
    """Points per axis that the first and the last layer see; odd. Unless given 5 on grids of one axis and 1 on others,
    where so many points would cost more than they bring; 1 for transformers."""

    def taps(self, axes: int) -> int:
        """`stem_taps` on grids of so many axes."""
        return self.stem_taps or (5 if axes == 1 else 1)

    def widths(self, axes: int) -> list[int]:
        """The width of each level, the finest first."""
        growth = self.growth or (1 if axes == 1 else 2)
        return [self.hidden_dim * growth**level for level in range(len(self.depths) // 2 + 1)]

    @model_validator(mode="before")
    @classmethod
    def _usual(cls, given: Any) -> Any:
        """Fill in what is usual for the kind of block, below what is given."""
        if not isinstance(given, Mapping):
            return given
        block = given.get("block", "transformer" if "input_dim" in given else "convolution")
        return {"block": block, **(USUAL.get(block, {}) if isinstance(block, str) else {}), **given}

    @model_validator(mode="after")
    def _consistent(self) -> PDETransformerConfig:
        depths, width, mixing = list(self.depths), self.hidden_dim, self.group_size or self.spectral_modes
        mixing = mixing or self.block == "convolution"
        widest = width * (self.growth or 1) ** (len(depths) // 2)
        heads = self.block == "transformer" and width % self.num_heads != 0
        odd = len(depths) % 2 == 1 and min(depths) >= 1
        require_all(
            {
                f"num_heads must divide hidden_dim = {width}, found {self.num_heads}": heads,
                f"depths must be an odd number of positive counts (down, coarsest, up), found {depths}": not odd,
                f"the coarsest level must be at most {WIDEST} wide, found {widest}": widest > WIDEST,
                f"depths must be at most {DEEPEST} blocks in all, found {sum(depths)}": sum(depths) > DEEPEST,
                f"conv_taps must be odd, found {self.conv_taps}": self.conv_taps % 2 == 0,
                f"stem_taps must be odd, found {self.stem_taps}": (self.stem_taps or 1) % 2 == 0,
                "group_size and spectral_modes cannot both be 0: nothing would mix the tokens": not mixing,
            }
        )
        return self


class Modulation(nn.Module):
    """`count` vectors (B, 1, ..., D) from a condition (B, E), or learnt ones where E is 0; zero at initialisation."""

    def __init__(self, cond_dim: int, count: int, dim: int):
        super().__init__()
        self.count = count
        self.weight = nn.Parameter(torch.zeros(count * dim, cond_dim)) if cond_dim else None
        self.bias = nn.Parameter(torch.zeros(count * dim))

    def forward(self, cond: Tensor | None, ndim: int) -> tuple[Tensor, ...]:
        values = self.bias if cond is None or self.weight is None else F.linear(cond, self.weight, self.bias)
        return values.view(-1, *[1] * (ndim - 2), values.shape[-1]).chunk(self.count, -1)


def _normed(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """scale * LayerNorm(x) + bias of tokens (B, *G, D), scale and bias (B or 1, 1, ..., D): weights of the norm itself
    where they are one for all samples."""
    if len(scale) == 1:
        return F.layer_norm(x, x.shape[-1:], scale.flatten(), bias.flatten())
    return torch.addcmul(bias, F.layer_norm(x, x.shape[-1:]), scale)


class _Mlp(nn.Sequential):
    """scale * MLP(x) of tokens (B, *G, D), scale (B or 1, 1, ..., D)."""

    def __init__(self, dim: int, ratio: float):
        super().__init__(nn.Linear(dim, int(dim * ratio)), nn.GELU(), nn.Linear(int(dim * ratio), dim))

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        wide, activation, narrow = self
        assert isinstance(narrow, nn.Linear)
        x = activation(wide(x))
        if len(scale) > 1:
            return scale * narrow(x)
        return F.linear(x, scale.view(-1, 1) * narrow.weight, scale.flatten() * narrow.bias)  # cheaper than of tokens


class TransformerBlock(nn.Module):
    """Block number `index` over patches, (B, *G, D) on a grid of tokens and a condition (B, E) -> (B, *G, D)."""

    def __init__(self, cfg: PDETransformerConfig, dim: int, tokens: Domain, cond_dim: int, index: int):
        super().__init__()
        shift = index % 2 == 1
        self.star = StarConv(dim, tokens.axes, cfg.conv_taps)
        self.attention = WindowAttention(dim, cfg.num_heads, cfg.group_size, shift) if cfg.group_size else None
        self.spectral = SpectralMixing(dim, tokens, cfg.spectral_modes) if cfg.spectral_modes else None
        self.mlp = _Mlp(dim, cfg.mlp_ratio)
        self.modulation = Modulation(cond_dim, 6, dim)

    def forward(self, x: Tensor, cond: Tensor | None, tokens: Domain) -> Tensor:
        a1, b1, g1, a2, b2, g2 = self.modulation(cond, x.ndim)
        x = x + self.star(x, tokens)
        h = _normed(x, 1 + a1, b1)
        for mix in (self.attention, self.spectral):
            if mix is not None:
                x = torch.addcmul(x, g1, mix(h, tokens))
        return x + self.mlp(_normed(x, 1 + a2, b2), g2)


class ConvolutionBlock(nn.Module):
    """Block number `index` over points, with the same call."""

    def __init__(self, cfg: PDETransformerConfig, dim: int, tokens: Domain, cond_dim: int, index: int):
        super().__init__()
        filtered = cfg.filter_every and index % cfg.filter_every == 0
        self.conv = TokenConv(dim, dim, cfg.conv_taps, tokens.axes, depthwise=True)
        self.filter = SpectralFilter(dim, tokens, cfg.filter_modes) if filtered else None
        self.mlp = _Mlp(dim, cfg.mlp_ratio)
        self.modulation = Modulation(cond_dim, 3, dim)

    def forward(self, x: Tensor, cond: Tensor | None, tokens: Domain) -> Tensor:
        a, b, g = self.modulation(cond, x.ndim)
        h = self.conv(x, tokens)
        if self.filter is not None:
            h = h + self.filter(x, tokens)
        return x + self.mlp(_normed(h, 1 + a, b), 1 + g)


BLOCKS = {"transformer": TransformerBlock, "convolution": ConvolutionBlock}
"""By `block`."""


class Level(nn.Module):
    """A few blocks of a width at one token resolution; `first` blocks come before it."""

    def __init__(self, cfg: PDETransformerConfig, dim: int, depth: int, first: int, tokens: Domain, cond_dim: int):
        super().__init__()
        made = range(first, first + depth)
        self.blocks = nn.ModuleList(BLOCKS[cfg.block](cfg, dim, tokens, cond_dim, index) for index in made)

    def forward(self, x: Tensor, cond: Tensor | None, tokens: Domain) -> Tensor:
        for block in self.blocks:
            x = block(x, cond, tokens)
        return x


class PDETransformer(nn.Module):
    """Tokens (B, N, D_in) and a condition (B, E) -> (B, N, D_out); zero at initialisation.

    Args:
        cfg: Widths, depths and mixing.
        tokens: The tokens of the training data; the weights serve any other grid of tokens too.
        cond_dim: Width E of the condition; 0 where there is none.
        input_dim: Width of the input tokens, `cfg.input_dim` unless given.
        output_dim: Width of the result, `cfg.input_dim` unless given.
    """

    def __init__(
        self,
        cfg: PDETransformerConfig,
        tokens: Domain,
        cond_dim: int,
        input_dim: int | None = None,
        output_dim: int | None = None,
    ):
        super().__init__()
        dims, stem = cfg.widths(tokens.axes), cfg.taps(tokens.axes)
        dim, levels = cfg.hidden_dim, len(dims) - 1
        grids, self.sides = [tokens], []
        for _ in range(levels):
            self.sides.append(tuple(min(2, g) for g in grids[-1].shape))
            grids.append(_coarser(grids[-1], self.sides[-1]))
        sizes = [*range(levels + 1), *reversed(range(levels))]
        self.input = _across(input_dim or cfg.input_dim, dim, stem, tokens.axes)
        self.levels = nn.ModuleList(
            Level(cfg, dims[i], depth, sum(cfg.depths[:n]), grids[i], cond_dim)
            for n, (depth, i) in enumerate(zip(cfg.depths, sizes, strict=True))
        )
        cells = [
            (fine, coarse, math.prod(sides)) for (fine, coarse), sides in zip(pairwise(dims), self.sides, strict=True)
        ]
        self.down = nn.ModuleList(_Down(fine * n, coarse) for fine, coarse, n in cells)
        self.up = nn.ModuleList(_Up(coarse, fine * n) for fine, coarse, n in cells)
        self.skip = nn.ModuleList(nn.Linear(2 * fine, fine) for fine in dims[:-1])
        self.modulation = Modulation(cond_dim, 2, dim)
        self.output = _across(dim, output_dim or cfg.input_dim, stem, tokens.axes)
        for values in self.output.parameters():
            nn.init.zeros_(values)

    def forward(self, z: Tensor, cond: Tensor | None, tokens: Domain) -> Tensor:
        """z (B, R N, D_in), of R interleaved grids of N `tokens` each, and cond (B, E), None where E is 0 -> (B, R N,
        D_out)."""
        parts = z.shape[1] // math.prod(tokens.shape)
        if parts > 1 and cond is not None:
            cond = cond.repeat_interleave(parts, 0)
        return self._one_grid(z.reshape(-1, z.shape[1] // parts, z.shape[2]), cond, tokens).view(*z.shape[:2], -1)

    def _one_grid(self, z: Tensor, cond: Tensor | None, tokens: Domain) -> Tensor:
        x = self.input(z.unflatten(1, tokens.shape), tokens)
        finer: list[tuple[Tensor, Domain, Patches]] = []
        for level, sides, down in zip(self.levels, self.sides, self.down, strict=False):
            x = level(x, cond, tokens)
            coarse = _coarser(tokens, sides)
            patches = Patches(tokens.shape, coarse.shape, sides)
            finer.append((x, tokens, patches))
            x, tokens = down(x, patches), coarse
        x = self.levels[len(self.down)](x, cond, tokens)
        for i in reversed(range(len(self.down))):
            across, tokens, patches = finer[i]
            x = self.skip[i](torch.cat([self.up[i](x, patches), across], -1))
            x = self.levels[len(self.levels) - 1 - i](x, cond, tokens)
        scale, bias = self.modulation(cond, x.ndim)
        return self.output(_normed(x, 1 + scale, bias), tokens).flatten(1, -2)


class _Pointwise(nn.Linear):
    """A linear map of every token for itself."""

    def forward(self, x: Tensor, tokens: Domain) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return super().forward(x)


class _Down(nn.Linear):
    """The tokens of a patch (B, *S, D) -> a coarser token (B, *G, E). Weights are in the order of `Patches.split`."""

    def forward(self, x: Tensor, patches: Patches) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        weight = self.weight.unflatten(1, (-1, patches.points)).mT.flatten(1)
        return F.linear(patches.split_last(x), weight, self.bias).unflatten(1, patches.grid)


class _Up(nn.Linear):
    """The way back, (B, *G, E) -> (B, *S, D)."""

    def forward(self, x: Tensor, patches: Patches) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        weight, bias = (
            w.unflatten(0, (-1, patches.points)).transpose(0, 1).flatten(0, 1) for w in (self.weight, self.bias)
        )
        return patches.join_last(F.linear(x.flatten(1, -2), weight, bias))


def _across(dim_in: int, dim_out: int, taps: int, axes: int) -> nn.Module:
    """A linear map of tokens that sees so many of them along each axis."""
    return _Pointwise(dim_in, dim_out) if taps == 1 else TokenConv(dim_in, dim_out, taps, axes, fields=True)


def _coarser(tokens: Domain, sides: Sequence[int]) -> Domain:
    return tokens.coarsened([-(-g // p) for g, p in zip(tokens.shape, sides, strict=True)])
