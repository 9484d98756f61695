"""The classical solver made coarse: the bar for a surrogate (McGreivy & Hakim, Nature Machine Intelligence 2024)."""

import time
from collections.abc import Mapping

import numpy as np

from ups.core.errors import UserError
from ups.core.spacing import as_marks, is_even, mean_step
from ups.core.tasks import Task, find_task
from ups.simulate.pdes import PDES
from ups.simulate.resample import resample
from ups.simulate.solver import Grid, solve

ParamValues = Mapping[str, float | np.ndarray]


def coarse_solution(
    task: str,
    u0: np.ndarray,
    times: np.ndarray,
    params: ParamValues,
    points: int,
    substeps: int,
    length: float | None = None,
) -> tuple[np.ndarray, float]:
    """Solve the PDE of `task` on a coarse grid and bring the result back to the grid of `u0`.

    `u0 (B, C, *S)`: physical states on a periodic grid of `length` per axis (the task's by default). `times (T,)`:
    evenly spaced, the first one that of u0. `params`: name -> a number or (B,) values, defaults from the task.
    `points`: per axis, at most S; `substeps`: solver steps per frame.

    Returns the frames (B, T, C, *S) float32, interpolated trigonometrically (frame 0 is u0 as the coarse grid sees
    it; a step too coarse for stability shows as NaN or Inf), and the seconds that one frame of one trajectory takes,
    without compilation and interpolation. Raises `UserError` for random systems and for arguments that do not fit.
    """
    entry = find_task(task)
    _check(task, entry, u0, times, points, substeps)
    dt = mean_step(times)
    grid = Grid(entry.pde, u0.ndim - 2, length or entry.length, points, dt, len(times), substeps)
    start, values = resample(u0.astype(np.float64), points, grid.axes), _complete(task, entry, params)
    solve(grid, start, values)  # compiles, so that the time below is that of solving alone
    began = time.perf_counter()
    coarse = solve(grid, start, values)
    seconds = (time.perf_counter() - began) / (len(u0) * (len(times) - 1))
    with np.errstate(invalid="ignore", over="ignore"):
        return resample(coarse, u0.shape[-1], grid.axes).astype(np.float32), seconds


def _check(task: str, entry: Task, u0: np.ndarray, times: np.ndarray, points: int, substeps: int) -> None:
    expected = (len(entry.channels), *u0.shape[-1:] * len(entry.boundary))
    if PDES[entry.pde].forced:
        raise UserError(f"a coarse classical solution needs a deterministic system, found {task}")
    if u0.ndim != 1 + len(expected) or u0.shape[1:] != expected:
        raise UserError(f"expected states of shape (B, {', '.join(map(str, expected))}) for {task}, found {u0.shape}")
    if len(times) < 2 or not is_even(as_marks(np.asarray(times))):
        raise UserError(f"expected at least two evenly spaced times, found {np.asarray(times).tolist()}")
    if not 4 <= points <= u0.shape[-1] or substeps < 1:
        raise UserError(f"expected 4 to {u0.shape[-1]} points and at least 1 substep, found {points} and {substeps}")


def _complete(task: str, entry: Task, params: ParamValues) -> dict[str, float | np.ndarray]:
    values: dict[str, float | np.ndarray] = {}
    for name, default in entry.params.items():
        value = params.get(name, default)
        if isinstance(value, tuple):
            raise UserError(f"the coarse solution of {task} needs the value of {name}, found only the range {value}")
        values[name] = np.asarray(value, dtype=np.float64) if np.ndim(value) else float(value)
    return values
