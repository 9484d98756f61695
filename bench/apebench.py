"""APEBench (arXiv 2411.00180) by its own protocol: its data, its number of updates, its metric.

50 training trajectories of 50 steps, 30 test trajectories of 200 steps, 10,000 updates of batches of 20. The score is
the geometric mean over steps 1 to 100 of the nRMSE, summed over channels and averaged over the test trajectories. Two
columns: `default` is the shipped configuration, `small` has at most as many weights as the published networks. A third
is a network of its own, trained and scored by its own code: the calibration of the comparison.
The data come from its own package, in an environment of its own (`make bench-apebench`).
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.cells import Cell, Phase
from bench.scale import Place, Scale
from ups.config import load_config
from ups.run.train import train
from ups.surrogate.surrogate import Surrogate
from ups.training import checkpoint

CONFIG = Path(__file__).parent / "ups.yaml"
"""The shipped defaults."""
ENVIRONMENT = Path(".venv-apebench")
"""Where its package is installed."""
SCENARIOS = ("diff_burgers", "diff_ks", "diff_kdv", "diff_disp", "2d_diff_ks")
"""By the names of the package; 160 points in 1D, 32 x 32 in 2D."""
PUBLISHED = {
    "diff_burgers": {"Conv": 0.026, "Res": 0.012, "UNet": 0.063, "Dil": 0.057, "FNO": 0.068},
    "diff_ks": {"Conv": 0.27, "Res": 0.26, "UNet": 0.19, "Dil": 0.155, "FNO": 0.54},
    "diff_kdv": {"Conv": 0.12, "Res": 0.87, "UNet": 0.095, "Dil": 0.075, "FNO": 0.21},
    "diff_disp": {"Conv": 0.03, "Res": 0.04, "UNet": 0.084, "Dil": 0.07, "FNO": 0.038},
    "2d_diff_ks": {"Conv": 0.48, "Res": 0.45, "UNet": 0.33, "Dil": 0.29, "FNO": 0.30},
}
"""Scores of its networks, read off its figure (within 0.005)."""
COLUMNS = ("small", "default")
SMALL = {
    1: ("operator.pdet.hidden_dim=24",),
    2: ("operator.pdet.hidden_dim=20", "operator.pdet.growth=1", "operator.pdet.filter_modes=7"),
}
"""Changes to the shipped configuration by the number of axes."""
NETWORKS = {"diff_ks": {"Dil": "Dil;2;32;2;relu"}}
"""Networks of the package that are trained here, by scenario and by their names in its figure."""
UPDATES, BATCH, PASS, STEPS = 10_000, 20, 125, 100
"""Updates of training, samples and updates in a pass over the 50 x 50 single steps, and steps of the score."""


def cells(scale: Scale) -> list[Cell]:
    """Both columns of all scenarios, and networks of the package; none in a short look, for which it is not
    installed."""
    if scale.name != "full":
        return []
    return [cell for seed in scale.seeds for scenario in SCENARIOS for cell in _cells(scenario, seed)]


def _cells(scenario: str, seed: int) -> list[Cell]:
    named = {"scenario": scenario, "seed": seed, "updates": UPDATES}
    own = [
        Cell(
            "apebench",
            f"{scenario}_{column}_seed{seed}",
            Phase.TRAINING,
            {**named, "column": column, "setup": _setup(changes_of(scenario, column))},
            partial(measure, scenario=scenario, seed=seed, updates=UPDATES, changes=changes_of(scenario, column)),
            330.0 if axes_of(scenario) == 1 else 1500.0,
        )
        for column in COLUMNS
    ]
    return own + [
        Cell(
            "apebench",
            f"{scenario}_{name}_seed{seed}",
            Phase.TRAINING,
            {**named, "column": name, "network": network},
            partial(measure_network, scenario=scenario, network=network, seed=seed),
            600.0,
        )
        for name, network in NETWORKS.get(scenario, {}).items()
    ]


def axes_of(scenario: str) -> int:
    """Axes of a scenario's grid."""
    return int(scenario[0]) if scenario[1:3] == "d_" else 1


def changes_of(scenario: str, column: str) -> tuple[str, ...]:
    """What a column changes of the shipped configuration."""
    return SMALL[axes_of(scenario)] if column == "small" else ()


def _setup(changes: tuple[str, ...]) -> dict[str, Any]:
    """The settings that decide a result, as plain values."""
    config = load_config(CONFIG, changes)
    found = config.model_dump(mode="json", include={"latent", "operator", "training"})
    return found | {"stage": config.stages.of("operator").model_dump(mode="json")}


def measure(
    place: Place, folder: Path, *, scenario: str, seed: int, updates: int, changes: tuple[str, ...]
) -> dict[str, Any]:
    """Trains on a scenario and scores the free rollout of its test trajectories.

    The best epoch is chosen on five of the training trajectories, so that no other data are seen.
    """
    data = place.data / "apebench"
    files = {"train": "train", "validation": "first", "test": "last"}
    overrides = [*changes, *_data(axes_of(scenario))]
    overrides += [f"data.files.{split}=[{data / scenario}_{part}.npz]" for split, part in files.items()]
    overrides += [
        f"training.batch_size={BATCH}",
        f"training.steps_per_epoch={PASS}",
        "stages.operator.validate_every=4",
    ]
    overrides += [f"stages.operator.epochs={updates // PASS}", f"run.seed={seed}", f"run.dir={folder}"]
    began = time.perf_counter()
    train(load_config(CONFIG, overrides), "operator")
    model, seconds = Surrogate.load(folder), time.perf_counter() - began
    truth = torch.from_numpy(np.load(f"{data / scenario}_test.npz")["u"])[:, : STEPS + 1].float()
    forecast = model.rollout(truth[:, 0], STEPS).values[:, 0]
    return {
        **own_score(batch_nrmse(forecast, truth[:, 1:]).tolist()),
        "weights": model.parameters,
        "updates": checkpoint.load(folder / "checkpoints" / "operator_resume.pt")["tally"]["step"],
        "seconds": round(seconds, 1),
    }


def _data(axes: int) -> list[str]:
    """How its arrays are read."""
    mapping = f'{{values: u, axes: "n t c {" ".join("xyz"[:axes])}", length: 1.0, dt: 1.0}}'
    return ["data.task=null", f"data.mapping={mapping}", "data.boundary=periodic"]


def measure_network(place: Place, folder: Path, *, scenario: str, network: str, seed: int) -> dict[str, Any]:
    """Trains and scores a network of the package by its own code, in its environment."""
    program = [str(ENVIRONMENT / "bin" / "python"), "-P", "bench/apebench_network.py", scenario, network, str(seed)]
    done = subprocess.run(program, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return own_score(found.pop("curve")) | found


def own_score(curve: Sequence[float]) -> dict[str, float]:
    """Scores of the mean nRMSE of steps 1, 2, ...: geometric mean of the first `STEPS`, and both ends of them."""
    within = torch.tensor(curve[:STEPS], dtype=torch.double).clamp_min(1e-12)
    return {"score": float(within.log().mean().exp()), "step_1": curve[0], "step_100": curve[STEPS - 1]}


def batch_nrmse(forecast: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """(n, T, C, *S) twice -> (T,): sqrt(mean_x (v - u)^2 / mean_x u^2), summed over channels, averaged over n."""
    error, size = (u.flatten(3).square().mean(-1) for u in (forecast - truth, truth))
    return (error / size).sqrt().sum(-1).mean(0)
