"""What a stage may build on, and that every command that an error names puts the run right."""

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import ups
from tests.small import config
from ups.cli import app
from ups.config import load_config
from ups.core.errors import UserError
from ups.run.train import train
from ups.training import checkpoint
from ups.training.loop import Trainer

SMALL = {"hidden_dim": 16, "depths": [1], "num_heads": 2, "group_size": 8, "reserve": 0.25, "steps": 2}
ALL = ("autoencoder", "operator", "diff_residual", "consistency_distill")


def small(folder: Path, *stages: str, epochs: int = 1) -> Path:
    """A config of the given stages."""
    switched = {name: {"epochs": epochs if name in stages else 0} for name in ALL}
    return config(folder, stages=switched, diffusion=SMALL, training={"batch_size": 8, "steps_per_epoch": 2})


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config of a finished run without residual stages."""
    path = small(tmp_path_factory.mktemp("plain"), *ALL[:2])
    train(load_config(path))
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config of a finished run up to stage 3."""
    path = small(tmp_path_factory.mktemp("whole"), *ALL)
    train(load_config(path))
    return path


def copied(path: Path, target: Path) -> str:
    """A setting that works in a copy of a config's run."""
    shutil.copytree(path.parent / "run", target / "run")
    return f"run.dir={target / 'run'}"


def called(*words: str) -> str | None:
    """Runs a command of `ups`; None if it comes to its end, else the sentence of its error."""
    done = CliRunner().invoke(app, list(words))
    return None if done.exit_code == 0 else done.output


def followed(path: Path, stage: str, *settings: str) -> tuple[list[str], list[str]]:
    """Trains a stage and runs whatever commands errors name until it can; the errors and these commands."""
    command = ["train", "-c", str(path), "-s", stage, *(word for s in settings for word in ("--set", s))]
    errors, named = [], []
    while (error := called(*command)) is not None:
        errors.append(error)
        found = re.search(r"`(ups train .*)`", error)
        assert found and len(errors) < 5, error
        assert called(*shlex.split(found[1])[1:]) is None, found[1]
        named.append(found[1])
    return errors, named


def steps(commands: list[str]) -> list[str]:
    """Stages of commands, with a star where from scratch."""
    words = [shlex.split(command) for command in commands]
    return [line[line.index("--stage") + 1] + "*" * ("--fresh" in line) for line in words]


def test_a_residual_stage_does_not_join_a_run_whose_operator_saw_all_trajectories(plain: Path, tmp_path: Path) -> None:
    settings = (copied(plain, tmp_path), "stages.diff_residual.epochs=1")
    errors, named = followed(plain, "diff_residual", *settings)
    assert "was trained with reserved share = 0.0, and the config now says 0.25" in errors[0]
    assert steps(named) == ["autoencoder*", "operator"]
    assert all(settings[1] in command and str(tmp_path / "run") in command for command in named)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("diffusion.reserve=0.5", "reserved share = 0.25, and the config now says 0.5"),
        ("training.dt=0.1", "training.dt = None, and the config now says 0.1"),
        ("rollout.space=latent", "rollout.space = 'field', and the config now says 'latent'"),
        ("latent.width=4", "latent.width = 8, and the config now says 4"),
        ("data.limit=12", "was trained on other data"),
    ],
)
def test_a_predecessor_of_other_settings_is_refused(whole: Path, tmp_path: Path, setting: str, sentence: str) -> None:
    errors, named = followed(whole, "consistency_distill", copied(whole, tmp_path), setting)
    assert sentence in errors[0] and steps(named) == ["autoencoder*", "operator", "diff_residual"]


def test_a_teacher_of_other_settings_is_trained_again_alone(whole: Path, tmp_path: Path) -> None:
    place = copied(whole, tmp_path)
    before = (tmp_path / "run/checkpoints/operator.pt").read_bytes()
    _, named = followed(whole, "consistency_distill", place, "diffusion.solver=euler")
    assert steps(named) == ["diff_residual*"]
    assert (tmp_path / "run/checkpoints/operator.pt").read_bytes() == before
    kept = {path.name for path in (tmp_path / "run/checkpoints.1").iterdir()}
    stems = ("diffusion_residual", "consistency_distill")
    assert kept == {f"{stem}{kind}.pt" for stem in stems for kind in ("", "_ema", "_resume")}


