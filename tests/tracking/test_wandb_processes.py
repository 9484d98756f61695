"""Weights & Biases with the real client, without a network: what lies on disk after real processes."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.small import config
from tests.tracking import wandb_records
from tests.tracking.settings import LEDGER, environment, said, start
from tests.tracking.training import train_toy
from ups.tracking.sinks import Tracker

LOG = "reports/training_log.jsonl"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Epochs of a process and the evaluation of its child, both offline."""
    folder = tmp_path_factory.mktemp("tracked")
    done = start("parent", folder, "offline", WANDB_CONTEXT_FILE=str(folder / "handed.json"))
    assert (done.returncode, said(done)) == (0, [])
    return folder


def lines(folder: Path) -> list[dict[str, object]]:
    """The training log."""
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]


def test_training_and_the_evaluation_of_a_child_are_one_run(finished: Path) -> None:
    (path,) = wandb_records.offline_files(finished)
    handed = json.loads((finished / "handed.json").read_text())
    assert wandb_records.run_ids(path) == {handed["id"]} and handed["service"] is None
    assert wandb_records.exit_codes(path) == [0]
    rows, summary = wandb_records.history(path), wandb_records.summary(path)
    assert rows[:3] == [{"global_step": i, "operator/epoch": i, "operator/loss": 1 / i} for i in (1, 2, 3)]
    assert [row["global_step"] for row in rows if "global_step" in row] == [1, 2, 3, 4]
    assert rows[-1] == {"diffusion/epoch": 1, "diffusion/loss": 0.5, "global_step": 4}
    assert summary["test/operator/rollout/nrmse"] == 0.25 and summary["test/persistence/rollout/nrmse"] == 1.5
    assert "test/operator/rollout/vrmse" not in summary


def test_every_stage_is_drawn_over_its_own_epochs(finished: Path) -> None:
    (path,) = wandb_records.offline_files(finished)
    assert wandb_records.axes(path) == {"operator/*": "operator/epoch", "diffusion/*": "diffusion/epoch"}


def test_the_table_and_the_files_lie_in_the_run(finished: Path) -> None:
    (path,) = wandb_records.offline_files(finished)
    (table,) = (path.parent / "files").rglob("*.table.json")
    data = json.loads(table.read_text())
    assert data["columns"] == LEDGER
    assert data["data"] == [["persistence", 1.5, None, None, None, ""], ["operator", 0.25, 0.8, 0.7, 0.9, "pays"]]
    kept = path.parent / "files" / "checkpoints" / "operator.pt"
    assert kept.read_bytes() == (finished / "checkpoints" / "operator.pt").read_bytes()
    assert json.loads((path.parent / "files" / "metrics.json").read_text())["protocol"] == {"split": "test"}


@pytest.mark.slow
def test_the_mode_of_the_environment_makes_one_run_of_ups_train_and_ups_evaluate(tmp_path: Path) -> None:
    path, folder = config(tmp_path), tmp_path / "run"
    for arguments in (["train", "--config", str(path)], ["evaluate", str(folder)]):
        done = ups(tmp_path, *arguments, WANDB_MODE="offline")
        assert done.returncode == 0 and "warning" not in done.stderr, done.stderr
    trained, scored = wandb_records.offline_files(folder)
    (run,) = wandb_records.run_ids(trained)
    assert wandb_records.run_ids(scored) == {run} == {json.loads((folder / "wandb/context.json").read_text())["id"]}
    epochs = [row["operator/loss"] for row in wandb_records.history(trained) if "operator/loss" in row]
    assert epochs == [line["loss"] for line in lines(folder) if line["stage"] == "operator"] and len(epochs) == 3
    rows = {row["model"]: row for row in json.loads((folder / "metrics.json").read_text())["rows"]}
    key = "test/operator/rollout/nrmse"
    assert wandb_records.summary(scored)[key] == rows["operator"]["rollout"]["nrmse"]
    assert key not in wandb_records.summary(trained)
    assert wandb_records.exit_codes(trained) == wandb_records.exit_codes(scored) == [0]


@pytest.mark.slow
def test_the_mode_of_the_environment_switches_off_what_the_config_switches_on(tmp_path: Path) -> None:
    path = config(tmp_path, tracking={"wandb": {"mode": "offline"}}, stages={"operator": {"epochs": 0}})
    done = ups(tmp_path, "train", "--config", str(path), WANDB_MODE="disabled")
    assert done.returncode == 0 and not (tmp_path / "run/wandb").exists(), done.stderr


