"""Speed on one thread: training, compilation and precision, rollouts, and the start of the program.

Models are untrained, since only time counts. What is compared is measured in turn, and the median is kept.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.cells import Cell, Phase, records
from bench.classical import runs_of
from bench.contenders import CONTENDERS, LATENT, Contender
from bench.peers import MINUTES
from bench.problems import MAIN, PROBLEMS, opened
from bench.results import chosen, mean, results, whole
from bench.scale import Place, Scale
from ups.data.dataset import Dataset
from ups.evaluation.breakeven import SolverRun, solver_at
from ups.evaluation.forecaster import Forecaster
from ups.evaluation.forecasters import SurrogateForecaster
from ups.models.latent_operator import LatentModel
from ups.peers.forecaster import PeerForecaster
from ups.peers.one_step import ResidualForecaster
from ups.simulate.coarse import coarse_solution
from ups.surrogate.surrogate import Surrogate
from ups.tracking.training_logger import TrainingLogger
from ups.training.loop import Trainer
from ups.training.stage import Progress

UPS = CONTENDERS["ups"].on(MAIN)
MODELS = {"ups": UPS, "fno": CONTENDERS["fno"], "unet": CONTENDERS["unet"]}
STEPS = 4
"""Optimizer steps in one measurement."""
START = Progress(0, 0.0, 0.0)
BATCHES = (1, 64)
"""Trajectories that a rollout is timed with."""
LONG = 3600.0
"""Seconds of a training of which only the start is taken."""
FORECAST = 10
"""Steps of these rollouts."""


def cells(scale: Scale) -> list[Cell]:
    """One cell for each question."""
    work = {
        "training": (_training, 60),
        "compilation and precision": (_variants, 180),
        "rollout": (_rollout, 60),
        "start": (_start, 30),
    }
    settings = {"scale": scale.name, "repeats": scale.repeats, "setup": UPS.settings()}
    return [
        Cell(
            "speed", name.replace(" ", "-"), Phase.ALONE, {"what": name, **settings}, partial(function, scale), seconds
        )
        for name, (function, seconds) in work.items()
    ]


def in_turn(works: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each of several works, done in turn after one that is not timed."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for round_ in range(repeats + 1):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            if round_:
                times[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in times.items()}


def trainer_of(contender: Contender, data: Dataset, folder: Path) -> Trainer:
    """A model at the start of its training, where it takes single steps."""
    settings, log = contender.stage(LONG), TrainingLogger(folder / "log.jsonl")
    stage = contender.build(data, LONG, 0, folder)
    return Trainer(stage, settings, contender.training, folder, log, 0, torch.device("cpu"))


def loop_steps(trainer: Trainer) -> Callable[[], None]:
    """A few steps of the loop, and the next few at every further call."""
    batches = trainer.stage.batches(0)

    def work() -> None:
        for _ in range(STEPS):
            trainer.next_step(batches, {})

    return work


def bare_steps(trainer: Trainer) -> Callable[[], None]:
    """The same steps as a loop of forward, backward and optimizer alone, on a batch that is there already."""
    batch = next(trainer.stage.batches(0))

    def work() -> None:
        for _ in range(STEPS):
            with trainer.precision.autocast():
                loss = trainer.stage.loss(trainer.model, batch, START)["loss"]
            loss.backward()
            for each in trainer.optimizers:
                each.step()
                each.zero_grad(set_to_none=True)

    return work


def flops(trainer: Trainer) -> int:
    """Operations of matrix products and convolutions in forward and backward of one batch; an FFT counts nothing."""
    batch = next(trainer.stage.batches(0))
    with FlopCounterMode(display=False) as counter:
        trainer.stage.loss(trainer.model, batch, START)["loss"].backward()
    trainer.model.zero_grad(set_to_none=True)
    return counter.get_total_flops()


def matmul_gflops(repeats: int, dtype: torch.dtype, n: int = 1024) -> float:
    """Billions of operations a second of a product of two matrices (n, n)."""
    a, b = torch.rand(n, n, dtype=dtype), torch.rand(n, n, dtype=dtype)
    return 2 * n**3 / in_turn({"": lambda: a @ b}, repeats)[""] / 1e9


def _training(scale: Scale, place: Place, folder: Path) -> dict[str, Any]:
    """Steps a second of the loop, the share that is no forward, backward or optimizer, and arithmetic speed."""
    data = opened(place, MAIN, scale)
    found = {}
    for name, contender in MODELS.items():
        trainer = trainer_of(contender, data, folder)
        dtype = trainer.precision.dtype or torch.float32
        works = {"loop": loop_steps(trainer), "bare": bare_steps(trainer)}
        seconds, batch = in_turn(works, scale.repeats), next(trainer.stage.batches(0)).size
        found[name] = {
            "steps_per_second": STEPS / seconds["loop"],
            "samples_per_second": batch * STEPS / seconds["loop"],
            "overhead": 1 - seconds["bare"] / seconds["loop"],
            "gflops": flops(trainer) * STEPS / seconds["bare"] / 1e9,
            "matmul_gflops": matmul_gflops(scale.repeats, dtype),
            "precision": str(dtype).removeprefix("torch."),
        }
    return {"models": found, "data": data.describe()}


def _variants(scale: Scale, place: Place, folder: Path) -> dict[str, Any]:
    """Milliseconds of a training step of UPS in float32, the same compiled, and in bfloat16."""
    data = opened(place, MAIN, scale)
    full, half = (UPS.changed(f"training.amp={amp}") for amp in ("false", "bf16"))
    trainers = {name: trainer_of(full, data, folder) for name in ("float32", "float32, compiled")}
    trainers["float32, compiled"].model.compile()
    trainers["bfloat16"] = trainer_of(half, data, folder)
    works = {name: loop_steps(trainer) for name, trainer in trainers.items()}
    seconds = in_turn(works, scale.repeats)
    return {"ms_per_step": {name: 1e3 * value / STEPS for name, value in seconds.items()}, "data": data.describe()}


def _rollout(scale: Scale, place: Place, folder: Path) -> dict[str, Any]:
    """Milliseconds of one step of one trajectory in a free rollout, beside the solver at about the error of UPS."""
    data = opened(place, MAIN, scale)
    trainers = {name: trainer_of(contender, data, folder) for name, contender in MODELS.items()}
    swept = {
        k: v for r in records(place, "classical") if r["settings"]["problem"] == MAIN for k, v in runs_of(r).items()
    }
    solver = matched_solver(place, list(swept))
    found: dict[str, dict[str, float]] = {}
    for batch in BATCHES:
        u0, params = data.test.trajectories(0, 1)[:, 0].expand(batch, -1, -1), data.test.params[:1].expand(batch, -1)
        works: dict[str, Callable[[], object]] = {}
        for name, trainer in trainers.items():
            for label, forecaster in forecasters(name, trainer, batch).items():
                works[label] = partial(forecaster.rollout, u0[:, None], 0, FORECAST, params, 1, 0)
        for name, seconds in in_turn(works, scale.repeats).items():
            found.setdefault(name, {})[str(batch)] = 1e3 * seconds / FORECAST / batch
        if solver:
            times = [solver_seconds(data, batch, swept[solver]) for _ in range(scale.repeats)]
            found.setdefault("solver", {})[str(batch)] = 1e3 * statistics.median(times)
    return {"ms_per_trajectory_step": found, "solver": asdict(solver) if solver else None, "data": data.describe()}


def matched_solver(place: Place, runs: Sequence[SolverRun]) -> SolverRun | None:
    """The cheapest run of the solver that is at least as accurate as UPS, the mean over its seeds, or the most accurate
    one if none is; None before these are measured."""
    error = mean([r.error() for r in chosen(whole(results(place)), problem=MAIN, model="ups", minutes=MINUTES)])
    if error is None:
        return None
    return solver_at(error, runs) or min(runs, key=lambda run: run.error, default=None)


def solver_seconds(data: Dataset, batch: int, run: Mapping[str, Any]) -> float:
    """Seconds that the solver takes for one frame of one of `batch` trajectories at once."""
    u0, times = data.test.trajectories(0, 1)[:, 0].expand(batch, -1, -1), data.system.dt * np.arange(FORECAST + 1)
    params, length = PROBLEMS[MAIN].params, float(data.system.extent[0])
    return coarse_solution(data.system.task, u0.numpy(), times, params, run["points"], run["substeps"], length)[1]


def forecasters(name: str, trainer: Trainer, batch: int) -> dict[str, Forecaster]:
    """A model's forecasters by name; UPS in both spaces."""
    model = trainer.model.eval()
    if isinstance(model, ResidualForecaster):
        return {name: PeerForecaster(model, 0.0, batch)}
    assert isinstance(model, LatentModel)
    surrogate = Surrogate(model)
    spaces = {name: "field", f"{name} ({LATENT})": "latent"}
    return {label: SurrogateForecaster(surrogate, space, batch=batch) for label, space in spaces.items()}


def _start(scale: Scale, place: Place, folder: Path) -> dict[str, Any]:
    """Seconds from the command `ups --help` to its end."""
    command = [sys.executable, "-c", "from ups.cli import main; main()", "--help"]
    work = partial(subprocess.run, command, check=True, capture_output=True)
    return {"help_seconds": in_turn({"ups --help": work}, scale.repeats)["ups --help"]}
