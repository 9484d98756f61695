"""Fields that vanish, stand still or never change are trained on and scored like any others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from ups.config import load_config
from ups.data.dataset import open_dataset
from ups.run.train import run
from ups.surrogate.surrogate import Surrogate

X, T = np.arange(32) / 32, 0.05 * np.arange(11)[:, None]


def scores_of(folder: Path, **fields: np.ndarray) -> dict[str, Any]:
    """What `metrics.json` holds after a short run on channels `(n, T, X)`."""
    arrays: dict[str, Any] = {**fields, "x": X, "t": T[:, 0]}
    np.savez(folder / "data.npz", **arrays)
    mapping = {"values": list(fields), "coords": ["x"], "times": "t"}
    config: dict[str, Any] = {
        "data": {"files": str(folder / "data.npz"), "mapping": mapping, "boundary": "periodic"},
        "latent": {"dim": 8, "tokens": 8, "width": 8},
        "operator": {"pdet": {"hidden_dim": 16, "depths": [1], "num_heads": 2, "group_size": 8}},
        "diffusion": {"hidden_dim": 16, "depths": [1], "num_heads": 2, "group_size": 8, "reserve": 0.3},
        "training": {"batch_size": 8, "steps_per_epoch": 4, "ema_decay": None},
        "stages": {"autoencoder": {"epochs": 1}, "operator": {"epochs": 2}, "crps_ensemble": {"epochs": 1}},
        "evaluation": {"bootstrap": 100, "pictures": False, "members": 2, "lead_times": [1]},
        "run": {"dir": str(folder / "run"), "threads": 1, "device": "cpu"},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    run(load_config(path))
    return json.loads((folder / "run" / "metrics.json").read_text())


def waves(n: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Size and phase of n waves, `(n, 1, 1)` each."""
    rng = np.random.default_rng(0)
    return rng.uniform(0.5, 1.5, (n, 1, 1)), rng.uniform(0, 2 * np.pi, (n, 1, 1))


def test_waves_that_start_from_rest_beside_a_channel_that_never_changes(tmp_path: Path) -> None:
    """u is 0 in frame 0, 1e-16 in frame 10, and 0 in all of the last trajectory; q is 300 everywhere."""
    size, phase = waves()
    p = 2 + size * np.cos(2 * np.pi * X + phase) * np.cos(2 * np.pi * T)
    u = size * np.sin(2 * np.pi * X + phase) * np.sin(2 * np.pi * T)
    u[-1] = 0
    metrics = scores_of(tmp_path, p=p, u=u, q=np.full_like(p, 300.1))
    assert metrics["errors"] == []
    rows = {row["model"]: row for row in metrics["rows"]}
    assert {"persistence", "operator", "crps"} <= set(rows)
    for name, row in rows.items():
        assert 0 < row["rollout"]["nrmse"] < 30 or name == "autoencoder", name
        assert set(row["channels"]) == {"p", "u"} and row["probabilistic"]["overall"]["crps"] is not None
    assert rows["persistence"]["channels"]["u"]["nrmse"] == pytest.approx(1.0, abs=0.2)
    model, config = Surrogate.load(tmp_path / "run"), load_config(tmp_path / "run" / "config.yaml")
    u0 = open_dataset(config.data).test.trajectories(0, 2)[:, 0]
    u0[:, 2] += 5.0  # held, whatever it was in training
    for space in ("field", "latent"):
        for sampler in ("none", "crps"):
            forecast = model.rollout(u0, 3, sampler=sampler, space=space, seed=0).values[:, 0]
            assert torch.equal(forecast[:, :, 2], u0[:, None, 2].expand(-1, 3, -1)) and forecast.isfinite().all()


def test_an_evaluation_in_which_persistence_is_exact_ends_with_finite_gains(tmp_path: Path) -> None:
    size, phase = waves()
    still = np.broadcast_to(size * np.sin(2 * np.pi * X + phase), (20, len(T), len(X)))
    metrics = scores_of(tmp_path, u=still)
    assert metrics["errors"] == []
    gains = {entry["model"]: entry["gain"] for entry in metrics["ledger"]}
    assert metrics["rows"][0]["rollout"]["nrmse"] == 0 and np.isfinite(list(gains["operator"].values())).all()
