"""PDE-Transformer: a U-shaped transformer over a grid of tokens (arXiv 2505.24717).

    x <- x + star(x)                                   position, from a depthwise convolution
    x <- x + g1 * (attention + spectral)(mod1(x))      mixing of tokens
    x <- x + g2 * mlp(mod2(x))                         mixing of channels

with mod(x) = (1 + a) * LayerNorm(x) + b, and a, b, g linear in the condition (AdaLN-Zero, arXiv 2212.09748: g = 0 at
first).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from ups.core.attention import WindowAttention
from ups.core.boundary import StarConv
from ups.core.patches import Patches
from ups.core.settings import Settings
from ups.core.spectral import SpectralMixing


class PDETransformerConfig(Settings):
    """The backbone of the operator.

    Good values: `hidden_dim` 64 to 128, `depths` [4] up to 128 tokens on an axis and [2, 4, 2] beyond,
    `spectral_modes` half the tokens of an axis for smooth periodic flows, `group_size` 16 to 64.
    """

    input_dim: int = Field(default=32, ge=1)
    """Width of a token; equals `latent.dim`."""
    hidden_dim: int = Field(default=64, ge=1)
    """Width inside the blocks."""
    depths: tuple[int, ...] = (1, 1, 1)
    """Blocks per level, down to the coarsest and up again; an odd count. `[4]` stays at full token resolution."""
    group_size: int = Field(default=16, ge=0)
    """Tokens in an attention window; 0 leaves attention out."""
    num_heads: int = Field(default=8, ge=1)
    """Attention heads; divides `hidden_dim`."""
    mlp_ratio: float = Field(default=2.0, gt=0)
    """Width of the MLPs relative to `hidden_dim`."""
    spectral_modes: int = Field(default=0, ge=0)
    """Frequencies per axis of the spectral mixing beside attention; 0 leaves it out."""
    conv_taps: int = Field(default=3, ge=1)
    """Points per axis of the depthwise convolution; odd."""

    @model_validator(mode="after")
    def _consistent(self) -> PDETransformerConfig:
        if self.hidden_dim % self.num_heads:
            raise ValueError(f"num_heads must divide hidden_dim = {self.hidden_dim}, found {self.num_heads}")
        if len(self.depths) % 2 == 0 or min(self.depths) < 1:
            raise ValueError(
                f"depths must be an odd number of positive counts (down, coarsest, up), found {list(self.depths)}"
            )
        if self.conv_taps % 2 == 0:
            raise ValueError(f"conv_taps must be odd, found {self.conv_taps}")
        if not self.group_size and not self.spectral_modes:
            raise ValueError("group_size and spectral_modes cannot both be 0: nothing would mix the tokens")
        return self


class Block(nn.Module):
    """One PDE-Transformer block, (B, *G, D) and a condition (B, E) -> (B, *G, D)."""

    def __init__(
        self, cfg: PDETransformerConfig, grid: Sequence[int], boundary: Sequence[str], cond_dim: int, shift: bool
    ):
        super().__init__()
        dim = cfg.hidden_dim
        self.star = StarConv(dim, boundary, cfg.conv_taps)
        self.attention = (
            WindowAttention(dim, cfg.num_heads, grid, boundary, cfg.group_size, shift) if cfg.group_size else None
        )
        self.spectral = SpectralMixing(dim, grid, boundary, cfg.spectral_modes) if cfg.spectral_modes else None
        self.mlp = nn.Sequential(
            nn.Linear(dim, int(dim * cfg.mlp_ratio)), nn.GELU(), nn.Linear(int(dim * cfg.mlp_ratio), dim)
        )
        self.modulation = nn.Linear(cond_dim, 6 * dim)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x: Tensor, cond: Tensor) -> Tensor:
        modulation = self.modulation(cond).view(len(x), *[1] * (x.ndim - 2), -1)
        a1, b1, g1, a2, b2, g2 = modulation.chunk(6, -1)
        x = x + self.star(x)
        h = torch.addcmul(b1, F.layer_norm(x, x.shape[-1:]), 1 + a1)
        for mix in (self.attention, self.spectral):
            if mix is not None:
                x = torch.addcmul(x, g1, mix(h))
        h = torch.addcmul(b2, F.layer_norm(x, x.shape[-1:]), 1 + a2)
        return torch.addcmul(x, g2, self.mlp(h))


class Level(nn.Module):
    """A few blocks at one token resolution, with shifted windows in every second one; `first` blocks come before it."""

    def __init__(
        self,
        cfg: PDETransformerConfig,
        depth: int,
        first: int,
        grid: Sequence[int],
        boundary: Sequence[str],
        cond_dim: int,
    ):
        super().__init__()
        shifts = [i % 2 == 1 for i in range(first, first + depth)]
        self.blocks = nn.ModuleList(Block(cfg, grid, boundary, cond_dim, shift) for shift in shifts)

    def forward(self, x: Tensor, cond: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x, cond)
        return x


class PDETransformer(nn.Module):
    """Tokens (B, N, D_in) and a condition (B, E) -> (B, N, D_out); zero at initialisation.

    Args:
        cfg: Widths, depths and mixing.
        grid: Tokens per axis, with product N.
        boundary: Boundary kind per axis.
        cond_dim: Width E of the condition.
        input_dim: Width of the input tokens, `cfg.input_dim` unless given.
        output_dim: Width of the result, `cfg.input_dim` unless given.
    """

    def __init__(
        self,
        cfg: PDETransformerConfig,
        grid: Sequence[int],
        boundary: Sequence[str],
        cond_dim: int,
        input_dim: int | None = None,
        output_dim: int | None = None,
    ):
        super().__init__()
        dim, levels = cfg.hidden_dim, len(cfg.depths) // 2
        self.grids = [tuple(grid)]
        for _ in range(levels):
            self.grids.append(tuple(-(-g // 2) for g in self.grids[-1]))
        sizes = [*range(levels + 1), *reversed(range(levels))]
        self.input = nn.Linear(input_dim or cfg.input_dim, dim)
        self.levels = nn.ModuleList(
            Level(cfg, depth, sum(cfg.depths[:n]), self.grids[i], boundary, cond_dim)
            for n, (depth, i) in enumerate(zip(cfg.depths, sizes, strict=True))
        )
        self.patches = nn.ModuleList(
            Patches(fine, coarse) for fine, coarse in zip(self.grids, self.grids[1:], strict=False)
        )
        self.down = nn.ModuleList(nn.Linear(dim * p.points, dim) for p in self._patches())
        self.up = nn.ModuleList(nn.Linear(dim, dim * p.points) for p in self._patches())
        self.skip = nn.ModuleList(nn.Linear(2 * dim, dim) for _ in self.patches)
        self.modulation = nn.Linear(cond_dim, 2 * dim)
        self.output = nn.Linear(dim, output_dim or cfg.input_dim)
        for layer in (self.modulation, self.output):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def _patches(self) -> list[Patches]:
        return [p for p in self.patches if isinstance(p, Patches)]

    def forward(self, tokens: Tensor, cond: Tensor) -> Tensor:
        x = self.input(tokens).unflatten(1, self.grids[0])
        skips: list[Tensor] = []
        for level, patches, down in zip(self.levels, self._patches(), self.down, strict=False):
            x = level(x, cond)
            skips.append(x)
            x = down(patches.split(x.movedim(-1, 1))).unflatten(1, patches.grid)
        x = self.levels[len(self.down)](x, cond)
        for i in reversed(range(len(self.down))):
            fine = self._patches()[i].join(self.up[i](x.flatten(1, -2))).movedim(1, -1)
            x = self.skip[i](torch.cat([fine, skips[i]], -1))
            x = self.levels[len(self.levels) - 1 - i](x, cond)
        scale, bias = self.modulation(cond).unsqueeze(1).chunk(2, -1)
        x = x.flatten(1, -2)
        return self.output(torch.addcmul(bias, F.layer_norm(x, x.shape[-1:]), 1 + scale))
