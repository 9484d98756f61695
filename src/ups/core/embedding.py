"""Embeddings of scalars (time step, noise level) and parameters into the vector that conditions every block."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ups.core.errors import UserError


class ScalarEmbedding(nn.Module):
    """Sines and cosines of a scalar at `dim / 2` frequencies from 1 to 100, then a linear map: (B,) -> (B, D)."""

    frequencies: Tensor

    def __init__(self, dim: int, out: int):
        super().__init__()
        self.register_buffer("frequencies", torch.logspace(0, 2, max(dim // 2, 1)), persistent=False)
        self.linear = nn.Linear(2 * max(dim // 2, 1), out)

    def forward(self, x: Tensor) -> Tensor:
        angle = x[:, None] * self.frequencies
        return self.linear(torch.cat([angle.sin(), angle.cos()], -1))


class Conditioning(nn.Module):
    """One vector per sample from scalars and named conditions: e = MLP(sum of embeddings), (B, D).

    It holds the mean and deviation of the parameters over the training data, by which it standardises them.

    Args:
        scalars: How many scalars condition the model (dt; for a residual model also tau).
        params: How many parameters.
        embed_dim: Width of the scalar features.
        out: Width D of the result.
        varied: Whether parameters condition the model; it holds their statistics in any case.

    Attributes:
        width: D, or 0 where nothing conditions the model.
    """

    param_mean: Tensor
    param_std: Tensor

    def __init__(self, scalars: int, params: int, embed_dim: int, out: int, varied: bool = True):
        super().__init__()
        self.scalars = nn.ModuleList(ScalarEmbedding(embed_dim, out) for _ in range(scalars))
        self.params = nn.Linear(params, out) if params and varied else None
        self.width = out if scalars or self.params else 0
        self.out = nn.Linear(out, out) if self.width else None
        self.register_buffer("param_mean", torch.zeros(params))
        self.register_buffer("param_std", torch.ones(params))

    def forward(self, scalars: list[Tensor], cond: Mapping[str, Tensor]) -> Tensor | None:
        """`scalars`: one (B,) tensor each, of order one; `cond`: as in `LatentState`, `params` (B, P) physical; None
        where nothing conditions the model."""
        if self.out is None:
            return None
        e = torch.zeros((), device=self.param_mean.device)
        for embed, scalar in zip(self.scalars, scalars, strict=True):
            e = e + embed(scalar)
        if self.params is not None:
            if "params" not in cond:
                raise UserError(
                    f"a state's `cond` must hold `params`, (B, {len(self.param_mean)}) physical, found "
                    f"{', '.join(cond) or 'nothing'}"
                )
            e = e + self.params((cond["params"] - self.param_mean) / self.param_std)
        return F.silu(self.out(F.silu(e)))
