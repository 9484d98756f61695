"""Batched spectral solution of the PDEs in `ups.simulate.pdes`, in single precision where that is exact enough."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
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


Report = Callable[[int], None]
"""Called with the number of frames of a batch that are new; what it raises ends the solution."""


def solve(
    grid: Grid, u0: np.ndarray, params: Params, noise: np.ndarray | None = None, report: Report | None = None
) -> np.ndarray:
    """Trajectories from `u0 (B, C, *S)` on the solver's grid.

    `params`: name -> a number for all or (B,) values. `noise`: `(B, frames - 1, substeps, 2, 8)`, the increments of
    `ups.simulate.forcing`. Returns (B, frames, C, *S / stride), frame 0 being u0. A solver step too coarse for
    stability shows as NaN or Inf.
    """
    exact, thin = PDES[grid.pde].exact, (..., *[slice(None, None, grid.stride)] * grid.axes)
    if exact is not None:
        return exact(u0, grid.length, grid.dt * np.arange(grid.frames), params)[thin]
    return np.concatenate([u0[thin][:, None], *advances(grid, u0, params, noise, report)], axis=1)


def advances(
    grid: Grid, u0: np.ndarray, params: Params, noise: np.ndarray | None, report: Report | None = None
) -> Iterator[np.ndarray]:
    """The frames after `u0 (B, C, *S)`, (B, n, C, *S / stride) at a time: all at once on one axis, and one by one on
    several, where a frame takes long enough to be waited for and interrupted."""
    rows = tuple((name, 0 if np.ndim(params[name]) else None) for name in sorted(params))
    count = grid.frames - 1 if grid.axes == 1 else 1
    program, state = compiled(replace(grid, frames=count + 1), rows, noise is not None), None
    for first in range(0, grid.frames - 1, count):
        kicks = None if noise is None else noise[:, first : first + count]
        state, frames = program(u0, state, params, kicks)
        yield frames
        if report is not None:
            report(count)


def spin_up(grid: Grid, u0: np.ndarray, params: Params, report: Report | None = None) -> np.ndarray:
    """`u0 (B, C, *S)` carried to the attractor of a PDE that has one (`Pde.spinup`), on the same grid."""
    frames = spin_up_frames(grid)
    if frames == 0:
        return u0
    if grid.axes == 1:  # one long frame
        whole = replace(grid, dt=frames * grid.dt, frames=2, substeps=frames * grid.substeps, stride=1)
        return solve(whole, u0, params)[:, -1]
    for u in advances(replace(grid, frames=frames + 1, stride=1), u0, params, None, report):
        u0 = u[:, -1]
    return u0


def spin_up_frames(grid: Grid) -> int:
    """Frames that a trajectory runs before it is recorded."""
    return round(PDES[grid.pde].spinup / grid.dt)


def refine(u: np.ndarray, grid: Grid) -> np.ndarray:
    """`u (B, C, *S)` of any resolution on the solver's grid."""
    return resample(u, grid.points, grid.axes)


@functools.lru_cache(maxsize=16)
def compiled(grid: Grid, rows: tuple[tuple[str, int | None], ...], forced: bool) -> Callable[..., Any]:
    """The jitted solver of all frames of a grid; `rows` gives each parameter's batch axis: 0, or None.

    It takes u0 (B, C, *S), the spectra that it left with the frames before (None at first, and then only of u0's mean),
    parameters and noise, and returns new spectra and the frames (B, T - 1, C, *S / stride) as numpy.
    """
    jax = require_jax()
    double = not PDES[grid.pde].single
    in_axes = (0, 0, dict(rows), 0 if forced else None)
    start = jax.jit(jax.vmap(functools.partial(_spectrum, grid)))
    advance = jax.jit(jax.vmap(functools.partial(_trajectory, grid), in_axes=in_axes))

    def run(u0: np.ndarray, state: Any, params: Params, noise: np.ndarray | None) -> tuple[Any, np.ndarray]:
        with jax.enable_x64(double):
            real = np.float64 if double else np.float32
            u0 = np.asarray(u0, dtype=real)
            values = {name: np.asarray(params[name], dtype=real) for name, _ in rows}
            state, frames = advance(start(u0) if state is None else state, u0, values, noise)
            return state, np.asarray(frames)

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


def _spectrum(grid: Grid, u0: Any) -> Any:
    """The spectrum of `u0 (C, *S)` in the frame in which it is solved."""
    from jax import numpy as jnp

    return jnp.fft.rfftn(u0 - _mean(grid, u0), axes=tuple(range(1, grid.axes + 1)))


def _mean(grid: Grid, u0: Any) -> Any:
    """What moves the frame in which `u0 (C, *S)` is solved: where the equation allows (`Pde.galilean`) its mean, which
    then does not count against the largest stable step."""
    return u0.mean() if PDES[grid.pde].galilean else 0.0


def _trajectory(grid: Grid, u_hat: Any, u0: Any, params: Params, noise: Any) -> tuple[Any, Any]:
    """Frames 1 to T - 1 after the spectrum `u_hat`, traced by jax, and their last spectrum.

    `u0 (C, *S)` is the initial state; `noise (T - 1, substeps, 2, 8)` or None.
    """
    import jax
    from jax import numpy as jnp

    pde = PDES[grid.pde]
    assert pde.stepper is not None
    stepper = pde.stepper(grid.points, grid.length, grid.dt / grid.substeps, params)
    axes, shape = tuple(range(1, grid.axes + 1)), (grid.points,) * grid.axes
    patterns = np.fft.rfft(forcing.basis(grid.points)) if noise is not None else None
    mean = _mean(grid, u0)
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
        if pde.growing and grid.axes > 1:  # no field has these parts of a half spectrum, so nothing stops their growth
            u_hat = jnp.fft.rfftn(u - mean, axes=axes)
        return u_hat, u[(slice(None), *[slice(None, None, grid.stride)] * grid.axes)]

    return jax.lax.scan(frame, u_hat, noise, length=grid.frames - 1)
