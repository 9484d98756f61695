"""A reproducible set of simulated trajectories, any rows of which can be computed on their own."""

import dataclasses
import itertools
import math
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ups.core.tasks import Parameter
from ups.simulate import forcing
from ups.simulate.pdes import PDES
from ups.simulate.solver import Grid, Report, refine, solve, spin_up, spin_up_frames

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

    def initial(self, rows: Sequence[int], report: Report | None = None) -> np.ndarray:
        """Initial states on the solver's grid, after the spin-up; (B, C, *S) float64."""
        draw, mesh = PDES[self.grid.pde].initial, self.grid.mesh()
        u0 = np.stack([draw(_rng(self.seed, row, STATE), mesh) for row in rows])
        return spin_up(self.grid, u0, self.drawn_params(rows), report)

    @property
    def steps(self) -> int:
        """Frames that are computed for a trajectory one by one, those of the spin-up included; 0 where a whole
        trajectory is computed at once."""
        return spin_up_frames(self.grid) + self.grid.frames - 1 if self.grid.axes > 1 else 0

    def run(self, rows: range, member: int = 0, report: Report | None = None) -> np.ndarray:
        """Trajectories of `rows` (at most `chunk`, starting at a multiple of it), (B, T, C, *S) as recorded, float64.

        A last, incomplete chunk is computed as a full one, so that no row depends on how many others were asked for.
        """
        full = range(rows.start, rows.start + self.chunk)
        return self.advance(self.initial(full, report), full, member, report)[: len(rows)]

    def all(self, n: int, member: int, report: Callable[[float], None]) -> Iterator[tuple[range, np.ndarray]]:
        """Rows and trajectories of the first n, chunk by chunk in order; where frames come one by one, on all cores.

        `report` hears how many trajectories are done, fractions included. What ends the iteration, Ctrl-C above all,
        ends the chunks at work after the frame that they are at.
        """
        if not self.steps:
            for rows in self.chunks(n):
                yield rows, self.run(rows, member)
                report(rows.stop)
            return
        tally, chunks = _Tally(self.steps, report), self.chunks(n)
        with ThreadPoolExecutor(cores()) as pool:

            def submit(rows: range) -> tuple[range, Future[np.ndarray]]:
                return rows, pool.submit(self.run, rows, member, tally.of(rows))

            jobs = deque(map(submit, itertools.islice(chunks, 2 * cores())))
            try:
                while jobs:
                    rows, job = jobs.popleft()
                    jobs.extend(map(submit, itertools.islice(chunks, 1)))
                    yield rows, job.result()
            finally:
                tally.stopped = True
                pool.shutdown(wait=True, cancel_futures=True)

    def advance(self, u0: np.ndarray, rows: Sequence[int], member: int = 0, report: Report | None = None) -> np.ndarray:
        """Trajectories from `u0 (B, C, *S)` on the solver's grid with the parameters and forcing of `rows`."""
        params, grid, noise = self.drawn_params(rows), self.grid, None
        if PDES[grid.pde].forced:
            rngs = [_rng(self.seed, row, FORCING + member) for row in rows]
            noise = forcing.increments(rngs, params, grid.length, grid.dt, grid.frames, grid.substeps)
        return solve(grid, u0, params, noise, report)

    def refined(self) -> "Simulation":
        """The same simulation with twice the points and half the step, recorded at the same places and times."""
        grid = self.grid
        return dataclasses.replace(
            self,
            grid=dataclasses.replace(grid, points=2 * grid.points, substeps=2 * grid.substeps, stride=2 * grid.stride),
        )


class _Tally:
    """Counts the trajectories that several threads have computed, and stops these threads."""

    def __init__(self, steps: int, report: Callable[[float], None]):
        self.steps, self.report, self.done = steps, report, 0.0
        self.lock, self.stopped = threading.Lock(), False

    def of(self, rows: range) -> Report:
        """What hears of the frames of some rows."""

        def frames(count: int) -> None:
            if self.stopped:
                raise CancelledError
            with self.lock:
                self.done += len(rows) * count / self.steps
                self.report(self.done)

        return frames


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
