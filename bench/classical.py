"""The classical solver on coarser grids and with larger steps: error against cost, beside persistence."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.cells import Cell, Phase
from bench.contenders import scores
from bench.problems import PROBLEMS, opened
from bench.scale import Place, Scale
from ups.data.dataset import Dataset
from ups.evaluation.breakeven import SolverRun
from ups.evaluation.physics import CoarseSolver
from ups.metrics import compare, nrmse
from ups.simulate.coarse import coarse_solution

COARSER = (1, 2, 4, 8)
"""By how much the grid is coarser than the data's; none is finer."""
STEPS = (1 / 16, 1 / 8, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Solver steps per frame over what the rule of the equation takes on that grid."""


def cells(scale: Scale) -> list[Cell]:
    """One sweep for each problem."""
    return [
        Cell(
            "classical",
            problem,
            Phase.ALONE,
            {"problem": problem, "coarser": list(COARSER), "steps": list(STEPS), "scale": scale.name},
            partial(_sweep, problem, scale),
            120,
        )
        for problem in scale.problems
    ]


def _sweep(problem: str, scale: Scale, place: Place, folder: Path) -> dict[str, Any]:
    data = opened(place, problem, scale)
    runs = [
        solver_run(data, problem, data.system.shape[0] // coarser, share)
        for coarser in COARSER
        for share in STEPS
        if data.system.shape[0] // coarser >= 8
    ]
    distinct = {(run["points"], run["substeps"]): run for run in runs}
    return {"runs": list(distinct.values()), "scores": scores({}, data, 0, folder), "data": data.describe()}


def runs_of(sweep: Mapping[str, Any]) -> dict[SolverRun, Mapping[str, Any]]:
    """The runs of a result of this benchmark that stayed finite, with their names, and what was measured of each."""
    return {
        SolverRun(f"{run['points']} points, {run['substeps']} steps a frame", run["nrmse"], run["seconds"]): run
        for run in sweep["runs"]
        if run["nrmse"] is not None
    }


def solver_run(data: Dataset, problem: str, points: int, share: float) -> dict[str, Any]:
    """Error of the free rollout from frame 0 and seconds per forecast of one trajectory, on one grid with one step."""
    system, params = data.system, PROBLEMS[problem].params
    substeps = max(1, round(share * CoarseSolver(system, points).substeps(params)))
    truth = data.test.trajectories(0, data.test.n)
    times = system.dt * np.arange(data.test.frames)
    values, seconds = coarse_solution(
        system.task, truth[:, 0].numpy(), times, params, points, substeps, float(system.extent[0])
    )
    error = float(nrmse(compare(truth[:, 1:], torch.from_numpy(values)[:, 1:], data.statistics.std)))
    return {
        "points": points,
        "substeps": substeps,
        "nrmse": error if np.isfinite(error) else None,
        "seconds": seconds * (data.test.frames - 1),
    }
