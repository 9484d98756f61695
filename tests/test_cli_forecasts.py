"""`ups predict` and `ups steady` on small trained runs: they read what the run was trained on, say what they assume,
and give the numbers of the Python API."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

import ups as package
from tests.small import config
from tests.stages.test_steady import STAGES, settling
from ups.cli import app
from ups.config import load_config
from ups.run.train import train

SIGNATURES = {".png": b"\x89PNG", ".PDF": b"%PDF", ".svg": b"<?xml", ".jpg": b"\xff\xd8"}


def ups(*arguments: Any) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a steady prior; three initial states lie beside it in `states.npy`."""
    folder = tmp_path_factory.mktemp("run")
    latent = {"dim": 16, "tokens": 4, "width": 8}
    path = config(folder, data=settling(folder, rate=6.0), latent=latent, stages=STAGES)
    np.save(folder / "states.npy", np.load(folder / "settling.npz")["u"][:3, 0])
    return train(load_config(path))


@pytest.fixture
def states(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The initial states, seen from an empty folder."""
    monkeypatch.chdir(tmp_path)
    return run.parent / "states.npy"


def test_without_a_name_the_numbers_are_named_after_the_input(run: Path, states: Path) -> None:
    for command, shape in {"steady": (3, 1, 1, 2, 16), "predict": (3, 1, 4, 2, 16)}.items():
        steps = ["--steps", "4"] if command == "predict" else []
        result = ups(command, run, states, *steps)
        what = "steady" if command == "steady" else "forecast"
        assert result.exit_code == 0 and f"wrote states_{what}.h5: 3 " in result.output
        with h5py.File(f"states_{what}.h5") as file:
            stored = file["values"]
            assert isinstance(stored, h5py.Dataset) and stored.shape == shape
            if command == "steady":
                np.testing.assert_array_equal(stored[:, 0, 0], package.load(run).steady(np.load(states)))


def test_a_time_step_that_was_not_trained_is_refused_with_those_that_were(run: Path, states: Path) -> None:
    result = ups("predict", run, states, "--dt", 0.2)
    assert result.exit_code == 2 and "dt = 0.2 was not trained, trained are steps of 0.1: take several" in result.stderr
    assert ups("predict", run, states, "--dt", 0.1, "--steps", 2).exit_code == 0


@pytest.mark.parametrize("ending", SIGNATURES)
@pytest.mark.parametrize("command", ["predict", "steady"])
def test_a_picture_is_a_picture_whatever_its_format(run: Path, states: Path, command: str, ending: str) -> None:
    target = Path("new") / f"out{ending}"
    result = ups(command, run, states, "-o", target)
    assert result.exit_code == 0, result.stderr
    assert target.read_bytes().startswith(SIGNATURES[ending]) and len(list(target.parent.iterdir())) == 1


@pytest.mark.parametrize("command", ["predict", "steady"])
def test_an_ending_that_is_neither_numbers_nor_a_picture_is_refused(run: Path, states: Path, command: str) -> None:
    result = ups(command, run, states, "-o", "out.npy")
    assert result.exit_code == 2 and not list(Path().iterdir())
    assert "--output: expected a name that ends in .h5, .hdf5 (numbers) or .png, .pdf," in result.stderr
    assert result.stderr.endswith("found out.npy\n")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def decay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on decaying waves with a rate k from 0.5 to 2 each, 16 points and 16 frames, stored with time last."""
    folder, rng = tmp_path_factory.mktemp("decay"), np.random.default_rng(0)
    x, t, k = np.arange(16) / 16, 0.1 * np.arange(16), np.roll(np.linspace(0.5, 2, 20), 5)
    u = np.exp(-k[:, None, None] * t) * np.sin(2 * np.pi * x + rng.uniform(0, 6, (20, 1)))[..., None]
    np.savez(folder / "decay.npz", u=u, x=x, t=t, k=k)
    np.save(folder / "states.npy", u[:2, None, :, 0])
    mapping = {"values": "u", "axes": "n x t", "coords": ["x"], "times": "t", "params": {"k": "k"}}
    data = {"files": "decay.npz", "mapping": mapping, "boundary": "periodic", "task": None, "root": "."}
    data["files"] = [str(folder / "decay.npz")]
    operator = {"epochs": 2, "optimizer": {"name": "muon", "lr": 3e-3}}
    return train(load_config(config(folder, data=data, stages={"operator": operator})))


def predicted(run: Path, input: Path, *options: object) -> tuple[package.Forecast, Result]:
    """The forecast that the command writes, and what it says."""
    result = ups("predict", run, input, "--steps", 3, "-o", "out.h5", *options)
    assert result.exit_code == 0, result.stderr
    return package.Forecast.load("out.h5"), result


def test_predict_reads_a_file_as_the_run_did_and_gives_the_numbers_of_python(decay: Path, here: Path) -> None:
    path = decay.parent / "decay.npz"
    found, result = predicted(decay, path)
    with np.load(path) as stored:
        u, k = stored["u"], stored["k"]
    expected = package.load(decay).rollout(u[:, :, 0], 3, params={"k": k})
    assert torch.equal(found.values, expected.values) and torch.equal(found.params, expected.params)
    assert f"states: {path}: frame 0 of 20 trajectories, axes (n x t) by data.mapping\n" in result.output
    assert f"parameters: k = 0.5 to 2 ({path})\n" in result.output
    assert "wrote out.h5: 20 states, 1 members, 3 steps, computed on cpu" in result.output
    later, result = predicted(decay, path, "--frame", 5, "--param", "k=1.5")
    assert torch.equal(later.values, package.load(decay).rollout(u[:, :, 5], 3, params={"k": 1.5}).values)
    assert (
        "parameters: k = 1.5 (command line)\n" in result.output and later.origin.params_from == "k = 1.5 (command line)"
    )


def test_predict_says_that_it_took_the_training_mean_and_left_the_trained_range(decay: Path, here: Path) -> None:
    states, model = decay.parent / "states.npy", package.load(decay)
    mean = float(model.param_mean[0])
    found, result = predicted(decay, states)
    assert f"parameters: k = {mean:g} (training mean, as none was given)\n" in result.output and not result.stderr
    assert torch.equal(found.values, model.rollout(np.load(states), 3, params=[mean]).values)
    assert found.origin.run == str(decay) and found.origin.data_hash == model.data_hash
    _, result = predicted(decay, states, "--param", "k=6")
    low, high = model.system.param_range[0]
    line = f"warning: k = 6 lies outside the trained range {low:g} to {high:g}; nothing is known of the error there\n"
    assert result.stderr == line


def test_predict_goes_on_from_its_own_forecast(decay: Path, here: Path) -> None:
    first, _ = predicted(decay, decay.parent / "states.npy", "--param", "k=1")
    Path("out.h5").rename("first.h5")
    second, result = predicted(decay, Path("first.h5"))
    whole = package.load(decay).rollout(np.load(decay.parent / "states.npy"), 6, params=[1.0])
    last = package.load(decay).rollout(first.values[:, 0, -1], 3, params=[1.0])
    assert torch.equal(second.values, last.values)
    assert torch.allclose(torch.cat([first.values, second.values], 2), whole.values, atol=1e-6)
    assert "states: first.h5: the last frame (t = 0.3) of a forecast of 2 states\n" in result.output
    assert "parameters: k = 1 (first.h5)\n" in result.output
    again, result = predicted(decay, Path("first.h5"), "--frame", 0)
    assert (
        torch.allclose(again.values[:, :, 0], whole.values[:, :, 1], atol=1e-6) and "frame 0 (t = 0.1)" in result.output
    )
    beyond = ups("predict", decay, "first.h5", "--frame", 3)
    assert beyond.exit_code == 2 and "frame 3 asked for, but the forecast" in beyond.stderr


def test_members_go_on_as_states(decay: Path, here: Path) -> None:
    made = package.load(decay).rollout(np.load(decay.parent / "states.npy"), 2, params=[[1.0], [1.5]])
    values = torch.cat([made.values, 2 * made.values], 1)
    replace(made, values=values).save("ensemble.h5")
    found, result = predicted(decay, Path("ensemble.h5"))
    assert "of a forecast of 2 states with 2 members each, which go on as states" in result.output
    states, k = values[:, :, -1].flatten(0, 1), [[1.0], [1.0], [1.5], [1.5]]
    assert torch.equal(found.values, package.load(decay).rollout(states, 3, params=k).values)


@pytest.mark.parametrize("command", ["predict", "steady"])
def test_a_forecast_of_another_system_is_refused(run: Path, decay: Path, here: Path, command: str) -> None:
    predicted(decay, decay.parent / "states.npy", "--param", "k=1")
    result = ups(command, run, "out.h5")
    assert result.exit_code == 2 and "channels ['u', 'source'] expected, found ['u']" in result.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--param", "nu=0.1"], "--param: the run has the parameters k, found nu"),
        (["--param", "k=much"], "--param k: expected a number, found `much`"),
        (["--param", "k=nan"], "values of parameter k must be finite"),
        (["--device", "toaster"], "device: toaster is not available here"),
        (["--seed", str(2**70)], "seed must be a whole number from 0 to"),
        (["--steps", "1000000000"], "1000000000 steps takes"),
        (["--members", "1000000000"], "1000000000 members and 40 steps takes"),
        (["--nfe", "1000000000"], "nfe must be a whole number from 1 to 1000"),
        (["--frame", "1"], "frame 1 asked for, but (2, 1, 16) are states without frames"),
    ],
)
def test_an_option_that_does_not_fit_is_one_sentence(decay: Path, here: Path, options: list[str], words: str) -> None:
    result = ups("predict", decay, decay.parent / "states.npy", *options)
    assert result.exit_code == 2 and words in result.stderr and not list(here.iterdir())


def test_predict_runs_on_the_device_of_the_run(decay: Path, here: Path) -> None:
    settings = (decay / "config.yaml").read_text()
    try:
        (decay / "config.yaml").write_text(settings.replace("device: cpu", "device: toaster"))
        result = ups("predict", decay, decay.parent / "states.npy")
        assert result.exit_code == 2 and "toaster" in result.stderr
        assert ups("predict", decay, decay.parent / "states.npy", "--device", "cpu").exit_code == 0
    finally:
        (decay / "config.yaml").write_text(settings)


def test_steady_reads_a_file_as_the_run_did(run: Path, here: Path) -> None:
    path = run.parent / "settling.npz"
    result = ups("steady", run, path, "-o", "out.h5")
    assert result.exit_code == 0 and "frame 0 of 20 trajectories, axes (n t c x) by data.mapping" in result.output
    found = package.Forecast.load("out.h5")
    with np.load(path) as stored:
        assert torch.equal(found.values[:, 0, 0], package.load(run).steady(stored["u"][:, 0]))
    assert found.origin.sampler == "steady prior" and found.params.shape == (20, 0)