def ups(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command line, to its end."""
    command = [sys.executable, "-c", "from ups.cli import main; main()", *arguments]
    given = environment(folder, **variables)
    return subprocess.run(command, env=given, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_tracking_changes_no_bit_of_the_result(tmp_path: Path) -> None:
    threads, tracked = torch.get_num_threads(), tmp_path / "tracked"
    done = start("training", tracked, "offline")
    assert (done.returncode, said(done)) == (0, [])
    plain = train_toy(tmp_path / "plain", Tracker())
    torch.set_num_threads(threads)
    assert torch.equal(torch.load(tracked / "weights.pt", weights_only=True), plain)
    assert [e["loss"] for e in lines(tracked)] == [e["loss"] for e in lines(tmp_path / "plain")]
    (path,) = wandb_records.offline_files(tracked)
    assert [row["operator/loss"] for row in wandb_records.history(path)] == [e["loss"] for e in lines(tracked)]


def test_a_run_without_a_key_goes_on_offline_with_one_warning(tmp_path: Path) -> None:
    done = start("evaluation", tmp_path, "online")
    (path,) = wandb_records.offline_files(tmp_path)
    assert done.returncode == 0 and len(said(done)) == 1
    assert "No API key configured" in done.stderr and f"wandb sync {path.parent}" in done.stderr
    assert wandb_records.summary(path)["test/operator/rollout/nrmse"] == 0.25


@pytest.fixture(params=["refuses", "never answers"])
def unreachable(request: pytest.FixtureRequest) -> Iterator[str]:
    """Address of a port that is closed, or of one that takes connections and keeps silent."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if request.param == "never answers":
            server.listen(64)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.slow
def test_an_unreachable_server_costs_one_warning_and_changes_no_bit(tmp_path: Path, unreachable: str) -> None:
    threads, tracked = torch.get_num_threads(), tmp_path / "tracked"
    done = start("training", tracked, "online", WANDB_API_KEY="0" * 40, WANDB_BASE_URL=unreachable)
    (path,) = wandb_records.offline_files(tracked)
    assert done.returncode == 0 and len(said(done)) == 1 and "is recorded offline" in said(done)[0]
    plain = train_toy(tmp_path / "plain", Tracker())
    torch.set_num_threads(threads)
    assert torch.equal(torch.load(tracked / "weights.pt", weights_only=True), plain)
    assert [e["loss"] for e in lines(tracked)] == [e["loss"] for e in lines(tmp_path / "plain")]
    assert [row["operator/loss"] for row in wandb_records.history(path)] == [e["loss"] for e in lines(tracked)]
    assert json.loads((tracked / "wandb" / "context.json").read_text())["id"] in path.name


@pytest.mark.slow
def test_a_later_process_continues_the_run_by_its_id(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / finished.name
    shutil.copytree(finished, folder, symlinks=True)
    assert start("evaluation", folder, "offline").returncode == 0
    first, second = wandb_records.offline_files(folder)
    assert wandb_records.run_ids(first) == wandb_records.run_ids(second)
    assert wandb_records.summary(second)["test/operator/rollout/nrmse"] == 0.25
    assert wandb_records.exit_codes(second) == [0]


@pytest.mark.slow
def test_a_run_whose_owner_was_killed_is_continued_by_its_id(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / finished.name
    shutil.copytree(finished, folder, symlinks=True)
    context = folder / "wandb" / "context.json"
    left = json.loads(context.read_text()) | {"service": f"3-1-unix-{tmp_path}/gone"}
    context.write_text(json.dumps(left))
    done = start("evaluation", folder, "offline")
    assert (done.returncode, said(done)) == (0, [])
    assert wandb_records.run_ids(wandb_records.offline_files(folder)[1]) == {left["id"]}


@pytest.mark.slow
def test_a_client_that_stops_answering_does_not_keep_the_process_from_ending(tmp_path: Path) -> None:
    code = """
import os, pathlib, signal, sys, time
from tests.tracking.settings import Tracking
from ups.tracking.sinks import Tracker, open_sinks
folder = pathlib.Path(sys.argv[1])
with Tracker(open_sinks(Tracking(), folder, {})) as tracker:
    while '"service": null' in (folder / "wandb" / "context.json").read_text():
        time.sleep(0.02)
    tracker.epoch({"global_step": 1, "stage": "operator", "epoch": 1, "loss": 1.0})
    children = pathlib.Path(f"/proc/{os.getpid()}/task").glob("*/children")
    for child in " ".join(path.read_text() for path in children).split():
        os.kill(int(child), signal.SIGSTOP)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0
    assert len(said(done)) == 1 and "did not answer within 10 s" in said(done)[0]
