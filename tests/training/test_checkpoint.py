"""Checkpoints: whole or not at all, and never code."""

import os
import pickle
from pathlib import Path

import pytest
import torch

from ups.core.errors import UserError
from ups.training import checkpoint


def test_a_checkpoint_returns_what_was_saved(tmp_path: Path) -> None:
    checkpoint.save({"state": {"w": torch.arange(3.0)}, "score": 0.5}, tmp_path / "a.pt")
    loaded = checkpoint.load(tmp_path / "a.pt")
    assert loaded["score"] == 0.5 and torch.equal(loaded["state"]["w"], torch.arange(3.0))
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"]


class Evil:
    """A pickle that runs a command when it is loaded."""

    def __reduce__(self) -> tuple:
        return os.system, ("touch /tmp/ups-was-here",)


def test_a_pickle_with_code_in_it_is_refused_and_not_run(tmp_path: Path) -> None:
    path, trace = tmp_path / "evil.pt", Path("/tmp/ups-was-here")
    trace.unlink(missing_ok=True)
    torch.save({"format": 1, "state": Evil()}, path)
    with pytest.raises(UserError, match="could run code"):
        checkpoint.load(path)
    path.write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(UserError):
        checkpoint.load(path)
    assert not trace.exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_checkpoint_is_one_sentence(tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.pt"
    checkpoint.save({"state": {"w": torch.randn(1000)}}, path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(UserError, match="not a readable checkpoint"):
        checkpoint.load(path)


def test_a_foreign_file_is_named_as_such(tmp_path: Path) -> None:
    torch.save({"model": torch.zeros(2)}, tmp_path / "foreign.pt")
    with pytest.raises(UserError, match=f"expected format {checkpoint.FORMAT}, found None"):
        checkpoint.load(tmp_path / "foreign.pt")


def test_a_checkpoint_of_an_earlier_format_says_what_to_do(tmp_path: Path) -> None:
    torch.save({"format": 1, "state": {}}, tmp_path / "old.pt")
    with pytest.raises(UserError, match=r"earlier version of this program.*train again in another run.dir"):
        checkpoint.load(tmp_path / "old.pt")


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.pt"
    checkpoint.save({"score": 1.0}, path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device; what was there before is untouched"):
        checkpoint.save({"score": 2.0}, path)
    monkeypatch.undo()
    assert checkpoint.load(path)["score"] == 1.0
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"]


def test_weights_of_another_shape_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not fit the model of this config"):
        checkpoint.load_state(torch.nn.Linear(2, 2), torch.nn.Linear(3, 2).state_dict(), tmp_path / "a.pt")
