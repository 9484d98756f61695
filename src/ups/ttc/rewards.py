"""Rewards: how well a pair of consecutive frames obeys the physics of its task, known without the truth.

All are minus a violation in units of the frame's size, sqrt(mean_x u^2), so that they are comparable with an nRMSE and
with each other: 0 is perfect, -0.01 a violation of one per cent. All but the residual see decoded fields in units of
sigma, the deviation of each channel over the training split, and take a frame as at least `NEGLIGIBLE` of that in size;
the residual sees physical ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from ups.core.deviations import NEGLIGIBLE, in_deviations
from ups.core.errors import UserError
from ups.core.system import Boundary, System
from ups.core.tasks import TASKS
from ups.ttc.integrator import Integrator, integrator_of
from ups.ttc.settings import RewardName

Reward = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(before (B, C, *S), after (B, C, *S), params (B, P)) -> (B,), higher is better."""
Bounds = tuple[Tensor, Tensor]
"""Smallest and largest value of each channel in the training data, (C,) each."""


ROUNDING = 1e-6
"""Changes of a mean, relative to the frame's size, that say nothing."""


def conserved_mean(before: Tensor, after: Tensor, params: Tensor) -> Tensor:
    """-| mean_x after - mean_x before | / size, summed over channels; 0 where rounding alone moves the means, as in
    forecasts that hold them."""
    drift = (_mean(after) - _mean(before)).abs() / _size(before)
    return -drift.where(drift > ROUNDING, 0.0).sum(1)


def falling_energy(before: Tensor, after: Tensor, params: Tensor) -> Tensor:
    """-(growth of sqrt(mean_x u^2)) / size where it grows, 0 where it falls."""
    return -((_size(after) - _size(before)) / _size(before)).clamp_min(0).sum(1)


def maximum_principle(before: Tensor, after: Tensor, params: Tensor) -> Tensor:
    """-(how far `after` leaves the range of `before`) / size: no new extremes."""
    low, high = before.flatten(2).aminmax(dim=-1)
    return -_outside(after, low, high, _size(before))


def within(bounds: Bounds) -> Reward:
    """The reward -(how far `after` leaves fixed bounds, (C,) each) / size."""

    def reward(before: Tensor, after: Tensor, params: Tensor) -> Tensor:
        low, high = (bound.to(after).expand(after.shape[:2]) for bound in bounds)
        return -_outside(after, low, high, _size(before))

    return reward


@dataclass(frozen=True)
class Residual:
    """The reward -|| P (after - Phi(before)) || / size: Phi advances the PDE by one frame on a coarse grid, and P keeps
    the wave numbers that this grid resolves.

    A difference quotient over a whole frame says little where waves travel far within it, so Phi takes several steps
    (`ups.ttc.integrator`).
    """

    integrator: Integrator

    def __call__(self, before: Tensor, after: Tensor, params: Tensor) -> Tensor:
        gap = self.integrator.spectrum(after) - self.integrator.advance(before, params)
        energy = gap[..., 0].abs().square() + 2 * gap[..., 1:].abs().square().sum(-1)
        return -(energy.flatten(1).sum(1).sqrt() / _size(before, 1e-12).square().sum(1).sqrt())


@dataclass(frozen=True)
class Physics:
    """What is known of a task.

    Attributes:
        weights: Weight of each reward by its name, unless the settings give others.
        holds: Rewards that every solution on a periodic domain earns in full, as far as the grid resolves it, and
            `bounds`, which no solution leaves far.
        points, substeps: Grid, and steps per frame of the task's time step, of the PDE's residual.
    """

    weights: Mapping[str, float]
    holds: tuple[RewardName, ...]
    points: int = 128
    substeps: int = 4


PHYSICS: Mapping[str, Physics] = MappingProxyType(
    {
        "advection1d": Physics({"residual": 1.0}, ("residual", "mean", "energy", "maximum", "bounds")),
        "burgers1d": Physics({"residual": 1.0}, ("residual", "mean", "energy", "maximum", "bounds"), substeps=16),
        "forced_burgers1d": Physics({"bounds": 1.0}, ("mean", "bounds")),
        "diffusion1d": Physics({"residual": 1.0}, ("residual", "bounds"), substeps=1),
        "fisher_kpp1d": Physics({"residual": 1.0}, ("residual", "bounds"), substeps=2),
        "kdv1d": Physics({"residual": 1.0}, ("residual", "mean", "energy", "bounds"), substeps=16),
        "ks1d": Physics({"residual": 1.0}, ("residual", "mean", "bounds"), substeps=8),
        "kolmogorov2d": Physics({"residual": 1.0}, ("residual", "mean", "bounds"), points=64, substeps=32),
        "gray_scott2d": Physics({"residual": 1.0}, ("residual", "bounds"), points=48, substeps=50),
        "swift_hohenberg3d": Physics({"residual": 1.0}, ("residual", "bounds"), points=16, substeps=16),
    }
)
"""The one table of tasks. Where there is a residual, the other rewards add no information and rank candidates worse
beside it; forced Burgers has none, for no step of a random system has to equal its mean."""
UNKNOWN = Physics({"bounds": 1.0}, ("bounds",))
"""A task that is not in the table."""


