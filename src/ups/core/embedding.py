"""Embeddings of scalars (time step, noise level) and parameters into the vector that conditions every block."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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
    """One vector per sample from named scalars and standardised parameters: e = MLP(sum of embeddings), (B, D).

    Args:
        scalars: How many scalars condition the model (dt; for a residual model also tau).
        params: How many parameters.
        embed_dim: Width of the scalar features.
        out: Width D of the result.
    """

    def __init__(self, scalars: int, params: int, embed_dim: int, out: int):
        super().__init__()
        self.scalars = nn.ModuleList(ScalarEmbedding(embed_dim, out) for _ in range(scalars))
        self.params = nn.Linear(params, out) if params else None
        self.out = nn.Linear(out, out)

    def forward(self, scalars: list[Tensor], params: Tensor | None) -> Tensor:
        """`scalars`: one (B,) tensor each, of order one; `params` (B, P) standardised, or None."""
        e = torch.stack([embed(s) for embed, s in zip(self.scalars, scalars, strict=True)]).sum(0)
        if self.params is not None and params is not None:
            e = e + self.params(params)
        return F.silu(self.out(F.silu(e)))
