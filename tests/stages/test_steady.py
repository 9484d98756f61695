"""Stage 4 on trajectories that settle at a known rate to a known state."""

import json
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

import ups
from tests.models.systems import latent_model, system
from tests.small import PLAIN, config
from ups.config import load_config
from ups.core.errors import UserError
from ups.core.latent_state import LatentState
from ups.data.split import Split
from ups.models.steady_prior import SteadyPrior, is_steady
from ups.run.score import evaluate_run
from ups.run.train import run, train
from ups.stages.steady import steady_rows


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
    "steady_prior": {"epochs": 10, "num_steps": 2, "tolerance": 0.01},
}


def test_a_trajectory_is_steady_if_it_would_stay_where_it_is() -> None:
    change, size = torch.tensor([1e-4, 1e-2]), torch.tensor([1.0, 1.0])
    assert is_steady(change, size, dt=0.1, duration=1.0, tolerance=2e-3).tolist() == [True, False]


def test_the_untrained_prior_leaves_a_latent_as_it_is() -> None:
    prior, z = SteadyPrior(latent_model(system()), 4), torch.randn(2, 8, 8)
    assert torch.equal(prior(LatentState(z, cond={"params": torch.ones(2, 1)})).z, z)


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a prior on trajectories that settle, with its evaluation."""
    folder = tmp_path_factory.mktemp("settled")
    longer = {**PLAIN, "epochs": 60, "validate_every": 20, "optimizer": {"name": "muon", "lr": 2e-2}}
    path = config(
        folder,
        data=settling(folder, rate=6.0),
        latent={"dim": 16, "tokens": 4, "width": 8},
        training={"batch_size": 32, "steps_per_epoch": 6, "ema_decay": 0.9},
        stages={**STAGES, "steady_prior": {**STAGES["steady_prior"], **longer}},
    )
    return run(load_config(path)).folder


def test_the_prior_jumps_to_the_steady_state_of_states_it_has_not_seen(settled: Path) -> None:
    values = np.load(settled.parent / "settling.npz")["u"]
    first, last = torch.tensor(values[:2, 0]), torch.tensor(values[:2, -1])
    assert (ups.load(settled).steady(first) - last).norm() < 0.15 * (first - last).norm()


def test_the_prior_is_scored_beside_the_long_rollout(settled: Path) -> None:
    metrics = json.loads((settled / "metrics.json").read_text())
    rows = {row["model"]: row for row in metrics["rows"]}
    assert rows["steady_prior"]["nfe_per_step"] == 2 and rows["operator@T"]["nfe_per_step"] == 20
    assert rows["steady_prior"]["steady"] == {"trajectories": 2, "of": 2, "tolerance": 0.01}
    assert metrics["errors"] == []


def test_a_prior_without_a_trajectory_to_score_it_on_is_told_with_the_share(settled: Path) -> None:
    metrics = evaluate_run(settled, "validation", overrides=["stages.steady_prior.tolerance=1e-9"]).model_dump()
    assert "steady_prior" not in {row["model"] for row in metrics["rows"]}
    sentence = "0 of 2 trajectories of the validation split reach a steady state within tolerance 1e-09"
    assert metrics["errors"] == [f"{sentence}, so the steady prior has no row"]
    assert sentence in (settled / "validation" / "report.html").read_text()


class Trajectories:
    """What `steady_rows` asks of a split, of trajectories (n, T, C, P) that are given."""

    def __init__(self, values: torch.Tensor):
        self.values, (self.n, self.frames, *_) = values, values.shape

    def windows(self, rows: np.ndarray, start: np.ndarray, length: int) -> torch.Tensor:
        return torch.stack([self.values[r, s : s + length] for r, s in zip(rows, start, strict=True)])


def test_a_trajectory_is_steady_only_if_every_channel_is() -> None:
    """Five trajectories of three frames and two channels; a tolerance of 1 % over the duration is 0.5 % a frame."""
    still, slow, fast = torch.ones(3), 1 + 0.004 * torch.arange(3), 1 + 0.006 * torch.arange(3)
    large, nothing = 1e4 * still, 0 * still
    pairs = [(still, slow), (fast, still), (large, fast), (nothing, slow), (large, nothing)]
    values = torch.stack([torch.stack(pair, 1) for pair in pairs]).unsqueeze(-1).expand(-1, -1, -1, 8)
    assert steady_rows(cast(Split, Trajectories(values)), [1.0, 1.0], 0.1, 0.01).tolist() == [0, 3, 4]


def test_the_prior_learns_where_a_parameter_sends_a_state() -> None:
    """z -> c w in every token: a start ends elsewhere for another parameter, also for one between those seen."""
    torch.manual_seed(0)
    prior = SteadyPrior(latent_model(system()), 2)
    prior.conditioning.param_mean.fill_(10.0)
    prior.conditioning.param_std.fill_(2.0)
    w, optimizer = torch.randn(8), torch.optim.Adam(prior.parameters(), 1e-2)

    def error(c: torch.Tensor) -> torch.Tensor:
        start, target = torch.randn(len(c), 8, 8), (c - 10).view(-1, 1, 1) / 2 * w
        return (prior(LatentState(start, cond={"params": c})).z - target).square().mean() / w.square().mean()

    for _ in range(150):
        optimizer.zero_grad()
        error(10 + 2 * torch.randint(-2, 3, (32, 1)).float()).backward()
        optimizer.step()
    assert error(torch.tensor([[7.0], [9.0], [11.0], [13.0]])) < 0.1


def test_parameters_count_in_deviations_from_their_mean() -> None:
    torch.manual_seed(0)
    prior, z = SteadyPrior(latent_model(system()), 2), torch.randn(3, 8, 8)
    for p in prior.parameters():
        torch.nn.init.normal_(p, std=0.2)
    refined = lambda c: prior(LatentState(z, cond={"params": torch.full((3, 1), c)})).z  # noqa: E731
    standard, other = refined(1.5), refined(-1.5)
    assert (standard - other).abs().max() > 1e-2
    prior.conditioning.param_mean.fill_(10.0)
    prior.conditioning.param_std.fill_(2.0)
    torch.testing.assert_close(refined(13.0), standard)


@pytest.mark.parametrize("stage", ["all", "steady_prior"])
def test_data_without_steady_states_are_refused_with_the_share_before_any_training(tmp_path: Path, stage: str) -> None:
    path = config(
        tmp_path, data=settling(tmp_path, rate=0.1), latent={"dim": 16, "tokens": 4, "width": 8}, stages=STAGES
    )
    with pytest.raises(
        UserError, match=r"0 of 16 trajectories of the training split reach a steady state within tolerance 0.01"
    ):
        train(load_config(path), stage)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_run_without_a_prior_says_so(tmp_path: Path) -> None:
    folder = run(load_config(config(tmp_path, stages={"operator": {"epochs": 1}}))).folder
    with pytest.raises(UserError, match=r"no steady prior; train it with stages.steady_prior.epochs"):
        ups.load(folder).steady(torch.zeros(1, 1, 32))
