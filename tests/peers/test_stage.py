"""Peers in training: they learn, and their checkpoints go on and load as those of any stage."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch

from tests.small import Hiding, advection
from ups.core.errors import UserError
from ups.data.dataset import Dataset, open_dataset
from ups.data.settings import DataSettings
from ups.metrics import compare, nrmse
from ups.peers.convnext import ConvNeXtSettings
from ups.peers.fno import FNOSettings, kept
from ups.peers.one_step import ResidualForecaster, roll_out
from ups.peers.settings import EVALUATIONS, PeerName, PeerSettings, Updates
from ups.peers.stage import PeerRun, build
from ups.peers.unet import UNetSettings
from ups.run.baselines import train_peer
from ups.run.stage import train_stage
from ups.tracking.jsonl import read_log
from ups.training.checkpoint import load
from ups.training.settings import TrainingSettings
from ups.training.stage import Progress


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("waves")
    advection(folder)
    return open_dataset(DataSettings(task="advection1d", root=str(folder)))


def peer(data: Dataset, network: PeerName = "unet", seconds: float = 4.0, horizon: int = 1) -> PeerRun:
    sizes = {
        "fno": FNOSettings(width=16, modes=16, layers=2),
        "unet": UNetSettings(width=8),
        "convnext": ConvNeXtSettings(width=16),
    }
    settings = PeerSettings(network=network, batch_size=8, lr=3e-3, warmup_steps=0, rollout_horizon=horizon, **sizes)
    return PeerRun(network, settings, TrainingSettings(ema_decay=0.9), data, seconds)


def epochs(folder: Path) -> int:
    """Lines of the training log."""
    return len(read_log(folder / TrainingSettings().log_path).epochs)


@pytest.mark.parametrize("network", ["fno", "unet", "convnext"])
def test_a_peer_soon_beats_persistence_on_waves(data: Dataset, tmp_path: Path, network: PeerName) -> None:
    if network == "fno":
        pytest.importorskip("neuralop")
    run = peer(data, network)
    by_steps = run.settings.stage(run.length).model_copy(update={"seconds": None, "epochs": 10})
    model = cast(ResidualForecaster, train_stage(build(run), by_steps, run.training, tmp_path))
    truth = data.test.trajectories(0, data.test.n)
    with torch.no_grad():
        ahead = model.rollout(truth[:, 0], 8, data.test.params)
    held, std = truth[:, :1].expand_as(truth[:, 1:]), data.statistics.std
    assert nrmse(compare(truth[:, 1:], ahead, std)) < 0.5 * nrmse(compare(truth[:, 1:], held, std))


def test_a_peer_that_was_trained_for_another_time_is_refused(data: Dataset, tmp_path: Path) -> None:
    train_peer(peer(data, seconds=0.1), tmp_path)
    with pytest.raises(UserError, match=r"stages.unet.seconds was 0\.1 and is now 0\.2"):
        train_peer(peer(data, seconds=0.2), tmp_path)


def test_the_loss_of_a_rollout_is_the_mean_over_its_steps(data: Dataset) -> None:
    run = peer(data, horizon=3)
    stage = build(run)
    batch, model = next(stage.batches(0)), cast(ResidualForecaster, stage.model)
    ahead = roll_out(lambda u: model(u, batch.params), batch.frames[:, 0], 3)
    error = (ahead - batch.frames[:, 1:]).flatten(2).norm(dim=2) / batch.frames[:, 1:].flatten(2).norm(dim=2)
    torch.testing.assert_close(stage.loss(model, batch, Progress(9, 9.0, 0.99))["loss"], error.mean())
    torch.testing.assert_close(stage.loss(model, batch, Progress(0, 0.0, 0.0))["loss"], error[:, 0].mean())


def test_a_peer_in_a_module_that_hides_it_has_the_same_loss_and_score(data: Dataset) -> None:
    stage = build(peer(data, horizon=3))
    batch, progress = next(stage.batches(0)), Progress(9, 9.0, 0.99)
    with torch.no_grad():
        plain, hidden = (
            (stage.loss(m, batch, progress)["loss"], stage.score(m)) for m in (stage.model, Hiding(stage.model))
        )
    assert plain == hidden


def test_modes_are_halved_until_the_grid_has_so_many_points() -> None:
    assert [kept(64, points) for points in (256, 64, 63, 20)] == [64, 64, 32, 16]


def test_a_trained_peer_is_loaded_and_not_trained_again(data: Dataset, tmp_path: Path) -> None:
    once, again = (train_peer(peer(data, seconds=1.0), tmp_path) for _ in range(2))
    assert epochs(tmp_path) == EVALUATIONS and 0 < once.train_seconds == again.train_seconds
    truth = data.test.trajectories(0, data.test.n)
    whole, one_by_one = (of.rollout(truth, 0, 8, data.test.params, n, 0) for of, n in ((once, 16), (again, 1)))
    assert torch.equal(whole, one_by_one)


def test_a_training_by_updates_takes_as_many_and_is_scored_as_often(data: Dataset, tmp_path: Path) -> None:
    run = replace(peer(data), length=Updates(40))
    train_stage(build(run), run.settings.stage(run.length), run.training, tmp_path)
    logged = read_log(tmp_path / TrainingSettings().log_path).epochs
    assert load(tmp_path / "checkpoints" / "unet_resume.pt")["tally"]["step"] == 40
    assert len([entry for entry in logged if entry["score"] is not None]) == EVALUATIONS
    with pytest.raises(ValueError, match="multiple of 20, found 41"):
        run.settings.stage(Updates(41))


@pytest.mark.parametrize("network", ["unet", "convnext"])
def test_with_muon_a_peer_learns_waves_too(data: Dataset, tmp_path: Path, network: PeerName) -> None:
    run = peer(data, network)
    run = replace(run, settings=run.settings.model_copy(update={"optimizer": "muon", "lr": 8e-3}), length=Updates(200))
    stage = build(run)
    with torch.no_grad():
        at_first = stage.score(stage.model)
    model = train_stage(stage, run.settings.stage(run.length), run.training, tmp_path)
    with torch.no_grad():
        assert stage.score(model) < 0.5 * at_first
