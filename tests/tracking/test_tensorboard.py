"""TensorBoard's own reader finds what was recorded."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.tracking.settings import METRICS, TTC, Tracking, Wandb
from ups.core.errors import UserError
from ups.tracking import tensorboard
from ups.tracking.sinks import TensorBoardSink, Tracker, open_sinks
from ups.tracking.tensorboard import TensorBoard


def events(folder: Path) -> Any:
    """All events of a folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder)).Reload()


def train(folder: Path, steps: range, loss: float) -> None:
    """Records one epoch for every global step."""
    with Tracker([TensorBoardSink(TensorBoard(folder))]) as tracker:
        for step in steps:
            tracker.epoch({"global_step": step, "stage": "operator", "epoch": step, "loss": loss / step, "score": None})


def test_epochs_are_scalars_over_the_global_step(tmp_path: Path) -> None:
    train(tmp_path, range(1, 4), loss=1.0)
    points = events(tmp_path).Scalars("operator/loss")
    assert [p.step for p in points] == [1, 2, 3]
    assert [p.value for p in points] == pytest.approx([1, 1 / 2, 1 / 3])


def test_a_training_that_goes_on_replaces_what_was_lost(tmp_path: Path) -> None:
    train(tmp_path, range(1, 4), loss=1.0)
    train(tmp_path, range(3, 5), loss=2.0)
    points = events(tmp_path).Scalars("operator/loss")
    assert [p.step for p in points] == [1, 2, 3, 4]
    assert [p.value for p in points] == pytest.approx([1, 1 / 2, 2 / 3, 2 / 4])


def test_an_evaluation_is_scalars_a_table_and_pictures_and_hides_nothing(tmp_path: Path) -> None:
    train(tmp_path / "board", range(1, 4), loss=1.0)
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    (tmp_path / "report").mkdir()
    Image.fromarray(pixels).save(tmp_path / "report" / "error.png")
    metrics = METRICS | {"ttc": TTC, "pictures": ["report/error.png"]}
    with Tracker([TensorBoardSink(TensorBoard(tmp_path / "board"))]) as tracker:
        tracker.evaluation(metrics, tmp_path)
    found = events(tmp_path / "board")
    assert found.Scalars("test/ttc/best-of-n/nrmse")[0].value == pytest.approx(0.2)
    assert b"| best-of-n | 0.2 |" in found.Tensors("test/ttc/text_summary")[0].tensor_proto.string_val[0]
    assert found.Scalars("test/operator/rollout/nrmse")[0].value == 0.25
    assert [p.step for p in found.Scalars("operator/loss")] == [1, 2, 3]
    (picture,) = found.Images("test/error")
    assert (picture.width, picture.height) == (4, 4)
    text = found.Tensors("test/ledger/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "| operator | 0.25 | 0.8 | 0.7 | 0.9 | pays |" in text


def test_an_evaluation_of_its_own_stands_at_the_last_step_of_the_log(tmp_path: Path) -> None:
    train(tmp_path / "tensorboard", range(1, 4), loss=1.0)
    settings = Tracking(Wandb("disabled"), tensorboard=True)
    with Tracker(open_sinks(settings, tmp_path, {}, step=3)) as tracker:
        tracker.evaluation(METRICS, tmp_path)
    found = events(tmp_path / "tensorboard")
    assert [p.step for p in found.Scalars("test/operator/rollout/nrmse")] == [3]
    assert [p.step for p in found.Scalars("operator/loss")] == [1, 2, 3]


def test_a_missing_package_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorboard, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"tensorboard is not installed.*universal-physics-stack\[tensorboard\]"):
        TensorBoard(tmp_path)