def test_a_model_of_another_operator_names_the_command_that_replaces_it(whole: Path, tmp_path: Path) -> None:
    place, folder = copied(whole, tmp_path), tmp_path / "run"
    old = folder / "checkpoints.1"
    command = ["train", "-c", str(whole), "--set", place, "-s", "operator", "--fresh"]
    assert called(*command, "--set", "stages.operator.optimizer.lr=0.1") is None
    for path in old.glob("diffusion_residual*"):
        shutil.copy(path, folder / "checkpoints")
    with pytest.raises(UserError, match="belongs to another operator") as refused:
        ups.load(folder)
    errors, named = followed(whole, "consistency_distill", place)
    assert "belongs to another operator" in errors[0] and steps(named) == ["diff_residual*"]
    shutil.copy(old / "diffusion_residual_ema.pt", folder / "checkpoints")
    line = re.search("`ups (.*)`", str(refused.value))
    assert line and called(*shlex.split(line[1])) is None
    assert set(ups.load(folder).heads) == {"diffusion"}


def test_a_stage_of_other_settings_is_trained_again_by_the_command_of_its_error(plain: Path, tmp_path: Path) -> None:
    errors, named = followed(plain, "operator", copied(plain, tmp_path), "stages.operator.optimizer.lr=0.1")
    assert "stages.operator.optimizer.lr was 0.008 and is now 0.1; choose another run.dir" in errors[0]
    assert steps(named) == ["operator*"]


def test_a_finished_stage_of_other_epochs_is_trained_again_by_the_command_of_its_error(
    plain: Path, tmp_path: Path
) -> None:
    errors, named = followed(plain, "operator", copied(plain, tmp_path), "stages.operator.epochs=2")
    assert "finished after 1 of 1 epochs" in errors[0] and steps(named) == ["operator*"]
    assert checkpoint.load(tmp_path / "run/checkpoints/operator_resume.pt")["tally"]["epoch"] == 2


@pytest.mark.parametrize("epochs", [1, 3])
def test_an_unfinished_stage_of_other_epochs_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epochs: int
) -> None:
    path = small(tmp_path, *ALL[:2], epochs=2)
    stopped(path, monkeypatch)
    with pytest.raises(UserError, match=rf"operator has done 1 of 2 epochs.* one of {epochs}: keep it with --set .*=2"):
        train(load_config(path, [f"stages.operator.epochs={epochs}"]))
    train(load_config(path))


def test_missing_predecessors_are_named_in_their_order(tmp_path: Path) -> None:
    path = small(tmp_path, *ALL)
    errors, named = followed(path, "consistency_distill")
    assert steps(named) == ["autoencoder", "operator", "diff_residual"]
    missing = f"no checkpoint {tmp_path}/run/checkpoints/operator.pt of stage operator"
    assert f"{missing}: run `ups train --config {path} --stage operator` first" in errors[1]


def test_a_predecessor_that_is_switched_off_is_asked_for_with_epochs(tmp_path: Path) -> None:
    path = small(tmp_path, "operator")
    error = called("train", "-c", str(path), "-s", "operator", "--set", "training.train_codec=false")
    assert error and "--stage autoencoder --set training.train_codec=false --set stages.autoencoder.epochs=N`" in error


def stopped(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trains until the operator's second epoch, and stops there as a kill does."""
    original = Trainer.optimizer_step

    def step(self: Trainer, *rest: Any) -> None:
        if self.stage.name == "operator" and self.tally.step == 3:
            raise KeyboardInterrupt
        original(self, *rest)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "optimizer_step", step)
        train(load_config(path))


@pytest.mark.parametrize("kept", [True, False])
def test_an_unfinished_predecessor_is_finished_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    path, folder = small(tmp_path, *ALL[:3], epochs=2), tmp_path / "run/checkpoints"
    stopped(path, monkeypatch)
    assert ups.load(tmp_path / "run").parameters > 0
    if not kept:
        (folder / "operator_resume.pt").unlink()
    errors, named = followed(path, "diff_residual")
    assert "operator_ema.pt is of stage operator before its end" in errors[0]
    assert steps(named) == ["operator" if kept else "operator*"] and (folder.parent / "checkpoints.1").exists() != kept
    train(load_config(path, [f"run.dir={tmp_path / 'again'}"]))
    one, two = (checkpoint.load(f / "operator_ema.pt")["state"] for f in (folder, tmp_path / "again/checkpoints"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_finished_predecessor_needs_no_state_to_resume_from(whole: Path, tmp_path: Path) -> None:
    place = copied(whole, tmp_path)
    for path in (tmp_path / "run/checkpoints").glob("*_resume.pt"):
        path.unlink()
    assert called("train", "-c", str(whole), "-s", "diff_residual", "--fresh", "--set", place) is None


def test_nothing_is_set_aside_for_a_stage_that_cannot_be_trained(plain: Path, tmp_path: Path) -> None:
    place = copied(plain, tmp_path)
    (tmp_path / "run/checkpoints/autoencoder_ema.pt").unlink()
    (tmp_path / "run/checkpoints/autoencoder.pt").unlink()
    error = called("train", "-c", str(plain), "-s", "operator", "--fresh", "--set", place)
    assert error and "of stage autoencoder: run `" in error and not (tmp_path / "run/checkpoints.1").exists()
