"""Trajectories of known PDEs, computed with a spectral solver and written in PDEBench's HDF5 layout.

Row i of a data set (its initial state, drawn parameters and forcing) depends on the seed and i alone.
"""

import importlib.metadata
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from ups.core.errors import UserError
from ups.core.settings import Settings
from ups.core.tasks import TASKS, Parameter, published_name, unknown
from ups.simulate import forcing, simulation
from ups.simulate.generated_file import channels_last, coordinates, write_hdf5
from ups.simulate.pdes import PDES
from ups.simulate.simulation import Simulation, solver_grid
from ups.simulate.solver import Grid, refine

GenerationProgress = Callable[[float, int], None]
"""Called with the trajectories that are done, the one at work as a fraction, and their number."""
SIGNED = ("beta",)
"""Parameters that may be zero or negative; all others must be positive."""


class GenerateSettings(Settings):
    """What to simulate; values left out are the defaults of the task in `ups.core.tasks.TASKS`.

    Good values: `{pde: burgers1d}` gives 1,000 trajectories of 41 frames on 256 points in well under a minute.
    """

    pde: str = "burgers1d"
    """Task to simulate: advection1d, burgers1d, forced_burgers1d, diffusion1d, fisher_kpp1d, ks1d, kdv1d,
    gray_scott2d, kolmogorov2d or swift_hohenberg3d."""
    trajectories: int = Field(default=1000, ge=1, le=10_000_000)
    """Number of trajectories; the first n of a larger set are the set of n."""
    resolution: int | None = Field(default=None, ge=4, le=2**20)
    """Points per axis."""
    frames: int | None = Field(default=None, ge=2, le=1_000_000)
    """Frames per trajectory, the initial state included."""
    dt: float | None = Field(default=None, gt=0)
    """Physical time between two frames."""
    length: float | None = Field(default=None, gt=0)
    """Extent of the periodic domain along each axis."""
    seed: int = Field(default=0, ge=0)
    """Seed of initial states, drawn parameters and forcing."""
    params: dict[str, Parameter] = Field(default_factory=dict)
    """PDE parameters by name: a number, or a range `[low, high]` (also `"low:high"`) from which each trajectory
    draws."""
    observe_every: int = Field(default=1, ge=1)
    """Store every n-th point per axis only: the rest of the state stays hidden. Must divide the resolution."""
    members: int = Field(default=0, ge=0, le=100_000)
    """For random systems: independent truths per initial state, in a second file `..._ensemble.hdf5`; 0 writes none."""
    points: int | None = Field(default=None, ge=4, le=2**20)
    """Points per axis on which the PDE is solved, a multiple of the resolution; chosen to fit the PDE if left out."""
    substeps: int | None = Field(default=None, ge=1)
    """Solver steps per frame; chosen to fit the PDE if left out."""

    @field_validator("pde")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in TASKS:
            raise ValueError(unknown(name, TASKS, "task"))
        return name

    @field_validator("params", mode="before")
    @classmethod
    def _ranges(cls, params: object) -> object:
        """Read `"low:high"`, as the command line gives it."""
        if not isinstance(params, Mapping):
            return params
        return {k: tuple(v.split(":")) if isinstance(v, str) and ":" in v else v for k, v in params.items()}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        task = TASKS[self.pde]
        for name, value in self.params.items():
            _check_parameter(self.pde, name, value)
        resolution = self.resolution or task.resolution
        if resolution % self.observe_every:
            raise ValueError(f"observe_every {self.observe_every} does not divide the resolution {resolution}")
        if self.points and self.points % resolution:
            raise ValueError(f"expected points in a multiple of the resolution {resolution}, found {self.points}")
        if PDES[task.pde].forced and self.substeps and forcing.LEVELS % self.substeps:
            raise ValueError(f"expected substeps that divide {forcing.LEVELS} with forcing, found {self.substeps}")
        if self.members and not PDES[task.pde].forced:
            raise ValueError(f"members need a random system such as forced_burgers1d, found {self.pde}")
        return self

    def resolved(self) -> Self:
        """The same settings with every value that was left out filled in from the task and the solver's rules."""
        task = TASKS[self.pde]
        resolution, length = self.resolution or task.resolution, self.length or task.length
        dt, params = self.dt or task.dt, {**task.params, **self.params}
        points, substeps = solver_grid(task.pde, params, length, resolution, dt)
        filled = {
            "resolution": resolution,
            "frames": self.frames or task.frames,
            "dt": dt,
            "length": length,
            "params": params,
            "points": self.points or points,
            "substeps": self.substeps or substeps,
        }
        return self.model_copy(update=filled)

    def simulation(self) -> Simulation:
        """The simulation these settings describe; raises no errors of its own."""
        full, task = self.resolved(), TASKS[self.pde]
        assert full.resolution and full.length and full.points and full.dt and full.frames and full.substeps
        stride = full.points // full.resolution * full.observe_every
        grid = Grid(task.pde, len(task.boundary), full.length, full.points, full.dt, full.frames, full.substeps, stride)
        return Simulation(grid, full.params, full.seed)


