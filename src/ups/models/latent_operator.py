"""Stage 1: the operator that advances latent tokens by one physical time step.

    z(t + dt) = z(t) + dt / dt_ref * f(z(t); dt, c)

f is a PDE-Transformer whose output is zero at initialisation, so the untrained operator is the identity and
persistence is the worst it starts from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor, nn

from ups.core.blocks_pdet import PDETransformer, PDETransformerConfig
from ups.core.embedding import Conditioning
from ups.core.latent_state import LatentState
from ups.core.settings import Settings
from ups.core.system import System
from ups.models.autoencoder import Autoencoder, LatentSettings


class OperatorSettings(Settings):
    """The latent operator.

    Good values: see `operator.pdet`.
    """

    pdet: PDETransformerConfig = Field(default_factory=lambda: PDETransformerConfig.model_validate({}))
    """The PDE-Transformer inside."""


@dataclass(frozen=True)
class LatentOperatorConfig:
    """What fixes the shape of a `LatentOperator`."""

    latent_dim: int
    pdet: PDETransformerConfig
    grid: tuple[int, ...]
    boundary: tuple[str, ...]
    dt: float
    params: int = 0
    time_embed_dim: int = 32


class LatentOperator(nn.Module):
    """Advances a `LatentState` by `dt`."""

    param_mean: Tensor
    param_std: Tensor

    def __init__(self, cfg: LatentOperatorConfig):
        super().__init__()
        self.cfg = cfg
        self.conditioning = Conditioning(1, cfg.params, cfg.time_embed_dim, cfg.pdet.hidden_dim)
        self.transformer = PDETransformer(
            cfg.pdet, cfg.grid, cfg.boundary, cfg.pdet.hidden_dim, cfg.latent_dim, cfg.latent_dim
        )
        self.register_buffer("param_mean", torch.zeros(cfg.params))
        self.register_buffer("param_std", torch.ones(cfg.params))

    def forward(self, state: LatentState, dt: Tensor) -> LatentState:
        """`state.z` (B, N, D) and the physical step `dt` (B,) -> the state `dt` later."""
        relative = dt / self.cfg.dt
        params = state.cond.get("params")
        standard = None if params is None else (params - self.param_mean) / self.param_std
        increment = self.transformer(state.z, self.conditioning([relative.log()], standard))
        return state.advance(state.z + relative.view(-1, 1, 1) * increment, dt)


@dataclass(frozen=True)
class Unrolled:
    """A short forecast from the first of K + 1 frames, with what its losses compare it to.

    Attributes:
        encoded: Latents of all given frames, (B, K + 1, N, D).
        latents: The operator's latents of frames 1 to K, (B, K, N, D).
        fields: The same decoded, (B, K, C, *S).
        reconstruction: decode(encode(u)) of the first frame, (B, C, *S).
    """

    encoded: Tensor
    latents: Tensor
    fields: Tensor
    reconstruction: Tensor


class LatentModel(nn.Module):
    """A codec with the operator that belongs to it; stage 1 trains both, and later stages freeze both.

    Args:
        system: What the data are.
        latent: Size of the latent space.
        operator: Settings of the operator.
    """

    def __init__(self, system: System, latent: LatentSettings, operator: OperatorSettings):
        super().__init__()
        self.codec = Autoencoder(system, latent)
        self.operator = LatentOperator(
            LatentOperatorConfig(
                latent_dim=latent.dim,
                pdet=operator.pdet,
                grid=self.codec.grid,
                boundary=system.boundary,
                dt=system.dt,
                params=len(system.param_names),
                time_embed_dim=latent.dim,
            )
        )

    @property
    def system(self) -> System:
        """What the data are."""
        return self.codec.system

    def step(self, z: Tensor, params: Tensor | None, dt: Tensor) -> Tensor:
        """One latent step: z (B, N, D), params (B, P), dt (B,) -> (B, N, D)."""
        return self.operator(LatentState(z, cond={} if params is None else {"params": params}), dt).z

    def forward(self, frames: Tensor, params: Tensor, dt: Tensor, reencode: bool = False) -> Unrolled:
        """Unrolls the operator from the first frame through its own predictions, for training: means that the system
        conserves are left to drift, so that the latents learn to keep them too.

        Args:
            frames: True fields, (B, K + 1, C, *S).
            params: (B, P).
            dt: (B,).
            reencode: Decode and encode between steps, as a rollout in field space does.
        """
        b, k = frames.shape[0], frames.shape[1] - 1
        encoded = self.codec.encode(frames.flatten(0, 1)).unflatten(0, (b, k + 1))
        z, latents, fields = encoded[:, 0], [], []
        for _ in range(k):
            z = self.step(z, params, dt)
            latents.append(z)
            if reencode:
                fields.append(self.codec.decode(z))
                z = self.codec.encode(fields[-1])
        stacked = torch.stack(latents, 1)
        if reencode:
            return Unrolled(encoded, stacked, torch.stack(fields, 1), self.codec.decode(encoded[:, 0]))
        decoded = self.codec.decode(torch.cat([encoded[:, :1], stacked], 1).flatten(0, 1)).unflatten(0, (b, k + 1))
        return Unrolled(encoded, stacked, decoded[:, 1:], decoded[:, 0])

    def rollout(self, u0: Tensor, steps: int, params: Tensor | None, dt: Tensor, space: str = "field") -> Tensor:
        """Free rollout: u0 (B, C, *S) physical -> (B, steps, C, *S), frames 1 to `steps`.

        Args:
            space: `field` decodes and encodes between steps, `latent` stays in latent space throughout.
        """
        return roll_out(self.codec, lambda z: self.step(z, params, dt), u0, steps, space)


def roll_out(codec: Autoencoder, advance: Callable[[Tensor], Tensor], u0: Tensor, steps: int, space: str) -> Tensor:
    """Rolls any latent step out: u0 (B, C, *S) physical -> (B, steps, C, *S).

    Args:
        codec: Encodes and decodes.
        advance: One latent step, (B, N, D) -> (B, N, D).
        u0: Initial fields.
        steps: Number of steps.
        space: `field` decodes and encodes between steps; `latent` stays in latent space throughout.
    """
    z, frames = codec.encode(u0), []
    for _ in range(steps):
        z = advance(z)
        if space == "field":
            u = codec.decode_like(z, u0)
            z = codec.encode(u)
        else:
            z, u = codec.hold(z, u0)
        frames.append(u)
    return torch.stack(frames, 1)


def set_statistics(
    model: LatentModel,
    mean: Sequence[float],
    std: Sequence[float],
    param_mean: Sequence[float],
    param_std: Sequence[float],
) -> None:
    """Copies the training split's statistics of fields and parameters into the model's buffers."""
    for buffer, values in (
        (model.codec.u_mean, mean),
        (model.codec.u_std, std),
        (model.operator.param_mean, param_mean),
        (model.operator.param_std, param_std),
    ):
        buffer.copy_(torch.tensor(values))
