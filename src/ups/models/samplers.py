"""Samplers: from noise at tau = 1 to a sample at tau = 0 along a velocity field v(x, tau), with a chosen number of
steps.

dx = v dtau                                                    deterministic (Heun: arXiv 2206.00364, algorithm 1)
dx = v dtau + tau grad log p(x) (-dtau) + sqrt(2 tau) dW       stochastic, with the same marginals
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Velocity = Callable[[Tensor, Tensor], Tensor]
"""(x (B, ...), tau (B,)) -> v (B, ...)."""


def levels(steps: int, device: torch.device | str = "cpu") -> Tensor:
    """Noise levels 1 = tau_0 > ... > tau_K = 0, denser at both ends: tau = (1 + cos(pi k / K)) / 2, (K + 1,)."""
    return 0.5 * (1 + torch.cos(torch.pi * torch.linspace(0, 1, steps + 1, device=device)))


def evaluations(solver: str, steps: int) -> int:
    """Network evaluations of a sampler with `steps` steps."""
    return 2 * steps - 1 if solver == "heun" else steps


def sample(
    velocity: Velocity, noise: Tensor, steps: int, solver: str = "heun", generator: torch.Generator | None = None
) -> Tensor:
    """Integrates `noise` (B, ...) from tau = 1 to tau = 0.

    Args:
        velocity: The field, learnt or exact.
        noise: Standard normal, (B, ...).
        steps: Number of steps.
        solver: `heun` (second order; the last step is Euler's), `euler`, or `stochastic` (Euler-Maruyama).
        generator: Source of the noise that `stochastic` adds.
    """
    x, grid = noise, levels(steps, noise.device)
    for k in range(steps):
        tau, h = grid[k].expand(len(x)), grid[k + 1] - grid[k]
        v = velocity(x, tau)
        if solver == "stochastic" and 0 < k < steps - 1:
            kick = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
            x = x + h * v - h * grid[k] * score(x, tau, v) + (2 * grid[k] * -h).sqrt() * kick
            continue
        ahead = x + h * v
        if solver == "heun" and k < steps - 1:
            ahead = x + h / 2 * (v + velocity(ahead, grid[k + 1].expand(len(x))))
        x = ahead
    return x


def denoised(x: Tensor, tau: Tensor, v: Tensor) -> Tensor:
    """E[r | x_tau] = x - tau v; tau (B,) or a number broadcast over (B, N, D)."""
    return x - _like(tau, x) * v


def score(x: Tensor, tau: Tensor, v: Tensor) -> Tensor:
    """grad log p(x_tau) = -E[eps | x_tau] / tau = -(x + (1 - tau) v) / tau."""
    t = _like(tau, x)
    return -(x + (1 - t) * v) / t


def _like(tau: Tensor, x: Tensor) -> Tensor:
    return tau.view(-1, *[1] * (x.ndim - 1))
