"""A trained residual network as a sampler, whatever objective it learnt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from ups.core.domain import Domain
from ups.core.latent_state import LatentState
from ups.models import samplers
from ups.models.consistency import student_sample
from ups.models.diffusion_residual import DiffusionResidual
from ups.models.latent_operator import LatentModel

Objective = Literal["flow", "regression", "crps", "consistency"]


@dataclass(frozen=True)
class ResidualCondition:
    """What a residual is conditioned on.

    Attributes:
        state: Latents before the step, (B, N, D), and their conditions.
        base: The operator's prediction z~, (B, N, D).
        dt: Physical step, (B,).
        domain: What the latents are of, the training grid unless given.
    """

    state: LatentState
    base: Tensor
    dt: Tensor
    domain: Domain | None = None

    @classmethod
    def of(cls, model: LatentModel, state: LatentState, dt: Tensor, domain: Domain | None = None) -> ResidualCondition:
        """The same with the prediction of a model's operator."""
        return cls(state, model.step(state, dt, domain).z, dt, domain)

    def velocity(self, network: DiffusionResidual, x: Tensor, tau: Tensor) -> Tensor:
        """The network at x (B, N, D) and noise levels tau (B,)."""
        return network(x, tau, self.state, self.base, self.dt, self.domain)

    def repeat(self, times: int) -> ResidualCondition:
        """Every sample `times` times in a row."""
        return self._each(lambda x: x.repeat_interleave(times, 0))

    def __getitem__(self, part: slice) -> ResidualCondition:
        return self._each(lambda x: x[part])

    def _each(self, change: Callable[[Tensor], Tensor]) -> ResidualCondition:
        return ResidualCondition(self.state.each(change), change(self.base), change(self.dt), self.domain)


@dataclass(frozen=True)
class ResidualHead:
    """Draws of the scaled residual r = (z_t+1 - z~) / s.

    Attributes:
        network: The network.
        objective: What it learnt.
        steps: Sampling steps unless asked otherwise.
        solver: Sampler of `flow`.
    """

    network: DiffusionResidual
    objective: Objective
    steps: int = 1
    solver: str = "heun"

    def evaluations(self, steps: int | None = None) -> int:
        """Network evaluations of one draw."""
        if self.objective == "flow":
            return samplers.evaluations(self.solver, steps or self.steps)
        return steps or self.steps if self.objective == "consistency" else 1

    def draw(
        self,
        given: ResidualCondition,
        noise: Tensor,
        steps: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """One draw per sample from `noise` (B, N, D), standard normal; `regression` ignores it and returns the mean."""
        velocity = partial(given.velocity, self.network)
        if self.objective == "flow":
            return samplers.sample(velocity, noise, steps or self.steps, self.solver, generator)
        if self.objective == "consistency":
            return student_sample(velocity, noise, steps or self.steps, generator)
        if self.objective == "crps":
            return velocity(noise, torch.ones(len(noise), device=noise.device))
        return velocity(torch.zeros_like(noise), torch.full((len(noise),), 0.5, device=noise.device))

    def step(
        self, given: ResidualCondition, steps: int | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """A draw of the next latents, z~ + s r, (B, N, D)."""
        shape, device = given.base.shape, given.base.device
        noise = torch.randn(shape, generator=generator, device=device)
        return given.base + self.network.scale * self.draw(given, noise, steps, generator)
