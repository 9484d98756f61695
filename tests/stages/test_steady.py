"""Stage 4 on trajectories that settle at a known rate to a known state."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import ups
from tests.models.systems import latent_model, system
from tests.small import config
from ups.config import load_config
from ups.core.errors import UserError
from ups.core.latent_state import LatentState
from ups.models.steady_prior import SteadyPrior, is_steady
from ups.pipeline import run


def settling(folder: Path, rate: float, n: int = 20) -> dict[str, object]:
    """`data` of a config: u -> s(x) like exp(-rate t), with the source s as a second channel."""
    rng, x, t = np.random.default_rng(0), np.arange(16) / 16, 0.1 * np.arange(21)
    wave = lambda: rng.uniform(0.5, 1, (n, 1, 1)) * np.sin(2 * np.pi * x + rng.uniform(0, 6, (n, 1, 1)))  # noqa: E731
    source, start = wave(), wave()
    u = source + (start - source) * np.exp(-rate * t)[:, None]
    values = np.stack([u, np.broadcast_to(source, u.shape)], 2).astype(np.float32)
    np.savez(folder / "settling.npz", u=values)
    mapping = {"values": "u", "axes": "n t c x", "dt": 0.1, "length": 1.0, "channels": ["u", "source"]}
    return {
        "files": [str(folder / "settling.npz")],
        "mapping": mapping,
        "boundary": ["periodic"],
        "task": None,
        "root": ".",
    }


STAGES = {
    "operator": {"epochs": 3, "optimizer": {"name": "muon", "lr": 3e-3}},
    "steady_prior": {"epochs": 10, "num_steps": 2, "tolerance": 0.01, "optimizer": {"name": "muon", "lr": 3e-3}},
}


def test_a_trajectory_is_steady_if_it_would_stay_where_it_is() -> None:
    change, size = torch.tensor([1e-4, 1e-2]), torch.tensor([1.0, 1.0])
    assert is_steady(change, size, dt=0.1, duration=1.0, tolerance=2e-3).tolist() == [True, False]


def test_the_untrained_prior_leaves_a_latent_as_it_is() -> None:
    pdet = latent_model(system()).operator.cfg.pdet
    prior, z = SteadyPrior(8, pdet, (8,), ("periodic",), 1, 4), torch.randn(2, 8, 8)
    assert torch.equal(prior(LatentState(z, cond={"params": torch.ones(2, 1)})).z, z)


def test_the_prior_jumps_to_the_steady_state_and_is_scored_beside_the_long_rollout(tmp_path: Path) -> None:
    longer = {**STAGES, "steady_prior": {**STAGES["steady_prior"], "epochs": 300, "validate_every": 100}}
    path = config(
        tmp_path,
        data=settling(tmp_path, rate=6.0),
        latent={"dim": 16, "tokens": 4, "width": 8},
        training={"batch_size": 32, "steps_per_epoch": 6, "ema_decay": 0.9},
        stages=longer,
    )
    folder = run(load_config(path)).folder
    rows = {row["model"]: row for row in json.loads((folder / "metrics.json").read_text())["rows"]}
    assert rows["steady_prior"]["nfe_per_step"] == 2 and rows["operator@T"]["nfe_per_step"] == 20
    assert rows["steady_prior"]["steady"] == {"trajectories": 2, "of": 2, "tolerance": 0.01}
    model, data = ups.load(folder), np.load(tmp_path / "settling.npz")["u"]
    found, first, last = model.steady(data[:2, 0]), torch.tensor(data[:2, 0]), torch.tensor(data[:2, -1])
    assert (found - last).norm() < 0.5 * (first - last).norm()


def test_data_without_steady_states_are_refused_with_the_share(tmp_path: Path) -> None:
    path = config(
        tmp_path, data=settling(tmp_path, rate=0.1), latent={"dim": 16, "tokens": 4, "width": 8}, stages=STAGES
    )
    with pytest.raises(
        UserError, match=r"0 of 16 trajectories of the training split reach a steady state within tolerance 0.01"
    ):
        run(load_config(path))


def test_a_run_without_a_prior_says_so(tmp_path: Path) -> None:
    folder = run(load_config(config(tmp_path, stages={"operator": {"epochs": 1}}))).folder
    with pytest.raises(UserError, match=r"no steady prior; train it with stages.steady_prior.epochs"):
        ups.load(folder).steady(torch.zeros(1, 1, 32))
