"""A reproducible set of simulated trajectories, any rows of which can be computed on their own."""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ups.core.tasks import Parameter
from ups.simulate import forcing
from ups.simulate.pdes import PDES
from ups.simulate.solver import Grid, refine, solve, spin_up

STATE, PARAMETERS, FORCING = 0, 1, 2
"""Streams of random numbers of one row; member m of an ensemble is forced by stream FORCING + m."""


@dataclass(frozen=True)
class Simulation:
    """What to solve and from which random draws; row i depends on the seed and i alone."""

    grid: Grid
    params: Mapping[str, Parameter]
    seed: int

    @property
    def chunk(self) -> int:
        """Rows solved together: few enough for the processor's cache, and the same however many are asked for."""
        return max(1, min(16, 2**17 // self.grid.points**self.grid.axes))

    def chunks(self, rows: int) -> Iterator[range]:
        """The rows 0..rows-1 in groups of `chunk`."""
        return (range(start, min(start + self.chunk, rows)) for start in range(0, rows, self.chunk))

    def drawn_params(self, rows: Sequence[int]) -> dict[str, float | np.ndarray]:
        """Every parameter: a number where constant, (B,) values drawn uniformly where a range was given."""
        rngs = [_rng(self.seed, row, PARAMETERS) for row in rows]
        values: dict[str, float | np.ndarray] = {}
        for name, value in sorted(self.params.items()):
            uniform = np.array([rng.random() for rng in rngs])
            values[name] = value[0] + (value[1] - value[0]) * uniform if isinstance(value, tuple) else float(value)
        return values

    def initial(self, rows: Sequence[int]) -> np.ndarray:
        """Initial states on the solver's grid, after the spin-up; (B, C, *S) float64."""
        draw, mesh = PDES[self.grid.pde].initial, self.grid.mesh()
        u0 = np.stack([draw(_rng(self.seed, row, STATE), mesh) for row in rows])
        return spin_up(self.grid, u0, self.drawn_params(rows))

    def run(self, rows: range, member: int = 0) -> np.ndarray:
        """Trajectories of `rows` (at most `chunk`, starting at a multiple of it), (B, T, C, *S) as recorded, float64.

        A last, incomplete chunk is computed as a full one, so that no row depends on how many others were asked for.
        """
        full = range(rows.start, rows.start + self.chunk)
        return self.advance(self.initial(full), full, member)[: len(rows)]

    def advance(self, u0: np.ndarray, rows: Sequence[int], member: int = 0) -> np.ndarray:
        """Trajectories from `u0 (B, C, *S)` on the solver's grid with the parameters and forcing of `rows`."""
        params, grid, noise = self.drawn_params(rows), self.grid, None
        if PDES[grid.pde].forced:
            rngs = [_rng(self.seed, row, FORCING + member) for row in rows]
            noise = forcing.increments(rngs, params, grid.length, grid.dt, grid.frames, grid.substeps)
        return solve(grid, u0, params, noise)

    def refined(self) -> "Simulation":
        """The same simulation with twice the points and half the step, recorded at the same places and times."""
        grid = self.grid
        return dataclasses.replace(
            self,
            grid=dataclasses.replace(grid, points=2 * grid.points, substeps=2 * grid.substeps, stride=2 * grid.stride),
        )


def solver_grid(
    pde: str, params: Mapping[str, Parameter], length: float, resolution: int, dt: float
) -> tuple[int, int]:
    """Points per axis, `resolution` times a power of two, and steps per frame that solve `pde` to an error below 1e-3.

    Ranges of parameters count with their hardest corner.
    """
    rule = PDES[pde]
    values = [value if isinstance(value, tuple) else (value,) for value in params.values()]
    corners = [dict(zip(params, corner, strict=True)) for corner in itertools.product(*values)]
    spacing = min(rule.spacing(corner, length) for corner in corners)
    points = resolution * 2 ** max(0, math.ceil(math.log2(length / spacing / resolution) - 1e-9))
    step = min(rule.step(corner, length / points) for corner in corners)
    substeps = max(1, math.ceil(dt / step - 1e-9))
    return points, min(2 ** math.ceil(math.log2(substeps)), forcing.LEVELS // 2) if rule.forced else substeps


def refinement_error(simulation: Simulation, rows: int) -> float:
    """nRMSE of the first `rows` trajectories against the refined simulation from the same initial states.

    Mean over rows and frames (the first excluded) of `rms(v - u) / rms(u)`, of the worst channel.
    """
    fine, which = simulation.refined(), range(rows)
    u0 = simulation.initial(which)
    smooth = PDES[simulation.grid.pde].spinup > 0
    v = simulation.advance(u0, which)[:, 1:]
    u = fine.advance(refine(u0, fine.grid) if smooth else fine.initial(which), which)[:, 1:]
    space = tuple(range(3, u.ndim))
    ratios = np.sqrt(np.mean((v - u) ** 2, axis=space) / np.mean(u**2, axis=space))
    return float(ratios.mean(axis=(0, 1)).max())


def _rng(seed: int, row: int, stream: int) -> np.random.Generator:
    return np.random.default_rng([seed, row, stream])
