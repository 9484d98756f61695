"""An orchestration that is killed at any moment and started again ends as if it had not been."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.orchestrate.waves import run, waves
from tests.tracking.settings import environment

QUICK = ["operator@8", "test/operator"]
SLOW = ["autoencoder@3", "operator.score", "operator.pt", "validation/operator", "test/report"]
SLOW += ["validate config", "validate data", "train", "small evaluation", "small gate", "full evaluation", "full gate"]
SLOW += ["finish_board"]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config."""
    return waves(tmp_path_factory.mktemp("killed"))


@pytest.fixture(scope="module")
def whole(path: Path) -> str:
    """The summary of a run that was never killed."""
    return summary(path)


def summary(path: Path, **flags: Any) -> str:
    """The summary of an orchestration."""
    return (run(path, **flags).folder / "summary.json").read_text()


def killed(path: Path, marker: str, **flags: Any) -> None:
    """Starts the orchestration in a process that is killed at a marker."""
    given = json.dumps({"skip_dry_run": True, **flags})
    command = [sys.executable, "-m", "tests.orchestrate.waves", str(path), marker, given]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment(path.parent))
    assert done.returncode == -9, done.stderr


@pytest.mark.parametrize("marker", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_a_run_that_was_killed_ends_with_the_same_summary(path: Path, whole: str, marker: str) -> None:
    shutil.rmtree(path.parent / "runs")
    killed(path, marker)
    assert not (path.parent / "runs/waves/summary.json").exists()
    assert summary(path) == whole


@pytest.mark.slow
def test_a_dry_run_that_was_killed_is_begun_again(tmp_path: Path) -> None:
    path = waves(tmp_path)
    whole = summary(path, skip_dry_run=False)
    shutil.rmtree(path.parent / "runs")
    killed(path, "dry run", skip_dry_run=False)
    assert summary(path, skip_dry_run=False) == whole
    assert not (path.parent / "runs/waves/orchestrate/dry_run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["all", "operator"])
@pytest.mark.parametrize("marker", ["set_aside_checkpoints", "operator@8", "train"])
def test_forced_training_that_was_killed_is_not_started_over_twice(path: Path, stage: str, marker: str) -> None:
    flags = {"train_stage": stage, "force_train": True}
    ends = []
    for kill in (False, True):
        shutil.rmtree(path.parent / "runs", ignore_errors=True)
        run(path)
        if kill:
            killed(path, marker, **flags)
        trained = path.parent / "runs/waves/checkpoints/operator_resume.pt"
        before = trained.stat().st_mtime_ns if trained.exists() and marker == "train" else None
        ends.append(summary(path, **flags))
        assert before in (None, trained.stat().st_mtime_ns) or not kill
        assert not (path.parent / "runs/waves/checkpoints.2").exists()
    assert ends[0] == ends[1]
