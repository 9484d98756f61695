"""The JSONL log: whole lines, and a global step that never runs backwards."""

from pathlib import Path

import pytest

from ups.core.errors import UserError
from ups.tracking.jsonl import read_log
from ups.tracking.training_logger import TrainingLogger


def train(path: Path, stage: str, epochs: range) -> None:
    """A process that trains `stage` on from the epoch before `epochs`."""
    log = TrainingLogger(path)
    log.rewind(stage, epochs.start - 1)
    for epoch in epochs:
        log.write({"stage": stage, "epoch": epoch})


def steps(path: Path) -> list[tuple[str, int, int]]:
    """Stage, epoch and global step of every line."""
    return [(e["stage"], e["epoch"], e["global_step"]) for e in read_log(path).epochs]


def test_the_global_step_counts_epochs_across_stages(tmp_path: Path) -> None:
    train(tmp_path / "log", "a", range(1, 3))
    train(tmp_path / "log", "b", range(1, 3))
    assert steps(tmp_path / "log") == [("a", 1, 1), ("a", 2, 2), ("b", 1, 3), ("b", 2, 4)]


def test_epochs_that_a_kill_took_back_are_written_again_under_their_steps(tmp_path: Path) -> None:
    train(tmp_path / "log", "a", range(1, 4))
    train(tmp_path / "log", "a", range(3, 5))
    assert steps(tmp_path / "log") == [("a", 1, 1), ("a", 2, 2), ("a", 3, 3), ("a", 4, 4)]


EPOCH = b'{"stage": "a", "epoch": 2, "global_step": 9'
BAD = [
    *(b"3", b"null", b"[" * 100_000, b"\xff\xfe", b'{"stage": "a", "epo'),
    *(b'{"stage": "a", "epoch": 2}', b'{"stage": "a", "global_step": 2, "epoch": "two"}'),
    *(b'{"stage": ["a"], "epoch": 2, "global_step": 9}', b'{"epoch": 2, "global_step": 9}'),
    *(EPOCH + b', "loss": [1]}', EPOCH + b', "loss": ' + b"9" * 5000 + b"}", EPOCH.replace(b"9", b"9" * 20) + b"}"),
]


@pytest.mark.parametrize("line", BAD, ids=lambda line: repr(line[:30]))
def test_a_line_that_is_no_epoch_is_skipped_counted_and_kept(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "log"
    train(path, "a", range(1, 3))
    path.write_bytes(path.read_bytes() + line + b"\n")
    train(path, "b", range(1, 2))
    assert steps(path) == [("a", 1, 1), ("a", 2, 2), ("b", 1, 3)]
    assert read_log(path).skipped == 1 and read_log(path).notice == "1 line of the training log skipped"
    train(path, "a", range(2, 3))
    assert steps(path) == [("a", 1, 1), ("b", 1, 3), ("a", 2, 4)] and line in path.read_bytes().splitlines()


def test_numbers_that_are_not_finite_or_far_too_large_are_read_as_none(tmp_path: Path) -> None:
    line = '{"stage": "a", "epoch": 1, "global_step": 1, "loss": NaN, "score": 1e999, "lr": -1e305, "L_a": 2}\n'
    (tmp_path / "log").write_text(line)
    (entry,) = read_log(tmp_path / "log").epochs
    assert [entry[key] for key in ("loss", "score", "lr", "L_a")] == [None, None, None, 2]


def test_what_is_no_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a training log: expected a file of at most"):
        TrainingLogger(tmp_path)


def test_a_stage_that_is_trained_again_goes_on_after_all_others(tmp_path: Path) -> None:
    for stage in "abab":
        train(tmp_path / "log", stage, range(1, 3))
    assert steps(tmp_path / "log") == [("a", 1, 5), ("a", 2, 6), ("b", 1, 7), ("b", 2, 8)]
    train(tmp_path / "log", "a", range(1, 2))
    assert [step for _, _, step in steps(tmp_path / "log")] == [7, 8, 9]
