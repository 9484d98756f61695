"""Rows that the equations themselves give: the classical solver made coarse, and the true ensemble of a random system.

A surrogate that a coarse solver beats is of no use (McGreivy & Hakim, Nature Machine Intelligence 2024), and a finite
ensemble of truths is the yardstick of calibration: its quantile intervals, too, hold less than their nominal share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ups.core.errors import UserError
from ups.core.system import System
from ups.core.tasks import TASKS
from ups.data.settings import DataSettings
from ups.evaluation.baselines import Untrained
from ups.evaluation.breakeven import SolverRun, break_even
from ups.evaluation.forecaster import Forecaster
from ups.evaluation.row import Role
from ups.evaluation.scores import Scores
from ups.simulate.coarse import coarse_solution
from ups.simulate.generate import GenerateSettings, ensemble
from ups.simulate.pdes import PDES
from ups.simulate.solver import require_jax

TRUTH = "true ensemble"
SOLVER = "solver@"
"""Start of the names of rows of the classical solver; the number of points follows."""


@dataclass
class CoarseSolver:
    """The spectral solver on `points` per axis, with the largest step that is stable there.

    Attributes:
        system: The data's grid, parameters and task.
        points: Points per axis.
        seconds: Time per step of one trajectory in the last rollout, without compilation.
    """

    system: System
    points: int
    role: Role = "solver"
    built_on: str | None = None
    parameters: int = 0
    train_seconds: float = 0.0
    evaluations: float = 0.0
    seconds: float = field(default=0.0, init=False)

    def rollout(self, truth: Tensor, start: int, steps: int, params: Tensor, members: int, seed: int) -> Tensor:
        """Frames after `start` of truth (b, T, C, *S): (b, 1, steps, C, *S)."""
        u0 = truth[:, start].numpy()
        named = {name: params[:, i].double().numpy() for i, name in enumerate(self.system.param_names)}
        times = self.system.dt * np.arange(steps + 1)
        extent = float(self.system.extent[0])
        values = np.full((len(u0), steps + 1, *u0.shape[1:]), np.nan, dtype=np.float32)
        first = self.substeps(named)
        for substeps in (first, 2 * first, 4 * first):  # more if it blows up
            values, self.seconds = coarse_solution(self.system.task, u0, times, named, self.points, substeps, extent)
            if np.isfinite(values).all():
                break
        return torch.from_numpy(values[:, 1:]).unsqueeze(1)

    def substeps(self, named: Mapping[str, float | np.ndarray]) -> int:
        """Solver steps per frame by the rule of the PDE on this grid, for parameters by name."""
        worst = {**TASKS[self.system.task].params, **{k: float(np.min(v)) for k, v in named.items()}}
        step = PDES[TASKS[self.system.task].pde].step(worst, self.system.extent[0] / self.points)
        return max(1, int(np.ceil(self.system.dt / step - 1e-9))) if np.isfinite(step) else 1


@dataclass(frozen=True)
class TrueEnsemble(Untrained):
    """Independent truths of a random system from the same state, by its generator.

    Attributes:
        settings: What the data were generated with.
        time: Frames of the generator per frame of the data (`data.subsample.time`).
    """

    settings: GenerateSettings
    time: int = 1
    role: Role = field(default="truth", kw_only=True)

    def rollout(self, truth: Tensor, start: int, steps: int, params: Tensor, members: int, seed: int) -> Tensor:
        """Frames after `start` of truth (b, T, 1, X): (b, M, steps, 1, X)."""
        frames = steps * self.time + 1
        runs = ensemble(self.settings, truth[:, start, 0].numpy(), members, frames, 1_000_003 + seed)
        return torch.from_numpy(runs[:, :, self.time :: self.time, None])


def solver_available() -> bool:
    """Whether the extra `data` is installed."""
    try:
        require_jax()
    except UserError:
        return False
    return True


def physics_forecasters(system: System, data: DataSettings) -> dict[str, Forecaster]:
    """The rows that the equations of a data set give; none where they are not known or the solver is not installed."""
    generated = data.generate
    if system.task not in TASKS or not solver_available():
        return {}
    if PDES[TASKS[system.task].pde].forced:
        if generated is None or without_true_ensemble(system, data) is not None:
            return {}
        return {TRUTH: TrueEnsemble(generated, data.subsample.time)}
    if generated is not None and generated.observe_every > 1:
        return {}
    points = [system.shape[0] // n for n in (4, 2, 1) if system.shape[0] // n >= 8]
    return {f"{SOLVER}{n}": CoarseSolver(system, n) for n in points}


def without_true_ensemble(system: System, data: DataSettings) -> str | None:
    """Why a random system that was generated has no true ensemble, in a sentence; None if it has one or cannot."""
    generated = data.generate
    if generated is None or system.task not in TASKS or not PDES[TASKS[system.task].pde].forced:
        return None
    needs = f"there is no row `{TRUTH}`: it starts from fully observed states, found "
    if generated.observe_every > 1:
        return f"{needs}data.generate.observe_every = {generated.observe_every}"
    if data.subsample.space > 1:
        return f"{needs}data.subsample.space = {data.subsample.space}"
    ranges = [name for name, value in generated.params.items() if isinstance(value, tuple)]
    if ranges:
        return f"there is no row `{TRUTH}`: its parameters must be constant, found a range for {', '.join(ranges)}"
    return None


def break_even_of(scores: Scores, model: str) -> str | None:
    """After how many forecasts the training of `model` has paid, in words; None without a classical solver."""
    steps = scores.protocol.frames - scores.protocol.context
    scored = [row for row in scores.rows if row.rollout.nrmse is not None and row.error is None and row.marching]
    costs = [(row, row.rollout.nrmse or 0.0, row.ms_per_step * steps / 1e3) for row in scored]
    runs = [SolverRun(row.model, error, seconds) for row, error, seconds in costs if row.role == "solver"]
    own = next(((error, seconds, row.train_seconds) for row, error, seconds in costs if row.model == model), None)
    return break_even(*own, runs).sentence if runs and own else None
