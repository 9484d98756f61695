"""A trained residual network as a sampler, whatever objective it learnt."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from ups.models import samplers
from ups.models.consistency import student_sample
from ups.models.diffusion_residual import DiffusionResidual

Objective = Literal["flow", "regression", "crps", "consistency"]


@dataclass(frozen=True)
class Given:
    """What a residual is conditioned on.

    Attributes:
        z: Latents before the step, (B, N, D).
        base: The operator's prediction z~, (B, N, D).
        params: PDE parameters, (B, P), or None.
        dt: Physical step, (B,).
    """

    z: Tensor
    base: Tensor
    params: Tensor | None
    dt: Tensor

    def velocity(self, network: DiffusionResidual, x: Tensor, tau: Tensor) -> Tensor:
        """The network at x (B, N, D) and noise levels tau (B,)."""
        return network(x, tau, self.z, self.base, self.params, self.dt)

    def repeat(self, times: int) -> Given:
        """Every sample `times` times in a row."""
        many = [None if x is None else x.repeat_interleave(times, 0) for x in (self.z, self.base, self.params, self.dt)]
        return Given(*many)  # pyright: ignore[reportArgumentType]

    def __getitem__(self, part: slice) -> Given:
        return Given(self.z[part], self.base[part], None if self.params is None else self.params[part], self.dt[part])


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
        self, given: Given, noise: Tensor, steps: int | None = None, generator: torch.Generator | None = None
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

    def step(self, given: Given, steps: int | None = None, generator: torch.Generator | None = None) -> Tensor:
        """A draw of the next latents, z~ + s r, (B, N, D)."""
        shape, device = given.base.shape, given.base.device
        noise = torch.randn(shape, generator=generator, device=device)
        return given.base + self.network.scale * self.draw(given, noise, steps, generator)