def rewards_of(
    system: System,
    bounds: Callable[[], Bounds] | None = None,
    weights: Mapping[str, float] | None = None,
    *,
    std: Sequence[float] | None = None,
    hidden: bool = False,
) -> dict[str, tuple[float, Reward]]:
    """The weighted rewards of a system, by name.

    Args:
        system: What the data are.
        bounds: Returns the range of the training data, which `bounds` needs; not called without it.
        weights: Weights by name, as `TTCSettings.rewards` has them; those of the task unless given, or `bounds` where
            these do not hold.
        std: Deviation of each channel over the training split, (C,); 1 unless given.
        hidden: Whether the data show only a part of the state.

    Raises:
        UserError: A reward does not hold for the task, or what it needs is missing.
    """
    physics = PHYSICS.get(system.task, UNKNOWN)
    usual = UNKNOWN if misfit(physics.weights, system.task, system.boundary, hidden=hidden) else physics
    chosen = weights or usual.weights
    if refused := misfit(chosen, system.task, system.boundary, hidden=hidden):
        raise UserError(f"ttc.rewards: {refused}")
    sigma = torch.tensor(std or [1.0] * len(system.channels))
    makers: dict[str, Callable[[], Reward]] = {
        "residual": lambda: Residual(integrator_of(system, physics.points, _substeps(physics, system))),
        "mean": lambda: standardised(conserved_mean, sigma),
        "energy": lambda: standardised(falling_energy, sigma),
        "maximum": lambda: standardised(maximum_principle, sigma),
        "bounds": lambda: standardised(within(_given(bounds, system, sigma)), sigma),
    }
    return {name: (weight, makers[name]()) for name, weight in chosen.items()}


def misfit(
    weights: Mapping[str, float], task: str, boundary: Sequence[Boundary] = ("periodic",), *, hidden: bool = False
) -> str | None:
    """The sentence for rewards that do not hold for a task, None if all do.

    Of a task that is not in `PHYSICS` only its author knows what holds. Where an axis is not periodic, fluxes through
    the boundary may change mean, energy and extremes, and where points are `hidden`, what is observed obeys no equation
    of its own, so only the bounds are left.
    """
    known = PHYSICS.get(task)
    if known is None:
        return None
    everywhere = all(kind == "periodic" for kind in boundary)
    holds = known.holds if everywhere and not hidden else ("bounds",)
    wrong = [name for name in weights if name not in holds]
    if not wrong:
        return None
    where = task if everywhere else f"{task} with boundary {', '.join(boundary)}"
    where += " observed only in part" if hidden else ""
    verb = "does" if len(wrong) == 1 else "do"
    return f"{', '.join(wrong)} {verb} not hold for {where}, which has {', '.join(holds)}"


def _substeps(physics: Physics, system: System) -> int:
    """Solver steps of the residual per frame of `system`, whose frames may lie closer or further than the task's."""
    usual = TASKS[system.task].dt if system.task in TASKS else system.dt
    return max(1, math.ceil(physics.substeps * system.dt / usual - 1e-6))


def _given(bounds: Callable[[], Bounds] | None, system: System, std: Tensor) -> Bounds:
    if bounds is None:
        raise UserError(f"the reward `bounds` of task {system.task!r} needs the range of the training data")
    low, high = bounds()
    return in_deviations(low, std, 0), in_deviations(high, std, 0)


def weighted(rewards: Mapping[str, tuple[float, Reward]]) -> Reward:
    """The weighted sum of rewards."""

    def reward(before: Tensor, after: Tensor, params: Tensor) -> Tensor:
        parts = [weight * one(before, after, params) for weight, one in rewards.values()]
        return torch.stack(parts).sum(0)

    return reward


def standardised(reward: Reward, std: Tensor) -> Reward:
    """A reward of fields over std (C,), as one of physical fields."""

    def physical(before: Tensor, after: Tensor, params: Tensor) -> Tensor:
        axes = before.ndim - 2
        return reward(in_deviations(before, std, axes), in_deviations(after, std, axes), params)

    return physical


def _mean(u: Tensor) -> Tensor:
    return u.flatten(2).mean(-1)


def _size(u: Tensor, smallest: float = NEGLIGIBLE) -> Tensor:
    """sqrt(mean_x u^2), at least `smallest`, (B, C)."""
    return u.flatten(2).square().mean(-1).sqrt().clamp_min(smallest)


def _outside(u: Tensor, low: Tensor, high: Tensor, size: Tensor) -> Tensor:
    """Largest distance of u (B, C, *S) from the interval [low, high], both (B, C), over `size` (B, C); -> (B,)."""
    smallest, largest = u.flatten(2).aminmax(dim=-1)
    return (((low - smallest).clamp_min(0) + (largest - high).clamp_min(0)) / size).sum(1)
