"""Stage 1: the operator that advances latent tokens by one physical time step.

    z(t + dt) = z(t) + sqrt(dt / dt_ref) * f(z(t); dt, c)

f is a PDE-Transformer whose output is zero at initialisation, so the untrained operator is the identity and
persistence is the worst it starts from. Where several steps dt are trained, the root stands between changes that grow
with dt and changes that do not, so that neither short nor long steps fill the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from pydantic import Field
from torch import Tensor, nn

from ups.core.blocks_pdet import PDETransformer, PDETransformerConfig
from ups.core.domain import Domain
from ups.core.embedding import Conditioning
from ups.core.latent_state import LatentState
from ups.core.patches import Layout
from ups.core.position import Position
from ups.core.settings import Settings
from ups.core.system import Statistics, System
from ups.core.walls import Walls
from ups.models.autoencoder import Autoencoder, LatentSettings
from ups.models.codec import Codec
from ups.models.grid_codec import GridCodec
from ups.models.hierarchical import Hierarchical
from ups.models.increment import Increment


class OperatorSettings(Settings):
    """The latent operator.

    Good values: see `operator.pdet`.
    """

    pdet: PDETransformerConfig = Field(default_factory=lambda: PDETransformerConfig.model_validate({}))
    """The PDE-Transformer inside."""


LINE = Layout(Domain.unit((64,)), (64,))
"""Tokens of which nothing else is known: points of a periodic line, however many there are."""


@dataclass(frozen=True)
class LatentOperatorConfig:
    """What fixes the shape of a `LatentOperator`; `layout` says how domains are cut into tokens, `position_axes`
    along which axes they are told where they are. With `channels` the tokens are the fields of so many channels, not
    learnt latents, and do not change where `walls` hold a value. `varied` says whether the time step and the parameters
    vary: nothing else conditions the operator.
    """

    latent_dim: int
    pdet: PDETransformerConfig
    layout: Layout = LINE
    dt: float = 0.1
    params: int = 0
    time_embed_dim: int = 32
    position_axes: tuple[int, ...] = ()
    channels: int = 0
    walls: Walls = ()
    varied: tuple[bool, bool] = (True, True)

    @property
    def position(self) -> Position:
        """What tokens are told of where they are."""
        return Position(self.layout, self.position_axes)

    def domain_of(self, z: Tensor) -> Domain:
        """Where tokens z (B, N, D) live unless it is said: the training grid, or a line of N points."""
        return Domain.unit(z.shape[1:2]) if self.layout == LINE else self.layout.domain

    def new_conditioning(self, scalars: int, out: int) -> Conditioning:
        """A conditioning by so many scalars and the parameters, which are not standardised."""
        return Conditioning(scalars, self.params, 32, out, self.varied[1])


class LatentOperator(nn.Module):
    """Advances a `LatentState` by `dt`."""

    def __init__(self, cfg: LatentOperatorConfig):
        super().__init__()
        self.cfg = cfg
        steps, params = cfg.varied
        self.conditioning = Conditioning(int(steps), cfg.params, cfg.time_embed_dim, cfg.pdet.hidden_dim, params)
        self.increment = Increment(cfg.layout, cfg.channels, cfg.walls) if cfg.channels else None
        tokens, width = cfg.layout.tokens(cfg.layout.domain), cfg.latent_dim + cfg.position.width
        out = self.increment.width if self.increment else cfg.latent_dim
        self.transformer = PDETransformer(cfg.pdet, tokens, self.conditioning.width, width, out)

    def forward(self, state: LatentState, dt: Tensor, domain: Domain | None = None) -> LatentState:
        """`state.z` (B, N, D) on `domain`, the training grid unless given, and the physical step `dt`, (B,) or one for
        all -> the state `dt` later."""
        relative = (dt / self.cfg.dt).expand(len(state.z))
        domain = domain or self.cfg.domain_of(state.z)
        z, tokens = self.cfg.position.beside(state.z, domain), self.cfg.layout.tokens(domain)
        scalars = [relative.log()] if len(self.conditioning.scalars) else []
        if self.increment is None:
            increment = self.transformer(z, self.conditioning(scalars, state.cond), tokens)
        else:
            with torch.autocast(z.device.type, enabled=False):  # differences of rounded fluxes would be noise
                out = self.transformer(z.float(), self.conditioning(scalars, state.cond), tokens)
                increment = self.increment(out, domain)
        return state.advance(state.z + relative.sqrt().view(-1, 1, 1) * increment, dt)


@dataclass(frozen=True)
class Unrolled:
    """A short forecast from the first of K + 1 frames, with what its losses compare it to.

    Attributes:
        encoded: Latents of all given frames, (B, K + 1, N, D).
        latents: The operator's latents of frames 1 to K, (B, K, N, D).
        fields: The first F of them decoded, (B, F, C, *S).
        reconstruction: decode(encode(u)) of the first frame, (B, C, *S), if asked for.
        reencoded: encode(decode(z)) of the first of the operator's latents, (B, N, D), if asked for.
    """

    encoded: Tensor
    latents: Tensor
    fields: Tensor
    reconstruction: Tensor | None
    reencoded: Tensor | None = None


def codec_of(system: System, latent: LatentSettings) -> GridCodec:
    """The codec that the settings name, for a system."""
    if latent.codec == "exact":
        return GridCodec(system, latent.grid(system.shape))
    if latent.codec == "patch":
        return Autoencoder(system, latent)
    factor, dim = latent.factor(system.shape), latent.token_width(len(system.channels), system.shape)
    return Hierarchical(system, factor, dim, latent.width, latent.kernel)


class LatentModel(nn.Module):
    """A codec with the operator that belongs to it; stage 1 trains both, and later stages freeze both.

    Args:
        system: What the data are.
        latent: Size of the latent space.
        operator: Settings of the operator.
        statistics: Of the training split; those of a checkpoint come with its weights.
    """

    def __init__(
        self,
        system: System,
        latent: LatentSettings,
        operator: OperatorSettings,
        statistics: Statistics | None = None,
    ):
        super().__init__()
        self.codec = codec_of(system, latent)
        patches = latent.codec == "patch"
        self.operator = LatentOperator(
            LatentOperatorConfig(
                latent_dim=self.codec.dim,
                pdet=operator.pdet,
                layout=self.codec.layout,
                dt=system.dt,
                params=len(system.param_names),
                time_embed_dim=self.codec.dim if patches else 32,
                position_axes=latent.position_axes(system),
                channels=len(system.channels) if self.codec.exact else 0,
                walls=system.walls,
                varied=(True, True) if patches else system.varied,
            )
        )
        self._share()
        if statistics is not None:
            for buffer, values in (
                (self.codec.u_mean, statistics.mean),
                (self.codec.u_std, statistics.std),
                (self.operator.conditioning.param_mean, statistics.param_mean),
                (self.operator.conditioning.param_std, statistics.param_std),
            ):
                buffer.copy_(torch.tensor(values))

    def _share(self) -> None:
        """Lets codec and increment hold one tensor of the channels that conserve their mean."""
        if self.operator.increment is not None:
            self.operator.increment.conserved = self.codec.conserved

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> LatentModel:
        """What moves a module to a device or to a type makes two tensors of one that is shared."""
        super()._apply(fn, recurse)
        self._share()
        return self

    @property
    def system(self) -> System:
        """What the data are."""
        return self.codec.system

    def new_conditioning(self, scalars: int, out: int) -> Conditioning:
        """A conditioning for a later stage, with the parameters and their statistics of this model."""
        own, made = self.operator.conditioning, self.operator.cfg.new_conditioning(scalars, out)
        made.param_mean.copy_(own.param_mean)
        made.param_std.copy_(own.param_std)
        return made

    def step(self, state: LatentState, dt: Tensor, domain: Domain | None = None) -> LatentState:
        """One latent step: `state.z` (B, N, D), dt (B,) -> the state `dt` later; `domain` as in `Codec`."""
        return self.operator(state, dt, domain)

    def forward(
        self,
        frames: Tensor,
        params: Tensor,
        dt: Tensor,
        reencode: bool = False,
        inverse: bool = False,
        ahead: int | None = None,
        steps: int | None = None,
        space: str = "field",
    ) -> Unrolled | Tensor:
        """All that training asks of the model, in one call, so that whatever wraps a module serves all of it.

        Unrolls the operator from the first frame through its own predictions: means that the system conserves are left
        to drift where latents are learnt, so that these learn to keep them too. With `steps`, the frames of a free
        `rollout` instead.

        Args:
            frames: True fields on the training grid, (B, K + 1, C, *S); of a free rollout the first, (B, 1, C, *S).
            params: (B, P).
            dt: (B,).
            reencode: Decode and encode between steps, as a rollout in field space does.
            inverse: Also encode what the first of the operator's latents decodes to.
            ahead: Decode only so many of the operator's latents and no reconstruction; all, and that, unless given.
            steps: Steps of a free rollout.
            space: Where that runs.
        """
        if steps is not None:
            return self.rollout(frames[:, 0], steps, params, dt, space)
        b, k = frames.shape[0], frames.shape[1] - 1
        encoded = self.codec.encode(frames.flatten(0, 1)).unflatten(0, (b, k + 1))
        state, latents, fields = LatentState(encoded[:, 0], cond={"params": params}), [], []
        for i in range(k):
            state = self.step(state, dt)
            latents.append(state.z)
            if reencode and i < max(k if ahead is None else ahead, k - 1):
                fields.append(self.codec.decode(state.z))
                state = replace(state, z=self.codec.encode(fields[-1]))
        stacked, first = torch.stack(latents, 1), None
        if fields:
            decoded = torch.stack(fields, 1)
            first = self.codec.decode(encoded[:, 0]) if ahead is None else None
        elif ahead is None:
            latent = torch.cat([encoded[:, :1], stacked], 1).flatten(0, 1)
            decoded = self.codec.decode(latent).unflatten(0, (b, k + 1))
            first, decoded = decoded[:, 0], decoded[:, 1:]
        elif ahead:
            decoded = self.codec.decode(stacked[:, :ahead].flatten(0, 1)).unflatten(0, (b, ahead))
        else:
            decoded = frames[:, :0]
        return Unrolled(encoded, stacked, decoded, first, self.codec.encode(decoded[:, 0]) if inverse else None)

    def rollout(
        self,
        u0: Tensor,
        steps: int,
        params: Tensor,
        dt: Tensor,
        space: str = "field",
        domain: Domain | None = None,
    ) -> Tensor:
        """Free rollout: u0 (B, C, *S) physical and params (B, P) -> (B, steps, C, *S), frames 1 to `steps`.

        Args:
            space: `field` decodes and encodes between steps, `latent` stays in latent space throughout.
            domain: Where u0 lives, the training grid unless given.
        """
        advance = lambda state: self.step(state, dt, domain)  # noqa: E731
        return roll_out(self.codec, advance, u0, {"params": params}, steps, space, domain)


def roll_out(
    codec: Codec,
    advance: Callable[[LatentState], LatentState],
    u0: Tensor,
    cond: Mapping[str, Tensor],
    steps: int,
    space: str,
    domain: Domain | None = None,
) -> Tensor:
    """Rolls any latent step out: u0 (B, C, *S) physical -> (B, steps, C, *S).

    Args:
        codec: Encodes and decodes.
        advance: One latent step.
        u0: Initial fields.
        cond: Their conditions, as in `LatentState`.
        steps: Number of steps.
        space: `field` decodes and encodes between steps; `latent` stays in latent space throughout.
        domain: Where u0 lives, the training grid unless given.
    """
    state, frames = LatentState(codec.encode(u0, domain), cond=cond), []
    for _ in range(steps):
        state = advance(state)
        if space == "field":
            u = codec.decode_like(state.z, u0, domain)
            z = codec.encode(u, domain)
        else:
            z, u = codec.hold(state.z, u0, domain)
        state = replace(state, z=z)
        frames.append(u)
    return torch.stack(frames, 1)
