"""Stage 4: the steady state in a few steps.

    z^(k+1) = z^(k) + drift(z^(k), z^(0); tau_k, c),   tau_k = k / (K - 1),   k = 0 ... K - 1

with the same drift in every step. It trains on pairs of a latent and the steady latent that its trajectory reaches.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ups.core.blocks_pdet import PDETransformer
from ups.core.domain import Domain
from ups.core.latent_state import LatentState
from ups.models.latent_operator import LatentModel


class SteadyPrior(nn.Module):
    """Refines a `LatentState` into a steady one; the identity at initialisation.

    Args:
        model: The codec and the operator, whose backbone it takes.
        num_steps: Refinement steps K.
    """

    def __init__(self, model: LatentModel, num_steps: int):
        super().__init__()
        self.num_steps, self.layout = num_steps, model.codec.layout
        pdet, latent_dim = model.operator.cfg.pdet, model.codec.dim
        self.conditioning = model.new_conditioning(1, pdet.hidden_dim)
        self.position = model.operator.cfg.position
        tokens, width = self.layout.tokens(self.layout.domain), 2 * latent_dim + self.position.width
        self.drift = PDETransformer(pdet, tokens, pdet.hidden_dim, width, latent_dim)

    def forward(self, state: LatentState, domain: Domain | None = None) -> LatentState:
        """`state.z` (B, N, D) on `domain`, the training grid unless given -> the state with its steady latent."""
        z, domain = state.z, domain or self.layout.domain
        for k in range(self.num_steps):
            tau = z.new_full((len(z),), k / max(self.num_steps - 1, 1))
            given = self.position.beside(torch.cat([z, state.z], -1), domain)
            z = z + self.drift(given, self.conditioning([tau], state.cond), self.layout.tokens(domain))
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
