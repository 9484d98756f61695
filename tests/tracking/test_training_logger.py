"""The JSONL log: whole lines, and a global step that never runs backwards."""

from pathlib import Path

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


def test_a_stage_that_is_trained_again_goes_on_after_all_others(tmp_path: Path) -> None:
    for stage in "abab":
        train(tmp_path / "log", stage, range(1, 3))
    assert steps(tmp_path / "log") == [("a", 1, 5), ("a", 2, 6), ("b", 1, 7), ("b", 2, 8)]
    train(tmp_path / "log", "a", range(1, 2))
    assert [step for _, _, step in steps(tmp_path / "log")] == [7, 8, 9]
