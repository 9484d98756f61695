"""Stage 4: the steady state in a few steps.

    z^(k+1) = z^(k) + drift(z^(k), z^(0); tau_k, c),   tau_k = k / (K - 1),   k = 0 ... K - 1

with the same drift in every step. It trains on pairs of a latent and the steady latent that its trajectory reaches.
Where the latent is the field itself, channels that never change in training, such as a source, are left as they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ups.core.blocks_pdet import PDETransformer, PDETransformerConfig
from ups.core.domain import Domain
from ups.core.latent_state import LatentState
from ups.models.latent_operator import LatentModel, LatentOperatorConfig


@dataclass(frozen=True)
class SteadyPriorConfig:
    """A prior for tokens of which nothing but the width is known, with `cond_dim` parameters."""

    latent_dim: int
    hidden_dim: int = 128
    num_steps: int = 6
    cond_dim: int = 0

    @property
    def operator(self) -> LatentOperatorConfig:
        """An operator on such tokens, of the same width."""
        pdet = {"input_dim": self.latent_dim, "hidden_dim": self.hidden_dim, "num_heads": math.gcd(8, self.hidden_dim)}
        return LatentOperatorConfig(self.latent_dim, PDETransformerConfig.model_validate(pdet), params=self.cond_dim)


class SteadyPrior(nn.Module):
    """Refines a `LatentState` into a steady one; the identity at initialisation.

    Args:
        of: The codec, and the operator whose backbone it takes and whose weights it does not; or the config of a prior
            that knows neither.
        num_steps: Refinement steps K; those of the config, or 6, unless given.

    Attributes:
        moves: Of latents that are fields, which of the D numbers of a token change in time, (D,) bool; else None.
    """

    moves: Tensor | None

    def __init__(self, of: LatentModel | SteadyPriorConfig, num_steps: int | None = None):
        super().__init__()
        operator, known = (of.operator.cfg, of) if isinstance(of, LatentModel) else (of.operator, of.operator)
        self.num_steps = num_steps or (6 if isinstance(of, LatentModel) else of.num_steps)
        self.operator, self.layout = operator, operator.layout
        pdet, latent_dim = operator.pdet, operator.latent_dim
        self.conditioning = known.new_conditioning(1, pdet.hidden_dim)
        self.position = operator.position
        tokens, width = self.layout.tokens(self.layout.domain), 2 * latent_dim + self.position.width
        self.drift = PDETransformer(pdet, tokens, self.conditioning.width, width, latent_dim)
        self.register_buffer("moves", moving(of) if isinstance(of, LatentModel) and of.codec.exact else None)

    def forward(
        self, state: LatentState, domain: Domain | None = None, cond: Mapping[str, Tensor] | None = None
    ) -> LatentState:
        """`state.z` (B, N, D) on `domain`, the training grid unless given -> the state with its steady latent; `cond`
        takes the place of the state's own."""
        z, domain = state.z, domain or self.operator.domain_of(state.z)
        cond = state.cond if cond is None else cond
        for k in range(self.num_steps):
            tau = z.new_full((len(z),), k / max(self.num_steps - 1, 1))
            given = self.position.beside(torch.cat([z, state.z], -1), domain)
            drift = self.drift(given, self.conditioning([tau], cond), self.layout.tokens(domain))
            z = z + (drift if self.moves is None else drift * self.moves)
        return LatentState(z, state.t, state.cond)


def moving(model: LatentModel) -> Tensor:
    """Which numbers of a token of an exact codec are of channels that change in time, (D,) bool."""
    codec = model.codec
    ones = [1] * len(codec.system.shape)
    fields = codec.moves.float().view(1, -1, *ones).expand(1, -1, *codec.system.shape)
    return codec.layout.patches(codec.layout.domain).split(fields)[0, 0] > 0


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
