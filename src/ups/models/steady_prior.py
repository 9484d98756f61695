"""Stage 4: the steady state in a few steps.

    z^(k+1) = z^(k) + drift(z^(k), z^(0); tau_k, c),   tau_k = k / (K - 1),   k = 0 ... K - 1

with the same drift in every step. It trains on pairs of a latent and the steady latent that its trajectory reaches.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ups.core.blocks_pdet import PDETransformer, PDETransformerConfig
from ups.core.embedding import Conditioning
from ups.core.latent_state import LatentState


class SteadyPrior(nn.Module):
    """Refines a `LatentState` into a steady one; the identity at initialisation.

    Args:
        latent_dim: Width D of a token.
        pdet: The backbone.
        grid: Tokens per axis.
        boundary: Boundary kind per axis.
        params: Number P of PDE parameters.
        num_steps: Refinement steps K.
    """

    param_mean: Tensor
    param_std: Tensor

    def __init__(
        self,
        latent_dim: int,
        pdet: PDETransformerConfig,
        grid: Sequence[int],
        boundary: Sequence[str],
        params: int,
        num_steps: int,
    ):
        super().__init__()
        self.num_steps = num_steps
        self.conditioning = Conditioning(1, params, 32, pdet.hidden_dim)
        self.drift = PDETransformer(pdet, grid, boundary, pdet.hidden_dim, 2 * latent_dim, latent_dim)
        self.register_buffer("param_mean", torch.zeros(params))
        self.register_buffer("param_std", torch.ones(params))

    def forward(self, state: LatentState) -> LatentState:
        """`state.z` (B, N, D) -> the state with its steady latent, (B, N, D)."""
        params = state.cond.get("params")
        standard = None if params is None else (params - self.param_mean) / self.param_std
        z = state.z
        for k in range(self.num_steps):
            tau = z.new_full((len(z),), k / max(self.num_steps - 1, 1))
            z = z + self.drift(torch.cat([z, state.z], -1), self.conditioning([tau], standard))
        return LatentState(z, state.t, state.cond)


def is_steady(change: Tensor, size: Tensor, dt: float, duration: float, tolerance: float) -> Tensor:
    """Whether a field would stay within `tolerance` of itself for as long again as its trajectory lasted, (n,) bool.

    Args:
        change: ||u(T) - u(T - dt)|| of each field, (n,).
        size: ||u(T)||, (n,).
        dt: Time between frames.
        duration: Length T of the trajectories.
        tolerance: Largest relative change over `duration` at the final rate.
    """
    return change * (duration / dt) <= tolerance * size
