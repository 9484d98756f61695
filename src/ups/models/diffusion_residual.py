"""Stage 2: the distribution of what the operator leaves unexplained.

    r = (z_t+1 - z~) / s,   z~ = operator(z_t)            residual, scaled per channel
    x_tau = (1 - tau) r + tau eps,   eps ~ N(0, 1)        noise level tau in (0, 1)
    v(x_tau, tau) ~ E[eps - r | x_tau, z_t, z~, c]        what the network learns (flow matching, arXiv 2210.02747)
    dx / dtau = v                                         from eps at tau = 1 to a sample of r at tau = 0

The denoised residual is x - tau v, and the score of x_tau is -(x + (1 - tau) v) / tau.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ups.core.blocks_pdet import WIDEST, PDETransformer, PDETransformerConfig
from ups.core.domain import Domain
from ups.core.errors import UserError
from ups.core.latent_state import LatentState
from ups.core.settings import Settings
from ups.models.latent_operator import LatentModel, LatentOperatorConfig


class DiffusionSettings(Settings):
    """The residual model of stages 2 and 3.

    Good values: about half the operator's size, so that a one-step member costs at most half an operator step more;
    `reserve` 0.2 to 0.3; `steps` 8 with `heun`.
    """

    hidden_dim: int | None = Field(default=None, ge=1, le=WIDEST)
    """Width inside the blocks; unless given three quarters of the operator's, which take about half of its time, and
    64 for transformers."""
    depths: tuple[int, ...] | None = None
    """Blocks per level, as in `operator.pdet.depths`; unless given the operator's, and [2] for transformers."""
    group_size: int = Field(default=0, ge=0)
    """Tokens in an attention window; 0 leaves attention out."""
    num_heads: int = Field(default=4, ge=1, le=WIDEST)
    """Attention heads."""
    mlp_ratio: float = Field(default=2.0, gt=0, le=1000)
    """Width of the MLPs relative to `hidden_dim`."""
    spectral_modes: int = Field(default=17, ge=0)
    """Frequencies per axis of the spectral mixing, at most those that the tokens have; 0 leaves it out."""
    objective: Literal["flow", "regression", "crps"] = "flow"
    """`flow` learns the distribution by flow matching; `regression` its mean, with tau a mere input; `crps` trains an
    ensemble of one-evaluation members directly on the fair CRPS."""
    members: int = Field(default=4, ge=2, le=1000)
    """Members per sample while training with `objective: crps`."""
    reserve: float = Field(default=0.2, ge=0, lt=1)
    """Share of the training trajectories that the operator does not see, on which its residuals are learnt: on its
    own training data they are too small. 0 uses all for both."""
    steps: int = Field(default=8, ge=1, le=10_000)
    """Sampling steps K."""
    solver: Literal["heun", "euler", "stochastic"] = "heun"
    """`heun` takes 2 K - 1 network evaluations, `euler` and `stochastic` take K."""

    @model_validator(mode="after")
    def _consistent(self) -> DiffusionSettings:
        if self.group_size:
            self.backbone(PDETransformerConfig(block="transformer"), 1)
        return self

    def backbone(self, operator: PDETransformerConfig, latent_dim: int) -> PDETransformerConfig:
        """The network's PDE-Transformer, of the same kind of blocks as the operator's."""
        if operator.block == "convolution":
            width = self.hidden_dim or max(1, 3 * operator.hidden_dim // 4)
            shared = {"hidden_dim": width, "depths": self.depths or operator.depths, "mlp_ratio": self.mlp_ratio}
            return operator.model_copy(update=shared)
        shared = {name: getattr(self, name) for name in ("group_size", "num_heads", "mlp_ratio", "spectral_modes")}
        size = {"hidden_dim": self.hidden_dim or 64, "depths": self.depths or (2,), "input_dim": latent_dim}
        return PDETransformerConfig.model_validate({"block": "transformer", **size, **shared})


@dataclass(frozen=True)
class DiffusionResidualConfig:
    """A residual network for tokens of which nothing but the width is known, with `cond_dim` parameters.

    Raises:
        UserError: `residual_guidance_weight` is not 1: a weighted residual is not distributed as the one learnt.
    """

    latent_dim: int
    hidden_dim: int = 128
    cond_dim: int = 0
    residual_guidance_weight: float = 1.0

    def __post_init__(self) -> None:
        if self.residual_guidance_weight != 1.0:
            raise UserError(f"residual_guidance_weight must be 1, found {self.residual_guidance_weight}")

    @property
    def operator(self) -> LatentOperatorConfig:
        """An operator on such tokens, of the same width."""
        pdet = {"input_dim": self.latent_dim, "hidden_dim": self.hidden_dim, "num_heads": math.gcd(8, self.hidden_dim)}
        return LatentOperatorConfig(self.latent_dim, PDETransformerConfig.model_validate(pdet), params=self.cond_dim)

    @property
    def settings(self) -> DiffusionSettings:
        """Size of the network."""
        return DiffusionSettings(hidden_dim=self.hidden_dim, num_heads=math.gcd(4, self.hidden_dim))


class DiffusionResidual(nn.Module):
    """The network v(x_tau, tau; z_t, z~, c), zero at initialisation; it also serves the student and the other
    objectives.

    Args:
        of: The codec and the operator whose residual it learns, or the config of a network that knows neither.
        settings: Size of the network; that of the config unless given.

    Attributes:
        scale: s, deviation of the residual per channel (D,).
        change: Deviation of the operator's increment z~ - z_t per channel (D,), which may be much larger.
    """

    scale: Tensor
    change: Tensor
    dt: Tensor

    def __init__(self, of: LatentModel | DiffusionResidualConfig, settings: DiffusionSettings | None = None):
        super().__init__()
        operator, known = (of.operator.cfg, of) if isinstance(of, LatentModel) else (of.operator, of.operator)
        self.settings = settings or (DiffusionSettings() if isinstance(of, LatentModel) else of.settings)
        self.operator, self.layout, latent_dim = operator, operator.layout, operator.latent_dim
        cfg = self.settings.backbone(operator.pdet, latent_dim)
        self.conditioning = known.new_conditioning(2, cfg.hidden_dim)
        self.position = operator.position
        tokens, width = self.layout.tokens(self.layout.domain), 3 * latent_dim + self.position.width
        self.transformer = PDETransformer(cfg, tokens, cfg.hidden_dim, width, latent_dim)
        self.register_buffer("scale", torch.ones(latent_dim))
        self.register_buffer("change", torch.ones(latent_dim))
        self.register_buffer("dt", torch.tensor(operator.dt))

    def forward(
        self,
        x: Tensor | LatentState,
        tau: Tensor,
        state: LatentState | None = None,
        base: Tensor | None = None,
        dt: Tensor | None = None,
        domain: Domain | None = None,
    ) -> Tensor:
        """One evaluation.

        Args:
            x: Noisy residual, (B, N, D); or, for a network that learns the mean residual of a prediction z~ from z~
                alone, the state with that prediction, and then no `state`.
            tau: Noise level, (B,).
            state: Latents before the step, (B, N, D), and their conditions.
            base: The operator's prediction z~, (B, N, D); the latents of the state unless given.
            dt: Physical step, (B,); that of the data unless given.
            domain: What the latents are of, the training grid unless given.

        Returns:
            (B, N, D).
        """
        if isinstance(x, LatentState):
            x, state = torch.zeros_like(x.z), x
        assert state is not None
        base = state.z if base is None else base
        relative = self.dt.new_ones(len(x)) if dt is None else dt / self.dt
        cond = self.conditioning([tau, relative.log()], state.cond)
        domain = domain or self.operator.domain_of(x)
        z = torch.cat([x, state.z, (base - state.z) / self.change], -1)
        return self.transformer(self.position.beside(z, domain), cond, self.layout.tokens(domain))
