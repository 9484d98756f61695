from pathlib import Path

import pytest

from ups.core import files as module
from ups.core.errors import UserError
from ups.core.files import claimed, replacing, write_text


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_text(path, "before")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", fail)
    with pytest.raises(UserError, match="No space left on device; what was there before is untouched"):
        write_text(path, "after")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_in_the_block_leaves_the_old_file_and_no_part(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_text(path, "before")
    with pytest.raises(KeyboardInterrupt), replacing(path) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "before" and list(path.parent.iterdir()) == [path]


def test_a_folder_is_claimed_by_one_until_its_block_ends(tmp_path: Path) -> None:
    with claimed(tmp_path / "run", "choose another"):
        refused = pytest.raises(UserError, match=r"another process is working in .*; wait for it or choose another")
        with refused, claimed(tmp_path / "run", "choose another"):
            pass
        with claimed(tmp_path / "run", "choose another", name=".other"):
            pass
    with claimed(tmp_path / "run", "choose another", wait=True) as folder:
        assert folder == tmp_path / "run"
