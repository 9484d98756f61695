"""The Weights & Biases run of an orchestration is one, whoever logs into it."""

import json
import os
from pathlib import Path

import pytest

from ups.config import WandbSettings
from ups.orchestrate.wandb_run import one_wandb_run
from ups.tracking.wandb_client import RunIdentity
from ups.tracking.wandb_context import CONTEXT_VARIABLE
from ups.tracking.wandb_run_file import RunFile


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No parent hands a run on."""
    monkeypatch.delenv(CONTEXT_VARIABLE, raising=False)


def left(path: Path, project: str = "ups") -> Path:
    """The file that an earlier process left."""
    RunFile(RunIdentity("abc", "offline", project, None, "run", (), path.parent)).write_to(path)
    return path


def test_the_file_is_named_for_children_and_only_for_so_long(tmp_path: Path) -> None:
    with one_wandb_run(WandbSettings(mode="offline"), tmp_path / "context.json"):
        assert os.environ[CONTEXT_VARIABLE] == str(tmp_path / "context.json")
    assert CONTEXT_VARIABLE not in os.environ


def test_nothing_is_named_where_nothing_is_recorded(tmp_path: Path) -> None:
    with one_wandb_run(WandbSettings(), left(tmp_path / "context.json")):
        assert CONTEXT_VARIABLE not in os.environ


def test_the_mode_of_the_environment_goes_before_that_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = left(tmp_path / "context.json")
    monkeypatch.setenv("WANDB_MODE", "offline")
    with one_wandb_run(WandbSettings(), path):
        assert os.environ[CONTEXT_VARIABLE] == str(path) and json.loads(path.read_text())["id"] == "abc"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with one_wandb_run(WandbSettings(mode="offline"), path):
        assert CONTEXT_VARIABLE not in os.environ


def test_what_a_parent_names_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONTEXT_VARIABLE, "the parent's")
    with one_wandb_run(WandbSettings(mode="offline"), tmp_path / "context.json"):
        assert os.environ[CONTEXT_VARIABLE] == "the parent's"
    assert os.environ[CONTEXT_VARIABLE] == "the parent's"


def test_an_earlier_run_is_gone_on_with_if_it_is_in_the_same_place(tmp_path: Path) -> None:
    path = left(tmp_path / "context.json")
    with one_wandb_run(WandbSettings(mode="offline"), path):
        assert json.loads(path.read_text())["id"] == "abc"
    with one_wandb_run(WandbSettings(mode="offline", project="other"), path):
        assert not path.exists()


def test_a_damaged_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "context.json"
    path.write_text("{}")
    with one_wandb_run(WandbSettings(mode="offline"), path):
        assert not path.exists()
