"""Stage 4 on an exact codec, which needs no other stage: heat with a source, whose steady state has a closed form.

u_t = Nu u_xx - k u + s has the steady state u_k = s_k / (k + Nu kappa^2), wave by wave.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner, Result

import ups
from tests.small import PLAIN
from ups.cli import app
from ups.config import load_config
from ups.core.errors import UserError
from ups.run.score import evaluate_run
from ups.run.train import run, train
from ups.simulate.generate import GenerateSettings
from ups.stages import steady
from ups.training import checkpoint
from ups.ttc.forecast import rollout_with_ttc

NU, POINTS = 0.01, 32


def written(folder: Path, epochs: int, **stages: dict[str, object]) -> Path:
    """A config of a prior alone, with the data beside it."""
    longer = {**PLAIN, "optimizer": {"name": "muon", "lr": 1e-2}, "validate_every": max(epochs // 2, 1)}
    settings = {
        "data": {
            "task": "diffusion1d",
            "root": str(folder / "data"),
            "generate": {"pde": "diffusion1d", "trajectories": 100, "resolution": POINTS},
        },
        "operator": {"pdet": {"hidden_dim": 16, "depths": [2]}},
        "training": {"batch_size": 20, "steps_per_epoch": 8, "ema_decay": 0.9},
        "stages": {
            "operator": {"epochs": 0},
            "steady_prior": {"epochs": epochs, "num_steps": 2, "tolerance": 0.05, **longer},
            **stages,
        },
        "evaluation": {"bootstrap": 100, "pictures": True},
        "run": {"dir": str(folder / "run"), "threads": 1, "device": "cpu"},
    }
    path = folder / "alone.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a prior without an operator, with its evaluation."""
    return run(load_config(written(tmp_path_factory.mktemp("alone"), 30))).folder


