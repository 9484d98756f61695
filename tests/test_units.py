"""No unit matters: a data set whose channels are multiplied by constants has the same training, scores and verdicts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from ups.config import load_config
from ups.core.stages import STAGES
from ups.data.dataset import open_dataset
from ups.run.train import run
from ups.surrogate.surrogate import Surrogate

ONE = (1.0, 1.0)
EXACT = (2.0**17, 2.0**-30)
"""Powers of two, by which floating-point numbers are multiplied without rounding."""
ROUNDED = (1e5, 1e-9)
HARDWARE = {"ms_per_step", "train_seconds"}
PHYSICAL = {"vrmse_well", "channels", "std"}
"""What has units, and is compared apart."""
COMPARED = {
    "nrmse",
    "nrmse_pooled",
    "vrmse",
    "rmse",
    "mae",
    "crps",
    "energy_score",
    "spread_skill",
    "gain",
    "gain_nrmse",
}
"""Scores that vary smoothly; counts (of ranks), and spectra where there is no energy, jump by rounding."""


def gray_scott(trajectories: int = 20, frames: int = 7, points: int = 16) -> np.ndarray:
    """Two reacting channels on a periodic plane, explicit Euler steps: `(n, T, 2, y, x)` float32."""
    rng = np.random.default_rng(0)
    u, v = np.ones((2, trajectories, points, points))
    place = np.arange(points)
    for i, (y, x) in enumerate(rng.integers(0, points, (trajectories, 2))):
        spot = np.exp(-(((place - points // 2) ** 2) / 8.0))
        v[i] += np.roll(0.5 * np.outer(spot, spot), (int(y), int(x)), (0, 1)) - 1.0
        u[i] -= v[i]
    found = []
    for _ in range(frames):
        found.append(np.stack([u, v], 1))
        for _ in range(20):
            of_u, of_v = (sum(np.roll(w, s, a) for s in (1, -1) for a in (1, 2)) - 4 * w for w in (u, v))
            reaction = u * v * v
            u, v = u + 0.2 * of_u - reaction + 0.04 * (1 - u), v + 0.1 * of_v + reaction - 0.1 * v
    return np.stack(found, 1).astype(np.float32)


def settings(folder: Path, scale: tuple[float, float]) -> Path:
    """The config of a short run through all stages on the data times `scale`."""
    folder.mkdir(parents=True)
    data, place = gray_scott(), np.arange(16) / 16
    u, v = (np.float32(factor) * data[:, :, i] for i, factor in enumerate(scale))
    np.savez(folder / "data.npz", u=u, v=v, x=place, y=place, t=0.1 * np.arange(7))
    mapping = {"values": ["u", "v"], "coords": ["y", "x"], "times": "t", "axes": "n t y x"}
    stages: dict[str, dict[str, Any]] = {name: {"epochs": 2, "optimizer": {"lr": 2e-4}} for name in STAGES}
    stages["steady_prior"] |= {"epochs": 1, "tolerance": 1e6}
    config: dict[str, Any] = {
        "data": {"files": str(folder / "data.npz"), "mapping": mapping, "boundary": "periodic"},
        "latent": {"dim": 8, "tokens": 16, "width": 8},
        "operator": {"pdet": {"hidden_dim": 16, "depths": [1], "num_heads": 2, "group_size": 4}},
        "diffusion": {"hidden_dim": 16, "depths": [1], "num_heads": 2, "group_size": 4, "reserve": 0.3, "steps": 2},
        "training": {
            "batch_size": 4,
            "steps_per_epoch": 3,
            "ema_decay": 0.9,
            "input_noise": 0.05,
            "lambda_rollout": 1.0,
            "rollout_horizon": 2,
            "rollout_start": 0.0,
            "lambda_spectral": 0.1,
            "spectral_space": "field",
            "lambda_inv_enc": 0.1,
            "lambda_inv_dec": 0.1,
            "inverse_loss_warmup_epochs": 0,
        },
        "stages": stages,
        "evaluation": {"bootstrap": 100, "pictures": False, "members": 3, "lead_times": [1, 4]},
        "ttc": {"enabled": True, "candidates": 3},
        "run": {"dir": str(folder / "run"), "threads": 1, "device": "cpu"},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[float, float], tuple[dict[str, Any], torch.Tensor]]:
    """By scale: the metrics, and forecasts of the test split's first frames over the scale."""
    found = {}
    for scale in (ONE, EXACT, ROUNDED):
        config = load_config(settings(tmp_path_factory.mktemp("units") / "run", scale))
        result = run(config)
        test = open_dataset(config.data).test
        u0, model = test.trajectories(0, test.n)[:, 0], Surrogate.load(config.run.dir)
        forecasts = [model.rollout(u0, 4, sampler=name, seed=1).values for name in ("none", *model.heads)]
        unit = torch.tensor(scale).view(2, 1, 1)
        assert result.metrics is not None
        found[scale] = result.metrics.model_dump(mode="json"), torch.cat([values / unit for values in forecasts], 1)
    return found


def dimensionless(value: Any) -> Any:
    """The part of `metrics.json` that must not know units: all but hardware and physical values."""
    if isinstance(value, dict):
        return {key: dimensionless(item) for key, item in value.items() if key not in HARDWARE | PHYSICAL}
    return [dimensionless(item) for item in value] if isinstance(value, list) else value


def scores(metrics: dict[str, Any]) -> dict[str, Any]:
    return dimensionless({key: metrics[key] for key in ("errors", "rows", "ledger", "spectra", "ttc")})


def numbers(value: Any, path: str = "") -> dict[str, float]:
    """All numbers of nested dicts and lists, by where they stand."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {place: n for key, item in items for place, n in numbers(item, f"{path}/{key}").items()}
    return {path: float(value)} if isinstance(value, int | float) else {}


def test_powers_of_two_change_no_bit_of_scores_gains_verdicts_and_forecasts(results) -> None:
    (one, forecast), (other, rescaled) = results[ONE], results[EXACT]
    assert json.dumps(scores(one)) == json.dumps(scores(other))
    assert torch.equal(forecast, rescaled)
    names = [row["model"] for row in one["rows"]]
    assert {"operator", "crps", "diffusion@2", "consistency@1", "steady_prior"} < set(names)
    for row, again in zip(one["rows"], other["rows"], strict=True):
        for name, factor in zip(("u", "v"), EXACT, strict=True):
            mine, theirs = row["channels"][name], again["channels"][name]
            assert all(theirs[key] == factor * mine[key] for key in ("rmse", "mae", "max", "crps", "energy_score"))
            assert all(theirs[key] == mine[key] for key in ("nrmse", "vrmse", "nrmse_one_step"))


def test_any_other_units_change_them_by_rounding_only(results) -> None:
    one, other = (numbers({key: results[s][0][key] for key in ("rows", "ledger")}) for s in (ONE, ROUNDED))
    kept = [key for key in one if {*key.split("/")} & COMPARED and not {*key.split("/")} & (HARDWARE | PHYSICAL)]
    wrong = {key: (one[key], other[key]) for key in kept if not np.isclose(one[key], other[key], rtol=1e-3, atol=1e-3)}
    assert len(kept) > 500
    assert not wrong
    verdicts = [[entry["verdict"] for entry in results[s][0]["ledger"]] for s in (ONE, ROUNDED)]
    assert verdicts[0] == verdicts[1]
    torch.testing.assert_close(results[ROUNDED][1], results[ONE][1], rtol=1e-3, atol=1e-3)
