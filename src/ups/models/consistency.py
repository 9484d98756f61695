"""Stage 3: a student that jumps from any noise level to a sample of the residual.

    f(x, tau) = x - tau v(x, tau)                          f(x, 0) = x by construction
    L = || f(x_k, tau_k) - sg f(x_(k+1), tau_(k+1)) ||^2   x_(k+1): one Heun step of the frozen teacher from x_k

Consistency models, arXiv 2303.01469; improved training, arXiv 2310.14189.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ups.models.samplers import Velocity, denoised, levels

GRID = 18
"""Steps of the teacher's trajectory along which the student is trained."""


@dataclass(frozen=True)
class Jumps:
    """Neighbouring points on the teacher's trajectories.

    Attributes:
        x, tau: Where the student starts, (R, N, D) and (R,).
        x_next, tau_next: Where the teacher's step ends, the same shapes.
    """

    x: Tensor
    tau: Tensor
    x_next: Tensor
    tau_next: Tensor

    def __getitem__(self, part: slice) -> Jumps:
        return Jumps(*(getattr(self, f.name)[part] for f in fields(self)))


def heun_step(velocity: Velocity, x: Tensor, tau: Tensor, tau_next: Tensor) -> Tensor:
    """One step of Heun's method from tau to tau_next (both (B,)); Euler's where it ends at 0."""
    h = (tau_next - tau).view(-1, *[1] * (x.ndim - 1))
    v = velocity(x, tau)
    ahead = x + h * v
    average = 0.5 * (v + velocity(ahead, tau_next.clamp_min(1e-4)))
    return torch.where((tau_next > 0).view_as(h), x + h * average, ahead)


@torch.no_grad()
def jumps(teacher: Velocity, r: Tensor, tau: Tensor) -> Jumps:
    """Noises residuals r (R, N, D) to levels of the teacher's grid and lets the teacher take one step.

    tau (R,) in (0, 1) picks the level by its rank, so that uniform draws visit all levels alike: the highest, from
    which a one-step sample starts, as often as any other.
    """
    grid = levels(GRID, r.device)
    k = ((1 - tau) * GRID).long().clamp(0, GRID - 1)
    here, there = grid[k], grid[k + 1]
    t = here.view(-1, *[1] * (r.ndim - 1))
    x = (1 - t) * r + t * torch.randn_like(r)
    return Jumps(x, here, heun_step(teacher, x, here, there), there)


def consistency_loss(student: Velocity, points: Jumps) -> Tensor:
    """Mean squared distance between the student's jumps from both ends of the teacher's step."""
    ahead = denoised(points.x, points.tau, student(points.x, points.tau))
    with torch.no_grad():
        target = denoised(points.x_next, points.tau_next, student(points.x_next, points.tau_next))
    return (ahead - target).square().mean()


def student_sample(student: Velocity, noise: Tensor, steps: int, generator: torch.Generator | None = None) -> Tensor:
    """A sample in `steps` evaluations: jump to tau = 0, noise again to 1 - k / steps, and jump once more."""
    x, tau = noise, torch.ones(len(noise), device=noise.device)
    for k in range(steps):
        if k:
            level = 1 - k / steps
            fresh = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
            x, tau = (1 - level) * x + level * fresh, torch.full_like(tau, level)
        x = denoised(x, tau, student(x, tau))
    return x
