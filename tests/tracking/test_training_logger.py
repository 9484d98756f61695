"""The JSONL log: whole lines, and a global step that never runs backwards."""

from pathlib import Path

import pytest

from ups.core.errors import UserError
from ups.tracking.jsonl import read_lines
from ups.tracking.training_logger import TrainingLogger


def train(path: Path, stage: str, epochs: range) -> None:
    """A process that trains `stage` on from the epoch before `epochs`."""
    log = TrainingLogger(path)
    log.rewind(stage, epochs.start - 1)
    for epoch in epochs:
        log.write({"stage": stage, "epoch": epoch})


def steps(path: Path) -> list[tuple[str, int, int]]:
    """Stage, epoch and global step of every line."""
    return [(e["stage"], e["epoch"], e["global_step"]) for e in read_lines(path)]


def test_the_global_step_counts_epochs_across_stages(tmp_path: Path) -> None:
    train(tmp_path / "log", "a", range(1, 3))
    train(tmp_path / "log", "b", range(1, 3))
    assert steps(tmp_path / "log") == [("a", 1, 1), ("a", 2, 2), ("b", 1, 3), ("b", 2, 4)]


def test_epochs_that_a_kill_took_back_are_written_again_under_their_steps(tmp_path: Path) -> None:
    train(tmp_path / "log", "a", range(1, 4))
    train(tmp_path / "log", "a", range(3, 5))
    assert steps(tmp_path / "log") == [("a", 1, 1), ("a", 2, 2), ("a", 3, 3), ("a", 4, 4)]


@pytest.mark.parametrize("line", ["3", "null", '{"stage": "a", "epoch": 2}', '{"global_step": 2, "epoch": "two"}'])
def test_a_line_that_is_no_epoch_is_named_and_kept(tmp_path: Path, line: str) -> None:
    path = tmp_path / "log"
    train(path, "a", range(1, 2))
    log = TrainingLogger(path)
    text = path.read_text() + line + "\n"
    path.write_text(text)
    for read in (lambda: TrainingLogger(path), lambda: log.rewind("a", 0)):
        with pytest.raises(UserError, match=r"log:2: expected an epoch with whole numbers global_step and epoch"):
            read()
    assert path.read_text() == text


def test_a_stage_that_is_trained_again_goes_on_after_all_others(tmp_path: Path) -> None:
    for stage in "abab":
        train(tmp_path / "log", stage, range(1, 3))
    assert steps(tmp_path / "log") == [("a", 1, 5), ("a", 2, 6), ("b", 1, 7), ("b", 2, 8)]
    train(tmp_path / "log", "a", range(1, 2))
    assert [step for _, _, step in steps(tmp_path / "log")] == [7, 8, 9]
