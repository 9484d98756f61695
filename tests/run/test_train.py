"""The pipeline on real files: what it leaves, what it refuses, and that a kill changes nothing."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import ups
from tests.small import config
from ups.cli import app
from ups.config import load_config
from ups.core.errors import UserError
from ups.run.score import evaluate_run
from ups.run.train import claim, run, train, train_all_stages


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder after `run`."""
    return run(
        load_config(config(tmp_path_factory.mktemp("finished"), evaluation={"bootstrap": 100, "pictures": True}))
    ).folder


def test_a_run_leaves_what_is_promised(finished: Path) -> None:
    files = {str(p.relative_to(finished)) for p in finished.rglob("*") if p.is_file()}
    weights = {f"checkpoints/{stage}{kind}.pt" for stage in ("autoencoder", "operator") for kind in ("", "_ema")}
    assert {"config.yaml", "metrics.json", "predictions.h5", "reports/training_log.jsonl", *weights} <= files
    assert {"report.html", "report/fields_operator.png"} <= files


def test_metrics_hold_protocol_and_rows(finished: Path) -> None:
    metrics = json.loads((finished / "metrics.json").read_text())
    assert {"data_hash", "split", "stride", "context", "seed", "config_hash"} <= set(metrics["protocol"])
    rows = {row["model"]: row for row in metrics["rows"]}
    solvers = {"solver@8", "solver@16", "solver@32"}
    assert {"persistence", "autoencoder", "operator", "operator (latent space)"} == set(rows) - solvers
    scalars = {
        "nrmse",
        "nrmse_pooled",
        "rmse",
        "crmse",
        "brmse",
        "frmse_low",
        "frmse_mid",
        "frmse_high",
        "vrmse",
        "max",
        "correlation_time",
    }
    for row in rows.values():
        assert scalars | {"nrmse_per_frame"} <= set(row["rollout"]) and scalars - {"correlation_time"} <= set(
            row["one_step"]
        )
        assert {"nfe_per_step", "ms_per_step", "train_seconds", "parameters"} <= set(row)
    assert rows["operator"]["nfe_per_step"] == 1 and rows["persistence"]["train_seconds"] == 0


def test_persistence_scores_what_the_exact_solution_says(finished: Path) -> None:
    rows = {row["model"]: row for row in json.loads((finished / "metrics.json").read_text())["rows"]}
    turned = 2 * np.sin(np.pi * 0.4 * 0.05 * np.arange(1, 9))
    assert rows["persistence"]["rollout"]["nrmse_per_frame"] == pytest.approx(turned.tolist(), rel=1e-3)


def test_the_log_counts_epochs_across_stages(finished: Path) -> None:
    entries = [json.loads(line) for line in (finished / "reports/training_log.jsonl").read_text().splitlines()]
    assert [e["global_step"] for e in entries] == [1, 2, 3, 4]
    assert [(e["stage"], e["epoch"]) for e in entries] == [
        ("autoencoder", 1),
        ("operator", 1),
        ("operator", 2),
        ("operator", 3),
    ]
    expected = {
        "loss",
        "lr",
        "epochs_since_improve",
        "grad_norm",
        "epoch_time_sec",
        "best_loss",
        "L_forward",
        "L_rec",
        "L_lat",
    }
    assert all(expected <= set(e) for e in entries if e["stage"] == "operator")


def test_training_again_takes_no_step_and_keeps_every_byte(finished: Path) -> None:
    before = {p: p.read_bytes() for p in finished.rglob("*") if p.suffix in (".pt", ".jsonl")}
    train(load_config(finished / "config.yaml"))
    assert all(p.read_bytes() == data for p, data in before.items())


def test_five_lines_of_python(finished: Path, tmp_path: Path) -> None:
    model = ups.load(finished)
    u0 = np.sin(2 * np.pi * np.arange(32) / 32)[None, None]
    forecast = model.rollout(u0, steps=4)
    assert forecast.values.shape == (1, 1, 4, 1, 32)
    assert forecast.times.tolist() == pytest.approx([0.05, 0.1, 0.15, 0.2])
    assert forecast.save(tmp_path / "f.h5").stat().st_size > 0 and forecast.plot(tmp_path / "f.png").exists()
    low, high = forecast.interval(0.9)
    assert torch.equal(low, high) and torch.equal(low, forecast.mean())