def generate(settings: GenerateSettings, path: Path, progress: GenerationProgress | None = None) -> Path:
    """Simulate and write `tensor (n, T, *S)`, or `(n, T, *S, C)` of several channels, to the HDF5 file `path`.

    Besides: `x-coordinate`, `t-coordinate (T,)`, drawn parameters `params/<name> (n,)`, and attributes (constant
    parameters, channels, boundary, seed, settings). `progress` hears of every chunk of trajectories on one axis, and of
    every frame on several. With `settings.members`, a second file holds `ensemble (n, M, T, *S)`, whose member 0 is
    `tensor`.
    The same settings give the same arrays, bit for bit, on the same machine. Raises `UserError` if exponax is
    missing, the solution blows up, or the file cannot be written.
    """
    runs = settings.simulation()
    n, total = settings.trajectories, settings.trajectories * (1 + settings.members)
    shape = _stored_shape(settings, runs.grid)
    report = progress or (lambda done, total: None)

    def blocks(member: int, index: Callable[[slice], Any], done: int) -> Iterator[tuple[Any, np.ndarray]]:
        for rows, values in runs.all(n, member, lambda share: report(done + share, total)):
            _require_finite(values, settings, rows)
            yield index(slice(rows.start, rows.stop)), channels_last(values, TASKS[settings.pde].channels)

    def members() -> Iterator[tuple[Any, np.ndarray]]:
        for member in range(settings.members):
            yield from blocks(member, lambda rows, m=member: (rows, m), n * (1 + member))

    described = _axes(runs.grid), _drawn(runs, n), _attributes(settings)
    write_hdf5(path, "tensor", (n, *shape), blocks(0, lambda rows: rows, 0), *described)
    if settings.members:
        write_hdf5(ensemble_path(path), "ensemble", (n, settings.members, *shape), members(), *described)
    return path


def published_path(root: Path, settings: GenerateSettings) -> Path:
    """Where `ups data generate` writes: `root` and the file name in PDEBench's naming."""
    name = Path(published_name(settings.pde, settings.params))
    hidden = f"_every{settings.observe_every}" if settings.observe_every > 1 else ""
    return root / f"{name.stem}{hidden}{name.suffix}"


def ensemble_path(path: Path) -> Path:
    """The file beside `path` that holds its ensemble of truths."""
    return path.with_name(f"{path.stem}_ensemble{path.suffix}")


def ensemble(settings: GenerateSettings, u0: np.ndarray, members: int, frames: int, seed: int) -> np.ndarray:
    """Independent truths of a randomly forced system from the same states.

    `u0 (B, X)`: physical states on the stored grid, carried to the solver's grid by trigonometric interpolation.
    Returns (B, members, frames, X) float32; frame 0 is u0. Raises `UserError` if the system is not random, is observed
    only in part, or has parameters given as ranges.
    """
    task = TASKS[settings.pde]
    if not PDES[task.pde].forced:
        raise UserError(f"an ensemble of truths needs a random system such as forced_burgers1d, found {settings.pde}")
    if settings.observe_every > 1 or any(isinstance(value, tuple) for value in settings.params.values()):
        raise UserError("an ensemble of truths needs fully observed states and constant parameters, not ranges")
    runs = settings.model_copy(update={"frames": frames, "seed": seed}).simulation()
    start = refine(np.asarray(u0, dtype=np.float64)[:, None], runs.grid)
    return np.stack([_member(runs, start, member) for member in range(members)], axis=1)


def refinement_error(settings: GenerateSettings, n: int = 4) -> float:
    """nRMSE of the first n trajectories against twice the points and half the step: `simulation.refinement_error`."""
    return simulation.refinement_error(settings.simulation(), n)


def _member(runs: Simulation, u0: np.ndarray, member: int) -> np.ndarray:
    """Member `member` of every state `u0 (B, 1, X)`, chunk by chunk; (B, T, X) float32."""
    found = []
    for rows in runs.chunks(len(u0)):
        full = [min(row, len(u0) - 1) for row in range(rows.start, rows.start + runs.chunk)]
        found.append(runs.advance(u0[full], full, member)[: len(rows), :, 0].astype(np.float32))
    return np.concatenate(found)


def _require_finite(values: np.ndarray, settings: GenerateSettings, rows: range) -> None:
    bad = np.argwhere(~np.isfinite(values).all(axis=tuple(range(2, values.ndim))))
    if len(bad):
        row, frame = bad[0]
        raise UserError(
            f"{settings.pde} became infinite in trajectory {rows.start + row} at frame {frame}: "
            "the solver's grid is too coarse, give more points or substeps"
        )


def _stored_shape(settings: GenerateSettings, grid: Grid) -> tuple[int, ...]:
    channels = TASKS[settings.pde].channels
    space = (grid.points // grid.stride,) * grid.axes
    return (grid.frames, *space, *((len(channels),) if len(channels) > 1 else ()))


def _axes(grid: Grid) -> dict[str, np.ndarray]:
    return coordinates(grid.length, grid.points, grid.stride, grid.axes, grid.dt * np.arange(grid.frames))


def _drawn(runs: Simulation, n: int) -> dict[str, np.ndarray]:
    return {name: value for name, value in runs.drawn_params(range(n)).items() if isinstance(value, np.ndarray)}


def _attributes(settings: GenerateSettings) -> dict[str, Any]:
    task, full = TASKS[settings.pde], settings.resolved()
    constants = {name: value for name, value in full.params.items() if not isinstance(value, tuple)}
    return {
        **constants,
        "task": settings.pde,
        "equation": PDES[task.pde].equation,
        "channels": list(task.channels),
        "boundary": list(task.boundary),
        "seed": settings.seed,
        "generator": f"ups {importlib.metadata.version('universal-physics-stack')}",
        "settings": full.model_dump_json(),
    }


def _check_parameter(task: str, name: str, value: Parameter) -> None:
    known = TASKS[task].params
    if name not in known:
        raise ValueError(unknown(name, known, f"{task} parameter"))
    ends = value if isinstance(value, tuple) else (value,)
    if not all(math.isfinite(end) and (end > 0 or name in SIGNED) for end in ends):
        raise ValueError(f"expected a positive number for {name}, found {value}")
    if ends[0] > ends[-1]:
        raise ValueError(f"expected a range low:high for {name}, found {value}")
