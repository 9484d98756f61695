"""Orchestrations from end to end, on a real run of seconds."""

import csv
import fcntl
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.orchestrate.waves import run, waves
from tests.tracking import wandb_records
from tests.tracking.settings import environment
from ups.core.errors import UserError
from ups.orchestrate import GateSettings, Options, Result, orchestrate, steps
from ups.orchestrate.plan import resolve
from ups.orchestrate.records import set_aside_records
from ups.run.train import claim
from ups.tracking.jsonl import read_log
from ups.training import checkpoint
from ups.training.loop import Trainer

LOG = "reports/training_log.jsonl"
WORSE = ("stages.operator.epochs=1", "stages.operator.optimizer.lr=1e-5")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config with a run that is trained, scored and judged."""
    path = waves(tmp_path_factory.mktemp("orchestrate"))
    run(path)
    return path


def content(folder: Path) -> dict[str, tuple[bytes, int]]:
    """What checkpoints, scores and training log hold, and when they were written."""
    files = [*(folder / "checkpoints").glob("*.pt"), *folder.glob("**/metrics.json"), *folder.glob("**/*.jsonl")]
    return {str(file.relative_to(folder)): (file.read_bytes(), file.stat().st_mtime_ns) for file in files}


def board(path: Path) -> list[tuple[str, str, str, str]]:
    """Rank, run, split and gate of every row of the leaderboard."""
    with (path.parent / "runs" / "leaderboard.csv").open(newline="") as file:
        return [(row["rank"], row["run"], row["split"], row["gate"]) for row in csv.DictReader(file)]


def step(result: Result, name: str) -> dict[str, Any]:
    """A line of the summary."""
    (found,) = [line for line in result.summary["steps"] if line["step"] == name]
    return found


def test_a_first_run_passes_because_there_is_nothing_to_beat(path: Path) -> None:
    summary = json.loads((path.parent / "runs/waves/summary.json").read_text())
    assert summary["verdict"] == "passed" and len(summary["reasons"]) == 2
    assert all("no other run stands on this protocol" in reason for reason in summary["reasons"])
    names = ["validate config", "validate data", "dry run", "train", "small evaluation", "small gate"]
    names += ["full evaluation", "full gate", "leaderboard", "leaderboard"]
    assert [line["step"] for line in summary["steps"]] == names
    assert board(path)[:2] == [("1", "waves", "test", "passed"), ("1", "waves", "validation", "passed")]


def test_a_second_run_does_nothing_and_says_the_same(path: Path) -> None:
    folder = path.parent / "runs/waves"
    before, summary = content(folder), (folder / "summary.json").read_bytes()
    said: list[str] = []
    orchestrate(Options(path, skip_dry_run=True), said.append)
    assert content(folder) == before and (folder / "summary.json").read_bytes() == summary
    work = [
        "validate config",
        "validate data",
        "train",
        "small evaluation",
        "small gate",
        "full evaluation",
        "full gate",
    ]
    assert [line.removesuffix(": done before") for line in said if line.endswith(": done before")] == work


def test_a_worse_run_fails_its_gate_and_the_leaderboard_shows_both(path: Path) -> None:
    worse = run(path, run_id="worse", overrides=WORSE, tags=("a", "b"), notes="too short")
    assert not worse.passed and worse.summary["verdict"] == "failed"
    gate = step(worse, "small gate")
    assert gate["passed"] is False and gate["champion"] == "waves"
    assert gate["sentence"].startswith("failed: nrmse ") and "that of the champion waves" in gate["sentence"]
    check = gate["checks"][0]
    assert check["value"] > check["limit"] == check["champion"]
    assert step(worse, "full evaluation")["sentence"] == "skipped: the small gate failed"
    assert not (worse.folder / "metrics.json").exists()
    rows = [row for row in board(path) if row[2] == "validation"]
    assert rows == [("1", "waves", "validation", "passed"), ("2", "worse", "validation", "failed")]
    assert "too short" in (path.parent / "runs/leaderboard.html").read_text()


def test_a_champion_stands_though_it_is_run_again_without_an_evaluation_or_by_another_protocol(tmp_path: Path) -> None:
    path = waves(tmp_path)
    run(path)
    run(path, skip_full_eval=True)
    run(path, overrides=("evaluation.one_step_members=1",))
    assert sorted(row[2] for row in board(path)) == ["test", "test", "validation", "validation"]
    worse = run(path, run_id="worse", overrides=WORSE, skip_small_eval=True)
    assert step(worse, "full gate")["champion"] == "waves" and not worse.passed


def test_a_run_is_not_compared_with_itself_nor_with_another_protocol(path: Path) -> None:
    other = run(path, run_id="other", overrides=(*WORSE, "evaluation.members=3"))
    assert other.passed and step(other, "small gate")["champion"] is None
    again = run(path, run_id="other", overrides=(*WORSE, "evaluation.members=3"), redo_small_eval=True)
    assert again.passed and step(again, "small gate")["champion"] is None


def test_a_decision_stands_until_scores_or_gate_change(path: Path) -> None:
    run(path, run_id="better", overrides=("stages.operator.epochs=9",))
    assert run(path).passed
    stricter = run(path, gate=GateSettings(ratio=0.5))
    assert step(stricter, "small gate")["champion"] == "better" and not stricter.passed
    again, rows = run(path), [row for row in board(path) if row[1] in ("waves", "better")]
    assert again.passed is (next(row[1] for row in rows if row[2] == "validation") == "waves")


def test_a_score_that_was_overwritten_is_scored_again(path: Path) -> None:
    metrics = path.parent / "runs/waves/validation/metrics.json"
    before = json.loads(metrics.read_text())
    metrics.write_text("{}")
    run(path)
    after = json.loads(metrics.read_text())
    assert [row["rollout"] for row in after["rows"]] == [row["rollout"] for row in before["rows"]]


def test_a_stage_on_its_own_is_trained_and_not_judged(path: Path, tmp_path: Path) -> None:
    result = run(path, run_dir=tmp_path / "runs/codec", train_stage="autoencoder")
    assert result.summary["verdict"] == "not judged" and result.passed
    assert step(result, "small evaluation")["sentence"] == "skipped: the operator is not trained yet"
    assert (result.folder / "checkpoints/autoencoder.pt").exists() and not (tmp_path / "runs/leaderboard.csv").exists()


def test_steps_that_are_skipped_say_so(path: Path) -> None:
    flags = {"skip_validation": True, "skip_training": True, "skip_small_eval": True, "skip_full_eval": True}
    lines = run(path, run_id="worse", overrides=WORSE, **flags).summary["steps"]
    assert {line["status"] for line in lines} == {"skipped"} and len(lines) == 9


def test_an_evaluation_that_its_file_switches_off_is_skipped(path: Path, tmp_path: Path) -> None:
    (tmp_path / "none.yaml").write_text("evaluation: {enabled: false}\n")
    result = run(path, full_eval_config=tmp_path / "none.yaml", run_id="worse", overrides=WORSE, skip_small_eval=True)
    assert step(result, "full evaluation")["sentence"] == "skipped: evaluation.enabled is false"


def test_forced_training_starts_over_and_keeps_what_was_there(tmp_path: Path) -> None:
    path = waves(tmp_path)
    folder = run(path).folder
    before = (folder / "checkpoints/operator_ema.pt").stat().st_mtime_ns
    log = (folder / LOG).read_text()
    run(path, force_train=True)
    assert (folder / "checkpoints.1/operator_ema.pt").stat().st_mtime_ns == before
    assert (folder / "checkpoints.1/training_log.jsonl").read_text() == log
    steps = [entry["global_step"] for entry in read_log(folder / LOG).epochs]
    assert steps == list(range(1, len(log.splitlines()) + 1))
    assert (folder / "checkpoints/operator_ema.pt").stat().st_mtime_ns > before
    run(path)
    assert not (folder / "checkpoints.2").exists()
    run(path, force_train=True)
    assert (folder / "checkpoints.2").exists()


def test_scores_of_the_old_weights_go_with_them_though_the_new_ones_fail_their_gate(tmp_path: Path) -> None:
    path = waves(tmp_path)
    folder = run(path).folder
    run(path, run_id="better", overrides=("stages.operator.epochs=9",))
    assert ("2", "waves", "test", "passed") in board(path)
    scores = (folder / "metrics.json").read_bytes()
    forced = run(path, force_train=True, gate=GateSettings(ratio=0.5))
    assert step(forced, "full evaluation")["sentence"] == "skipped: the small gate failed"
    assert not any((folder / name).exists() for name in ("metrics.json", "predictions.h5", "report.html"))
    assert (folder / "checkpoints.1/metrics.json").read_bytes() == scores
    aside = {"predictions.h5", "report.html", "summary.json", "validation"}
    assert aside <= {file.name for file in (folder / "checkpoints.1").iterdir()}
    rows = [row for row in board(path) if row[1] == "waves"]
    assert rows == [("2", "waves", "validation", "failed")]


def test_a_forced_training_that_does_not_end_leaves_no_champion_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = waves(tmp_path)
    run(path)
    monkeypatch.setattr(steps, "train_stages", lambda *_: pytest.fail("the disk is full"))
    with pytest.raises(pytest.fail.Exception):
        run(path, force_train=True)
    assert board(path) == [] and not (path.parent / "runs/waves/summary.json").exists()


def test_forced_training_is_a_run_of_its_own_for_the_trackers(tmp_path: Path) -> None:
    plan = resolve(Options(waves(tmp_path)))
    kept, begun = plan.folder / "checkpoints.1", ["tensorboard/events", "wandb/context.json", "wandb/run-1/records"]
    for name in (*begun, "orchestrate/wandb_context.json", "checkpoints.1/operator.pt"):
        (plan.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (plan.folder / name).touch()
    set_aside_records(plan, kept)
    assert sorted(path.name for path in kept.iterdir()) == ["context.json", "operator.pt", "tensorboard"]
    left = sorted(str(path.relative_to(plan.folder)) for path in plan.folder.rglob("*") if path.is_file())
    assert [path for path in left if not path.startswith("checkpoints.1")] == ["wandb/run-1/records"]


def weights(folder: Path, stage: str) -> dict[str, torch.Tensor]:
    """The averaged weights of a stage."""
    return checkpoint.load(folder / f"{stage}_ema.pt")["state"]


def test_forced_training_of_a_stage_keeps_what_it_builds_on(tmp_path: Path) -> None:
    path = waves(tmp_path)
    folder = run(path).folder
    before = content(folder)
    forced = run(path, train_stage="operator", force_train=True)
    assert forced.passed and step(forced, "full evaluation")["status"] == "done"
    kept = {name: file for name, file in content(folder).items() if "autoencoder" in name}
    assert kept and kept == {name: before[name] for name in kept}
    aside = {file.name for file in (folder / "checkpoints.1").glob("*.pt")}
    assert aside == {"operator.pt", "operator_ema.pt", "operator_resume.pt"}
    old, new = (weights(folder / name, "operator") for name in ("checkpoints.1", "checkpoints"))
    assert all(torch.equal(old[key], new[key]) for key in old)


def test_forced_training_that_failed_half_way_goes_on_with_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = waves(tmp_path)
    folder = run(path).folder
    step_of = Trainer.optimizer_step

    def fails(trainer: Trainer, *given: Any) -> None:
        if trainer.tally.step == 8:
            raise UserError("the disk is full")
        step_of(trainer, *given)

    for _ in range(2):
        with monkeypatch.context() as patch, pytest.raises(UserError, match="the disk is full"):
            patch.setattr(Trainer, "optimizer_step", fails)
            run(path, train_stage="operator", force_train=True)
    assert run(path, train_stage="operator", force_train=True).passed
    old, new = (weights(folder / name, "operator") for name in ("checkpoints.1", "checkpoints"))
    assert all(torch.equal(old[key], new[key]) for key in old) and not (folder / "checkpoints.2").exists()


def test_a_model_that_an_evaluation_trains_changes_nothing_about_training(tmp_path: Path) -> None:
    path = waves(tmp_path)
    overrides = ("evaluation.baselines=[unet]",)
    folder = run(path, overrides=overrides).folder
    before = content(folder)
    assert "checkpoints/unet.pt" in before
    again = run(path, overrides=overrides)
    assert content(folder) == before and "unet" not in step(again, "train")["stages"]
    assert run(path, overrides=overrides, train_stage="operator", force_train=True).passed
    assert (folder / "checkpoints.1/unet.pt").exists() and (folder / "checkpoints/unet.pt").exists()


def test_the_estimate_stands_beside_what_was_measured(tmp_path: Path) -> None:
    result = run(waves(tmp_path), skip_dry_run=False)
    timings = json.loads((result.folder / "orchestrate/timings.json").read_text())
    assert set(timings["measured_over_estimated"]) == {"small evaluation", "full evaluation", "train", "all", "memory"}
    assert set(timings["estimate"]["stages"]) == {"autoencoder", "operator"}
    assert timings["measured"]["seconds"]["train"] > 0
    assert not any("second" in key for line in result.summary["steps"] for key in line)


def test_a_folder_that_another_orchestration_works_in_is_left_alone(path: Path) -> None:
    with (path.parent / "runs/waves/orchestrate/.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another process is working in"):
            run(path)


def test_a_run_that_another_process_evaluates_is_not_evaluated_at_once(path: Path) -> None:
    folder = path.parent / "runs/waves"
    before = content(folder)
    with claim(folder), pytest.raises(UserError, match=f"another process is working in {folder};"):
        run(path, redo_small_eval=True)
    assert content(folder) == before
    assert step(run(path, redo_small_eval=True), "small evaluation")["status"] == "done"


def test_a_model_that_is_not_there_cannot_be_judged_without_training(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no trained operator in"):
        run(waves(tmp_path), skip_training=True)


def test_data_that_would_spoil_a_training_stop_it_before_it_begins(tmp_path: Path) -> None:
    import h5py

    path = waves(tmp_path)
    with h5py.File(tmp_path / "data/waves.hdf5", "r+") as file:
        tensor = file["tensor"]
        assert isinstance(tensor, h5py.Dataset)
        tensor[5] = tensor[4]
    with pytest.raises(UserError, match=r"waves.hdf5: trajectory 5 equals trajectory 4 .*--skip-validation"):
        run(path)
    assert not (tmp_path / "runs/waves/checkpoints").exists()


def test_too_few_frames_for_an_evaluation_are_told_before_training(tmp_path: Path) -> None:
    path = waves(tmp_path)
    with pytest.raises(UserError, match=r"also_context: 10 given frames need trajectories of at least 11, found 9"):
        run(path, overrides=("evaluation.also_context=[10]",))
    assert not (tmp_path / "runs/waves/checkpoints").exists()


def test_a_tracker_hears_of_training_and_both_evaluations_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []

    class Listener:
        def epoch(self, entry: Mapping[str, Any]) -> None:
            heard.append(entry["stage"])

        def evaluation(self, metrics: Mapping[str, Any], folder: Path) -> None:
            heard.append(metrics["protocol"]["split"])

        def file(self, path: Path) -> None:
            assert path.exists()

        def close(self, failed: bool) -> None:
            heard.append(f"closed, failed: {failed}")

    opened = steps.tracker_of
    monkeypatch.setattr(steps, "tracker_of", lambda config: type(opened(config))([Listener()]))
    run(waves(tmp_path))
    assert heard == ["autoencoder", *["operator"] * 3, "validation", "test", "closed, failed: False"]
    run(tmp_path / "small.yaml")
    assert len(heard) == 7


@pytest.mark.slow
def test_training_and_evaluations_are_one_wandb_run_also_in_a_later_process(tmp_path: Path) -> None:
    path = waves(tmp_path)
    for redo in (False, True):
        flags = {"wandb_mode": "offline", "wandb_project": "tests", "redo_full_eval": redo}
        command = [sys.executable, "-m", "tests.orchestrate.waves", str(path), "none", json.dumps(flags)]
        subprocess.run(command, check=True, capture_output=True, timeout=300, env=environment(tmp_path))
    folder = tmp_path / "runs/waves"
    first, second = wandb_records.offline_files(folder)
    handed = json.loads((folder / "orchestrate/wandb_context.json").read_text())
    assert wandb_records.run_ids(first) == wandb_records.run_ids(second) == {handed["id"]}
    epochs = [row["operator/epoch"] for row in wandb_records.history(first) if "operator/epoch" in row]
    assert epochs == [1, 2, 3]
    scored = {"validation/operator/rollout/nrmse", "test/operator/rollout/nrmse"}
    assert scored <= set(wandb_records.summary(first))
    assert scored & set(wandb_records.summary(second)) == {"test/operator/rollout/nrmse"}