@pytest.mark.parametrize(
    "u0,options,sentence",
    [
        (torch.zeros(1, 1, 31), {}, r"must have shape \(B, 1, 32\), found \(1, 1, 31\)"),
        (torch.full((1, 1, 32), float("nan")), {}, "must be finite"),
        (torch.zeros(1, 1, 32), {"space": "fourier"}, "space must be"),
        (torch.zeros(1, 1, 32), {"dt": 0.1}, "dt = 0.1 was not trained, trained are steps of 0.05: .* data.strides"),
        (torch.zeros(1, 1, 32), {"dt": float("nan")}, "dt = nan was not trained"),
        (torch.zeros(1, 1, 32), {"params": {"nu": 1.0}}, "params must name beta, found nu"),
        (torch.zeros(2, 1, 32), {"params": torch.zeros(3, 1)}, r"params must have shape \(2, 1\)"),
    ],
)
def test_a_rollout_of_something_else_is_one_sentence(
    finished: Path, u0: torch.Tensor, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        ups.load(finished).rollout(u0, 2, **options)


def test_a_run_on_thinned_frames_and_several_steps_knows_its_steps_throughout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = {"operator": {"epochs": 1}, "diff_residual": {"epochs": 1}}
    path = config(tmp_path, data={"strides": [1, 2]}, training={"dt": 0.1}, stages=stages)
    folder = run(load_config(path)).folder
    assert "training.dt = 0.1: one frame in 2 of the data is taken\n" in capsys.readouterr().err
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["protocol"]["dt"] == pytest.approx(0.1) and metrics["protocol"]["stride"]["time"] == 2
    rows = {row["model"]: row["rollout"] for row in metrics["rows"]}
    assert rows.get("solver@32", {"nrmse": 0})["nrmse"] < 0.01  # the classical solver takes the same steps
    model, u0 = ups.load(folder), np.sin(2 * np.pi * np.arange(32) / 32)
    assert model.system.steps == pytest.approx((0.1, 0.2))
    for members in (1, 2):
        forecast = model.rollout(u0, 3, members=members, dt=0.2)
        assert forecast.times.tolist() == pytest.approx([0.2, 0.4, 0.6])
    with pytest.raises(UserError, match=r"dt = 0\.05 was not trained, trained are steps of 0\.1, 0\.2:"):
        model.rollout(u0, 3, dt=0.05)


def test_scores_of_the_validation_split_stand_beside_and_not_over(finished: Path) -> None:
    before = (finished / "metrics.json").read_bytes()
    metrics = evaluate_run(finished, "validation").model_dump()
    assert metrics["protocol"]["split"] == "validation" and (finished / "metrics.json").read_bytes() == before


@pytest.mark.parametrize("enabled", [True, False])
def test_all_stages_are_followed_by_an_evaluation_unless_it_is_switched_off(tmp_path: Path, enabled: bool) -> None:
    settings = {"bootstrap": 100, "pictures": False, "enabled": enabled}
    folder = train_all_stages(load_config(config(tmp_path, evaluation=settings)))
    assert (folder / "checkpoints/operator.pt").exists()
    assert (folder / "metrics.json").exists() == (folder / "report.html").exists() == enabled


def test_a_checkpoint_of_another_config_is_refused_and_the_folder_kept(finished: Path) -> None:
    before = (finished / "config.yaml").read_bytes()
    with pytest.raises(UserError, match=r"training.grad_clip was 1.0 and is now 2.0"):
        train(load_config(finished / "config.yaml", ["training.grad_clip=2"]))
    assert (finished / "config.yaml").read_bytes() == before


@pytest.mark.parametrize("epochs", [2, 4])
@pytest.mark.parametrize("stage", ["all", "operator"])
def test_a_finished_stage_that_is_asked_for_other_epochs_says_what_is_possible(
    finished: Path, epochs: int, stage: str
) -> None:
    before = {p: p.read_bytes() for p in finished.rglob("*") if p.is_file()}
    config, setting = str(finished / "config.yaml"), f"stages.operator.epochs={epochs}"
    done = CliRunner().invoke(app, ["train", "--config", config, "--stage", stage, "--set", setting])
    assert done.exit_code == 2
    assert done.stderr == (
        "error: stage operator finished after 3 of 3 epochs, and its schedules end with the last, so it cannot become "
        f"one of {epochs}: keep it with --set stages.operator.epochs=3, or train from scratch with `ups train --config "
        f"{finished.parent / 'small.yaml'} --stage operator --fresh --set {setting}` (ups orchestrate: --force-train)\n"
    )
    assert {p: p.read_bytes() for p in finished.rglob("*") if p.is_file()} == before


def test_a_folder_that_is_worked_in_is_not_evaluated(finished: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in finished.rglob("*") if p.is_file()}
    with claim(finished):
        done = CliRunner().invoke(app, ["evaluate", str(finished)])
    assert done.exit_code == 2
    assert done.stderr == f"error: another process is working in {finished}; wait for it or evaluate a copy of it\n"
    assert {p: p.stat().st_mtime_ns for p in finished.rglob("*") if p.is_file()} == before


def test_no_folder_is_made_to_evaluate_in(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["evaluate", str(tmp_path / "nowhere")])
    assert done.exit_code == 2 and "is not a run folder" in done.stderr and not (tmp_path / "nowhere").exists()


def test_a_missing_predecessor_names_its_command(tmp_path: Path) -> None:
    path = config(tmp_path)
    with pytest.raises(UserError, match=rf"ups train --config {path} --stage autoencoder"):
        train(load_config(path), "operator")


def test_a_run_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where the folder should be")
    with pytest.raises(UserError, match=r"cannot write the folder .*choose another"):
        train(load_config(config(tmp_path)))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_run_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(UserError, match="cannot write the folder"):
        train(load_config(config(tmp_path)))


def test_a_folder_without_a_run_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not a run folder: it has no config.yaml"):
        evaluate_run(tmp_path)
    with pytest.raises(UserError, match=r"expected operator.pt"):
        ups.load(tmp_path)
