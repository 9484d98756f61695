"""A small real run: generated-like data on disk and a config, quick enough to train in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml
from torch import nn


class Hiding(nn.Module):
    """A module around another through which nothing of it can be reached but its call, as around a distributed one."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.module = inner

    def forward(self, *given: Any, **options: Any) -> Any:
        return self.module(*given, **options)


PLAIN: dict[str, Any] = {"optimizer": {"name": "adamw", "lr": 1e-3}, "scheduler": {"warmup_steps": 0}}
"""A stage that learns from its first step on, however few it has."""


def advection(folder: Path, trajectories: int = 16, frames: int = 9, points: int = 32) -> Path:
    """Travelling waves in PDEBench's layout, `1D_Advection_Sols_beta0.4.hdf5`."""
    rng = np.random.default_rng(0)
    x, t = np.arange(points) / points, 0.05 * np.arange(frames)
    phase, amplitude = rng.uniform(0, 2 * np.pi, (trajectories, 1, 1)), rng.uniform(0.5, 1.5, (trajectories, 1, 1))
    u = amplitude * np.sin(2 * np.pi * (x - 0.4 * t[:, None]) + phase)
    path = folder / "1D_Advection_Sols_beta0.4.hdf5"
    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["tensor"], file["x-coordinate"] = u.astype(np.float32), x.astype(np.float32)
        file["t-coordinate"] = np.append(t, t[-1] + 0.05).astype(np.float32)
    return path


def config(folder: Path, **sections: dict[str, Any]) -> Path:
    """A config beside its data; `sections` are merged into it, one level deep."""
    advection(folder / "data")
    settings: dict[str, dict[str, Any]] = {
        "data": {"task": "advection1d", "root": str(folder / "data")},
        "latent": {"dim": 8, "tokens": 8, "width": 8},
        "operator": {"pdet": {"hidden_dim": 16, "depths": [1], "num_heads": 2, "group_size": 8, "spectral_modes": 0}},
        "training": {
            "batch_size": 8,
            "steps_per_epoch": 6,
            "ema_decay": 0.9,
            "lambda_latent": 0.1,
            "latent_measure": "squared",
            "lambda_rollout": 1.0,
            "rollout_horizon": 2,
        },
        "stages": {
            "autoencoder": {"epochs": 1, **PLAIN},
            "operator": {"epochs": 3, **PLAIN, "optimizer": {"name": "muon", "lr": 3e-3}},
        },
        "evaluation": {"bootstrap": 100, "pictures": False},
        "run": {"dir": str(folder / "run"), "threads": 1, "device": "cpu"},
    }
    for name, section in sections.items():
        settings.setdefault(name, {}).update(section)
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path