def states(n: int = 8) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Initial states (n, 2, X) that were not trained on, k (n, 1), and the steady states in closed form (n, X)."""
    rng, x = np.random.default_rng(7), np.arange(POINTS) / POINTS
    k = rng.uniform(2, 5, (n, 1))
    wave = lambda m: rng.normal(size=(n, 1)) * np.sin(2 * np.pi * m * x + rng.uniform(0, 6, (n, 1)))  # noqa: E731
    start, source = wave(1) + 0.3 * wave(3), wave(1) + wave(2)
    kappa = 2 * np.pi * np.fft.rfftfreq(POINTS, 1 / POINTS)
    steady_state = np.fft.irfft(np.fft.rfft(source) / (k + NU * kappa**2), n=POINTS)
    u0 = np.stack([start, source], 1)
    return tuple(torch.tensor(a, dtype=torch.float32) for a in (u0, k, steady_state))  # pyright: ignore[reportReturnType]


def given(folder: Path, k: torch.Tensor) -> dict[str, object]:
    """The parameters that the run has, of which k (n, 1) varies."""
    every = {"Nu": NU, "k": k[:, 0]}
    return {name: every[name] for name in ups.load(folder).system.param_names}


def test_the_prior_alone_finds_the_steady_state_of_the_closed_form(alone: Path) -> None:
    u0, k, truth = states()
    found = ups.load(alone).steady(u0, params=given(alone, k))
    assert (found[:, 0] - truth).norm() < 0.2 * truth.norm()


def test_a_channel_that_never_changes_is_left_as_it_is(alone: Path) -> None:
    u0, k, _ = states()
    found = ups.load(alone).steady(u0, params=given(alone, k))
    torch.testing.assert_close(found[:, 1], u0[:, 1], rtol=0, atol=1e-6)


def test_the_prior_is_scored_beside_baselines_and_the_solver_and_no_operator(alone: Path) -> None:
    metrics = json.loads((alone / "metrics.json").read_text())
    rows = {row["model"]: row for row in metrics["rows"] if "steady" in row}
    assert list(rows) == ["persistence@T", "mean@T", "solver@8@T", "solver@16@T", "solver@32@T", "steady_prior"]
    error = {name: row["rollout"]["nrmse"] for name, row in rows.items()}
    assert error["solver@32@T"] < 1e-5 < error["steady_prior"] < 0.2 * error["mean@T"] < error["mean@T"]
    assert error["mean@T"] < error["persistence@T"] and rows["steady_prior"]["nfe_per_step"] == 2
    ledger = {entry["model"]: entry for entry in metrics["ledger"]}
    assert (ledger["steady_prior"]["against"], ledger["steady_prior"]["verdict"]) == ("mean@T", "pays")
    assert not any(row["model"].startswith("operator") for row in metrics["rows"]) and metrics["errors"] == []
    prior = checkpoint.load(alone / "checkpoints" / "steady_prior.pt")
    assert rows["steady_prior"]["train_seconds"] == prior["train_seconds"]
    page = (alone / "report.html").read_text()
    assert "steady_prior" in page and page.count("their step is the whole way") == 1


def test_the_persisted_state_and_the_mean_score_what_the_data_say(alone: Path) -> None:
    scores, config = evaluate_run(alone, "validation"), load_config(alone / "config.yaml")
    assert isinstance(config.data.generate, GenerateSettings)
    from ups.data.dataset import open_dataset

    data = open_dataset(config.data)
    split, mean = data.validation, data.train.trajectories(0, data.train.n)[:, -1].mean(0)
    first, last = split.trajectories(0, split.n)[:, 0], split.trajectories(0, split.n)[:, -1]
    for name, guess in {"persistence@T": first, "mean@T": mean.expand_as(last)}.items():
        row = scores.row(name)
        assert row is not None
        mae = ((guess - last).abs() / torch.tensor(data.statistics.std).view(-1, 1)).mean()
        assert row.rollout.mae == pytest.approx(float(mae), rel=1e-4)


def test_what_needs_an_operator_is_refused_with_the_command_that_trains_one(alone: Path, tmp_path: Path) -> None:
    u0, k, _ = states(2)
    np.save(tmp_path / "states.npy", u0.numpy())

    def said(command: str) -> Result:
        files = [tmp_path / "states.npy", "-o", tmp_path / f"{command}.h5"]
        return CliRunner().invoke(app, [command, *map(str, [alone, *files])])

    result = said("predict")
    assert result.exit_code == 2 and "no operator" in result.output
    command = f"ups train --config {alone}/config.yaml --stage operator --set run.dir={alone}"
    with pytest.raises(UserError, match="no operator") as raised:
        ups.load(alone).rollout(u0, 3, params=given(alone, k))
    assert str(raised.value).endswith(f"train the operator with `{command}`")
    with pytest.raises(UserError, match="--stage operator"):
        rollout_with_ttc(ups.load(alone), u0, 3, params=given(alone, k))
    assert said("steady").exit_code == 0 and (tmp_path / "steady.h5").exists()


def test_an_operator_that_comes_later_leaves_the_prior_as_it_was(tmp_path: Path) -> None:
    path, (u0, k, _) = written(tmp_path, 1), states(2)
    folder = train(load_config(path), "steady_prior")
    before = ups.load(folder).steady(u0, params=given(folder, k))
    train(load_config(path, ["stages.operator.epochs=1"]), "operator", fresh=True)
    both = ups.load(folder)
    assert torch.equal(both.steady(u0, params=given(folder, k)), before)
    assert both.rollout(u0, 2, params=given(folder, k)).values.shape == (2, 1, 2, 2, POINTS)
    rows = {row.model: row for row in evaluate_run(folder, "validation").rows}
    assert rows["steady_prior"].built_on == "operator@T" and rows["operator@T"].nfe_per_step == 40
    assert rows["steady_prior"].parameters == sum(p.numel() for p in both.steady_prior.parameters())  # pyright: ignore


def test_a_prior_on_the_codec_of_other_data_is_refused_beside_an_operator(tmp_path: Path) -> None:
    folder = train(load_config(written(tmp_path, 1), ["stages.operator.epochs=1"]))
    for file in (folder / "checkpoints").glob("steady_prior*.pt"):
        content = torch.load(file, weights_only=True)
        if "codec" in content:
            content["codec"]["u_mean"] += 1.0
            torch.save(content, file)
    with pytest.raises(UserError, match=r"belongs to another operator .* --stage steady_prior --fresh"):
        ups.load(folder)


@pytest.mark.parametrize("key", ["codec", "system", "latent"])
def test_a_damaged_checkpoint_of_a_prior_alone_is_one_sentence(tmp_path: Path, key: str) -> None:
    folder = train(load_config(written(tmp_path, 1)))
    for file in (folder / "checkpoints").glob("steady_prior*.pt"):
        content = torch.load(file, weights_only=True)
        content.pop(key, None)
        torch.save(content, file)
    with pytest.raises(UserError, match=f"{key}.*; run `ups train .* --stage steady_prior --fresh"):
        ups.load(folder)


class Kill(BaseException):
    """What nothing catches."""


def test_a_prior_alone_that_was_killed_ends_with_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, 4)
    whole = train(load_config(path, [f"run.dir={tmp_path / 'whole'}"]))
    count, loss = iter(range(10**6)), steady.steady_loss

    def dies(*given):
        if next(count) == 19:  # in the third of four epochs
            raise Kill
        return loss(*given)

    with monkeypatch.context() as patch, pytest.raises(Kill):
        patch.setattr(steady, "steady_loss", dies)
        train(load_config(path))
    killed = train(load_config(path))
    for name in ("steady_prior.pt", "steady_prior_ema.pt"):
        one, two = (checkpoint.load(folder / "checkpoints" / name)["state"] for folder in (whole, killed))
        assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


def test_with_a_learnt_codec_the_operator_comes_first(tmp_path: Path) -> None:
    learnt = ["latent={dim: 8, tokens: 8, width: 8}", "operator.pdet={hidden_dim: 16, depths: [1], num_heads: 2}"]
    path = written(tmp_path, 1)
    with pytest.raises(UserError, match="steady_prior needs stage operator"):
        load_config(path, learnt)
    with pytest.raises(UserError, match=r"run `ups train .* --stage (autoencoder|operator)"):
        train(load_config(path, [*learnt, "stages.operator.epochs=1"]), "steady_prior")
