"""APEBench (arXiv 2411.00180) by its own protocol: its data, its number of updates, its metric.

50 training trajectories of 50 steps, 30 test trajectories of 200 steps, 10,000 updates of batches of 20. The score is
the geometric mean over steps 1 to 100 of the nRMSE, summed over channels and averaged over the test trajectories. Two
columns: `default` is the shipped configuration, `small` has at most as many weights as the published networks.
The data come from its own package, in an environment of its own (`make bench-apebench`).
"""

from __future__ import annotations

import time
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
SCENARIOS = ("diff_burgers", "diff_ks", "diff_kdv", "diff_disp")
"""By the names of the package."""
PUBLISHED = {
    "diff_burgers": {"Conv": 0.026, "Res": 0.012, "UNet": 0.063, "Dil": 0.057, "FNO": 0.068},
    "diff_ks": {"Conv": 0.27, "Res": 0.26, "UNet": 0.19, "Dil": 0.155, "FNO": 0.54},
    "diff_kdv": {"Conv": 0.12, "Res": 0.87, "UNet": 0.095, "Dil": 0.075, "FNO": 0.21},
    "diff_disp": {"Conv": 0.03, "Res": 0.04, "UNet": 0.084, "Dil": 0.07, "FNO": 0.038},
}
"""Scores of its networks, read off its figure (within 0.005)."""
COLUMNS = {"small": ("operator.pdet.hidden_dim=24",), "default": ()}
"""Changes to the shipped configuration."""
UPDATES, BATCH, PASS, STEPS = 10_000, 20, 125, 100
"""Updates of training, samples and updates in a pass over the 50 x 50 single steps, and steps of the score."""


def cells(scale: Scale) -> list[Cell]:
    """Both columns of all scenarios; none in a short look, for which its package is not installed."""
    if scale.name != "full":
        return []
    return [
        Cell(
            "apebench",
            f"{scenario}_{column}_seed{seed}",
            Phase.TRAINING,
            {"scenario": scenario, "column": column, "seed": seed, "updates": UPDATES, "setup": _setup(changes)},
            partial(measure, scenario=scenario, seed=seed, updates=UPDATES, changes=changes),
            seconds=330.0,
        )
        for seed in scale.seeds
        for scenario in SCENARIOS
        for column, changes in COLUMNS.items()
    ]


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
    overrides = [*changes, *DATA]
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
    curve = batch_nrmse(forecast, truth[:, 1:])
    return {
        "score": float(curve.clamp_min(1e-12).log().mean().exp()),
        "step_1": float(curve[0]),
        "step_100": float(curve[-1]),
        "weights": model.parameters,
        "updates": checkpoint.load(folder / "checkpoints" / "operator_resume.pt")["tally"]["step"],
        "seconds": round(seconds, 1),
    }


DATA = (
    "data.task=null",
    'data.mapping={values: u, axes: "n t c x", length: 1.0, dt: 1.0}',
    "data.boundary=periodic",
)


def batch_nrmse(forecast: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """(n, T, C, *S) twice -> (T,): sqrt(mean_x (v - u)^2 / mean_x u^2), summed over channels, averaged over n."""
    error, size = (u.flatten(3).square().mean(-1) for u in (forecast - truth, truth))
    return (error / size).sqrt().sum(-1).mean(0)
