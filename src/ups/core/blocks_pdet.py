"""PDE-Transformer: a U-shaped transformer over a grid of tokens (arXiv 2505.24717).

    x <- x + star(x)                                   position, from a depthwise convolution
    x <- x + g1 * (attention + spectral)(mod1(x))      mixing of tokens
    x <- x + g2 * mlp(mod2(x))                         mixing of channels

with mod(x) = (1 + a) * LayerNorm(x) + b, and a, b, g linear in the condition (AdaLN-Zero, arXiv 2212.09748: g = 0 at
first).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from ups.core.attention import WindowAttention
from ups.core.boundary import StarConv
from ups.core.domain import Domain
from ups.core.patches import Patches
from ups.core.settings import Settings, require_all
from ups.core.spectral import SpectralMixing

DEEPEST, WIDEST = 1000, 2**16
"""Blocks in all, and channels: what lies above is a slip of the finger."""


class PDETransformerConfig(Settings):
    """The backbone of the operator.

    Good values: `hidden_dim` 64 to 128, `depths` [4] up to 128 tokens on an axis and [2, 4, 2] beyond,
    `spectral_modes` half the tokens of an axis and one; attention (`group_size` 16 to 64) costs as much again and did
    not pay on periodic flows.
    """

    input_dim: int = Field(default=64, ge=1, le=WIDEST)
    """Width of a token; equals `latent.dim`."""
    hidden_dim: int = Field(default=64, ge=1, le=WIDEST)
    """Width inside the blocks."""
    depths: tuple[int, ...] = (4,)
    """Blocks per level, down to the coarsest and up again; an odd count. `[4]` stays at full token resolution."""
    group_size: int = Field(default=0, ge=0)
    """Tokens in an attention window; 0 leaves attention out."""
    num_heads: int = Field(default=8, ge=1, le=WIDEST)
    """Attention heads; divides `hidden_dim`."""
    mlp_ratio: float = Field(default=2.0, gt=0, le=1000)
    """Width of the MLPs relative to `hidden_dim`."""
    spectral_modes: int = Field(default=17, ge=0)
    """Frequencies per axis of the spectral mixing, at most those that the tokens have; 0 leaves it out."""
    conv_taps: int = Field(default=3, ge=1, le=1001)
    """Points per axis of the depthwise convolution; odd."""

    @model_validator(mode="after")
    def _consistent(self) -> PDETransformerConfig:
        depths, width, mixing = list(self.depths), self.hidden_dim, self.group_size or self.spectral_modes
        odd = len(depths) % 2 == 1 and min(depths) >= 1
        require_all(
            {
                f"num_heads must divide hidden_dim = {width}, found {self.num_heads}": width % self.num_heads != 0,
                f"depths must be an odd number of positive counts (down, coarsest, up), found {depths}": not odd,
                f"depths must be at most {DEEPEST} blocks in all, found {sum(depths)}": sum(depths) > DEEPEST,
                f"conv_taps must be odd, found {self.conv_taps}": self.conv_taps % 2 == 0,
                "group_size and spectral_modes cannot both be 0: nothing would mix the tokens": not mixing,
            }
        )
        return self


class Block(nn.Module):
    """One PDE-Transformer block, (B, *G, D) on a grid of tokens and a condition (B, E) -> (B, *G, D)."""

    def __init__(self, cfg: PDETransformerConfig, tokens: Domain, cond_dim: int, shift: bool):
        super().__init__()
        dim = cfg.hidden_dim
        self.star = StarConv(dim, tokens.axes, cfg.conv_taps)
        self.attention = WindowAttention(dim, cfg.num_heads, cfg.group_size, shift) if cfg.group_size else None
        self.spectral = SpectralMixing(dim, tokens, cfg.spectral_modes) if cfg.spectral_modes else None
        self.mlp = nn.Sequential(
            nn.Linear(dim, int(dim * cfg.mlp_ratio)), nn.GELU(), nn.Linear(int(dim * cfg.mlp_ratio), dim)
        )
        self.modulation = nn.Linear(cond_dim, 6 * dim)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x: Tensor, cond: Tensor, tokens: Domain) -> Tensor:
        modulation = self.modulation(cond).view(len(x), *[1] * (x.ndim - 2), -1)
        a1, b1, g1, a2, b2, g2 = modulation.chunk(6, -1)
        x = x + self.star(x, tokens)
        h = torch.addcmul(b1, F.layer_norm(x, x.shape[-1:]), 1 + a1)
        for mix in (self.attention, self.spectral):
            if mix is not None:
                x = torch.addcmul(x, g1, mix(h, tokens))
        h = torch.addcmul(b2, F.layer_norm(x, x.shape[-1:]), 1 + a2)
        return torch.addcmul(x, g2, self.mlp(h))


class Level(nn.Module):
    """A few blocks at one token resolution, with shifted windows in every second one; `first` blocks come before it."""

    def __init__(self, cfg: PDETransformerConfig, depth: int, first: int, tokens: Domain, cond_dim: int):
        super().__init__()
        shifts = [i % 2 == 1 for i in range(first, first + depth)]
        self.blocks = nn.ModuleList(Block(cfg, tokens, cond_dim, shift) for shift in shifts)

    def forward(self, x: Tensor, cond: Tensor, tokens: Domain) -> Tensor:
        for block in self.blocks:
            x = block(x, cond, tokens)
        return x


class PDETransformer(nn.Module):
    """Tokens (B, N, D_in) and a condition (B, E) -> (B, N, D_out); zero at initialisation.

    Args:
        cfg: Widths, depths and mixing.
        tokens: The tokens of the training data; the weights serve any other grid of tokens too.
        cond_dim: Width E of the condition.
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
        dim, levels = cfg.hidden_dim, len(cfg.depths) // 2
        grids, self.sides = [tokens], []
        for _ in range(levels):
            self.sides.append(tuple(min(2, g) for g in grids[-1].shape))
            grids.append(_coarser(grids[-1], self.sides[-1]))
        sizes = [*range(levels + 1), *reversed(range(levels))]
        self.input = nn.Linear(input_dim or cfg.input_dim, dim)
        self.levels = nn.ModuleList(
            Level(cfg, depth, sum(cfg.depths[:n]), grids[i], cond_dim)
            for n, (depth, i) in enumerate(zip(cfg.depths, sizes, strict=True))
        )
        self.down = nn.ModuleList(nn.Linear(dim * math.prod(sides), dim) for sides in self.sides)
        self.up = nn.ModuleList(nn.Linear(dim, dim * math.prod(sides)) for sides in self.sides)
        self.skip = nn.ModuleList(nn.Linear(2 * dim, dim) for _ in self.sides)
        self.modulation = nn.Linear(cond_dim, 2 * dim)
        self.output = nn.Linear(dim, output_dim or cfg.input_dim)
        for layer in (self.modulation, self.output):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, z: Tensor, cond: Tensor, tokens: Domain) -> Tensor:
        """z (B, R N, D_in), of R interleaved grids of N `tokens` each, and cond (B, E) -> (B, R N, D_out)."""
        parts = z.shape[1] // math.prod(tokens.shape)
        if parts == 1:
            return self._one_grid(z, cond, tokens)
        each = self._one_grid(z.unflatten(1, (parts, -1)).flatten(0, 1), cond.repeat_interleave(parts, 0), tokens)
        return each.unflatten(0, (-1, parts)).flatten(1, 2)

    def _one_grid(self, z: Tensor, cond: Tensor, tokens: Domain) -> Tensor:
        x = self.input(z).unflatten(1, tokens.shape)
        finer: list[tuple[Tensor, Domain, Patches]] = []
        for level, sides, down in zip(self.levels, self.sides, self.down, strict=False):
            x = level(x, cond, tokens)
            coarse = _coarser(tokens, sides)
            patches = Patches(tokens.shape, coarse.shape, sides)
            finer.append((x, tokens, patches))
            x, tokens = down(patches.split(x.movedim(-1, 1))).unflatten(1, coarse.shape), coarse
        x = self.levels[len(self.down)](x, cond, tokens)
        for i in reversed(range(len(self.down))):
            across, tokens, patches = finer[i]
            fine = patches.join(self.up[i](x.flatten(1, -2))).movedim(1, -1)
            x = self.skip[i](torch.cat([fine, across], -1))
            x = self.levels[len(self.levels) - 1 - i](x, cond, tokens)
        scale, bias = self.modulation(cond).unsqueeze(1).chunk(2, -1)
        x = x.flatten(1, -2)
        return self.output(torch.addcmul(bias, F.layer_norm(x, x.shape[-1:]), 1 + scale))


def _coarser(tokens: Domain, sides: Sequence[int]) -> Domain:
    return tokens.coarsened([-(-g // p) for g, p in zip(tokens.shape, sides, strict=True)])
