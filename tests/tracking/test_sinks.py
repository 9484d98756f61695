"""The tracker: one entry reaches every listener, and a listener can change nothing."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tracking.fakes import Fake, explode, identity
from tests.tracking.settings import LEDGER, METRICS, TTC, Tracking, Wandb
from tests.tracking.training import train_toy
from ups.tracking.jsonl import read_log
from ups.tracking.sinks import TensorBoardSink, Tracker, WandbSink, open_sinks
from ups.tracking.tensorboard import TensorBoard
from ups.tracking.wandb_context import WandBContext


def wandb_sink(folder: Path, fake: Fake) -> WandbSink:
    """A sink with a stand-in for the client."""
    return WandbSink(WandBContext(identity(folder), connect=fake.connect))


def test_nothing_listens_where_nothing_is_enabled(tmp_path: Path) -> None:
    assert open_sinks(Tracking(Wandb("disabled")), tmp_path, {}) == [] and not list(tmp_path.iterdir())


def test_epochs_reach_wandb_as_rows_with_their_step(tmp_path: Path) -> None:
    fake = Fake()
    with Tracker([wandb_sink(tmp_path, fake)]) as tracker:
        tracker.epoch({"global_step": 7, "stage": "operator", "epoch": 2, "loss": 0.5, "score": None})
    assert fake.calls == [("log", "operator", {"epoch": 2, "loss": 0.5}, 7), ("finish", 0)]


def test_an_evaluation_reaches_wandb_as_summary_table_pictures_and_file(tmp_path: Path) -> None:
    fake, picture = Fake(), tmp_path / "report" / "error.png"
    with Tracker([wandb_sink(tmp_path, fake)]) as tracker:
        tracker.evaluation(METRICS | {"pictures": ["report/error.png"]}, tmp_path)
    values = {"persistence/rollout/nrmse": 1.5, "operator/rollout/nrmse": 0.25, "operator/nfe_per_step": 1}
    assert fake.calls[0] == ("summary", {f"test/{k}": v for k, v in values.items()})
    rows = [["persistence", 1.5, None, None, None, ""], ["operator", 0.25, 0.8, 0.7, 0.9, "pays"]]
    assert fake.calls[1] == ("table", "test/ledger", LEDGER, rows)
    assert fake.calls[2:4] == [("image", "test/error", picture), ("save", tmp_path / "metrics.json")]


def test_test_time_conditioning_reaches_wandb_as_summary_and_table(tmp_path: Path) -> None:
    fake = Fake()
    with Tracker([wandb_sink(tmp_path, fake)]) as tracker:
        tracker.evaluation(METRICS | {"ttc": TTC}, tmp_path)
    summary = fake.calls[0][1]
    assert summary["test/operator/rollout/nrmse"] == 0.25
    assert summary["test/ttc/baseline/nrmse"] == 0.25 and summary["test/ttc/best-of-n/nrmse"] == 0.2
    found = [summary[f"test/ttc/{name}"] for name in ("gain", "gain_low", "gain_high", "correlation")]
    assert found == [0.2, 0.1, 0.3, 0.5] and not any("beam" in name for name in summary)
    _, name, columns, rows = fake.calls[2]
    assert name == "test/ttc" and columns == list(TTC["rows"][0]) and rows[1] == ["best-of-n", 0.2, 0.2, 0.1, 0.3]


def test_pictures_of_earlier_scores_stay_where_they_are(tmp_path: Path) -> None:
    fake, stale = Fake(), tmp_path / "report" / "error.png"
    stale.parent.mkdir()
    stale.touch()
    with Tracker([wandb_sink(tmp_path, fake)]) as tracker:
        tracker.evaluation(METRICS, tmp_path)
    assert "image" not in [call[0] for call in fake.calls]


def test_an_error_ends_the_run_as_failed_and_is_passed_on(tmp_path: Path) -> None:
    fake = Fake()
    with pytest.raises(ValueError, match="training broke"), Tracker([wandb_sink(tmp_path, fake)]):
        raise ValueError("training broke")
    assert fake.calls == [("finish", 1)]


def test_trackers_that_fail_change_neither_weights_nor_log_nor_random_state(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    threads, before = torch.get_num_threads(), (random.getstate(), np.random.get_state(legacy=False)["state"]["key"])
    plain = train_toy(tmp_path / "plain", Tracker())
    (tmp_path / "file").touch()
    sinks = [
        wandb_sink(tmp_path, Fake(act=explode)),
        TensorBoardSink(TensorBoard(tmp_path / "file" / "below")),
        TensorBoardSink(TensorBoard(tmp_path / "board")),
    ]
    with Tracker(sinks) as tracker:
        tracked = train_toy(tmp_path / "tracked", tracker)
    torch.set_num_threads(threads)
    assert torch.equal(plain, tracked)
    logs = [read_log(tmp_path / name / "reports" / "training_log.jsonl").epochs for name in ("plain", "tracked")]
    assert len(logs[0]) == 3 and [e["loss"] for e in logs[0]] == [e["loss"] for e in logs[1]]
    assert random.getstate() == before[0] and np.array_equal(
        np.random.get_state(legacy=False)["state"]["key"], before[1]
    )
    warnings = [line for line in capfd.readouterr().err.splitlines() if line.startswith("warning")]
    assert sorted(line.split()[1] for line in warnings) == ["TensorBoard", "W&B"]
