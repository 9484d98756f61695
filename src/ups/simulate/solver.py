"""Batched spectral solution of the PDEs in `ups.simulate.pdes`, in double precision."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ups.core.errors import UserError
from ups.simulate import forcing
from ups.simulate.pdes import PDES, Params, wave_numbers
from ups.simulate.resample import resample


@dataclass(frozen=True)
class Grid:
    """Where and how finely a PDE is solved and recorded.

    `points` per axis over `length`, `axes` axes, `substeps` solver steps per frame of `dt`; `frames` recorded frames,
    the initial one included, of every `stride`-th point per axis.
    """

    pde: str
    axes: int
    length: float
    points: int
    dt: float
    frames: int
    substeps: int
    stride: int = 1

    def mesh(self) -> list[np.ndarray]:
        """Coordinates in units of the length, one array `(*S)` per axis."""
        s = np.arange(self.points) / self.points
        return list(np.meshgrid(*[s] * self.axes, indexing="ij"))


def solve(grid: Grid, u0: np.ndarray, params: Params, noise: np.ndarray | None = None) -> np.ndarray:
    """Trajectories from `u0 (B, C, *S)` on the solver's grid.

    `params`: name -> a number for all or (B,) values. `noise`: `(B, frames - 1, substeps, 2, 8)`, the increments of
    `ups.simulate.forcing`. Returns (B, frames, C, *S / stride), frame 0 being u0. A solver step too coarse for
    stability shows as NaN or Inf.
    """
    exact = PDES[grid.pde].exact
    thin = (..., *[slice(None, None, grid.stride)] * grid.axes)
    if exact is not None:
        return exact(u0, grid.length, grid.dt * np.arange(grid.frames), params)[thin]
    rows = tuple((name, 0 if np.ndim(params[name]) else None) for name in sorted(params))
    program = compiled(grid, rows, noise is not None)
    return np.concatenate([u0[thin][:, None], program(u0, params, noise)], axis=1)


def spin_up(grid: Grid, u0: np.ndarray, params: Params) -> np.ndarray:
    """`u0 (B, C, *S)` carried to the attractor of a PDE that has one (`Pde.spinup`), on the same grid."""
    frames = round(PDES[grid.pde].spinup / grid.dt)
    if frames == 0:
        return u0
    long = Grid(grid.pde, grid.axes, grid.length, grid.points, frames * grid.dt, 2, frames * grid.substeps)
    return solve(long, u0, params)[:, -1]


def refine(u: np.ndarray, grid: Grid) -> np.ndarray:
    """`u (B, C, *S)` of any resolution on the solver's grid."""
    return resample(u, grid.points, grid.axes)


@functools.lru_cache(maxsize=16)
def compiled(grid: Grid, rows: tuple[tuple[str, int | None], ...], forced: bool) -> Callable[..., np.ndarray]:
    """The jitted solver of one grid, numpy in and out; `rows` gives each parameter's batch axis: 0, or None."""
    jax = require_jax()
    in_axes = (0, dict(rows), 0 if forced else None)
    program = jax.jit(jax.vmap(functools.partial(_trajectory, grid), in_axes=in_axes))

    def run(u0: np.ndarray, params: Params, noise: np.ndarray | None) -> np.ndarray:
        with jax.enable_x64(True):
            values = {name: np.asarray(params[name], dtype=np.float64) for name, _ in rows}
            return np.asarray(program(np.asarray(u0, dtype=np.float64), values, noise))

    return run


def require_jax() -> Any:
    """The jax module; raises `UserError` naming the extra to install where jax or exponax is missing."""
    try:
        import exponax  # noqa: F401
        import jax
    except ImportError as error:
        raise UserError(
            f"generating data needs exponax, found no {error.name}: pip install 'universal-physics-stack[data]'"
        ) from error
    return jax


def _trajectory(grid: Grid, u0: Any, params: Params, noise: Any) -> Any:
    """Frames 1 to T - 1 of one trajectory, traced by jax: `u0 (C, *S)`, `noise (T - 1, substeps, 2, 8)` or None.

    Where the equation allows (`Pde.galilean`), it is solved in the frame that moves with the mean: the mean then does
    not count against the largest stable step.
    """
    import jax
    from jax import numpy as jnp

    pde = PDES[grid.pde]
    assert pde.stepper is not None
    stepper = pde.stepper(grid.points, grid.length, grid.dt / grid.substeps, params)
    axes, shape = tuple(range(1, grid.axes + 1)), (grid.points,) * grid.axes
    patterns = np.fft.rfft(forcing.basis(grid.points)) if noise is not None else None
    mean = u0.mean() if pde.galilean else 0.0
    drift = jnp.exp(-1j * wave_numbers(grid.points, grid.length) * mean * grid.dt) if pde.galilean else 1.0

    def step(u_hat: Any, kicks: Any) -> tuple[Any, None]:
        if kicks is None:
            return stepper.step_fourier(u_hat), None
        before, after = kicks @ patterns
        return stepper.step_fourier(u_hat + before) + after, None

    def frame(u_hat: Any, kicks: Any) -> tuple[Any, Any]:
        u_hat, _ = jax.lax.scan(step, u_hat, kicks, length=grid.substeps)
        u_hat = u_hat * drift
        u = mean + jnp.fft.irfftn(u_hat, s=shape, axes=axes)
        return u_hat, u[(slice(None), *[slice(None, None, grid.stride)] * grid.axes)]

    return jax.lax.scan(frame, jnp.fft.rfftn(u0 - mean, axes=axes), noise, length=grid.frames - 1)[1]
