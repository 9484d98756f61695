"""How many threads a run takes: what it says, what it had before, or what is idle."""

from pathlib import Path

import pytest
import torch

from tests.small import config
from ups.config import load_config
from ups.core.threads import idle_cores
from ups.run.folder import with_threads, write_config


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Four processors, of which the last number in the list are idle."""
    found = [4]
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr("ups.run.folder.idle_cores", lambda: found[-1])
    return found


def threads(path: Path, *overrides: str) -> int | None:
    return with_threads(load_config(path, overrides)).run.threads


def test_a_run_takes_the_idle_processors_and_goes_on_with_as_many(
    tmp_path: Path, idle: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    path = config(tmp_path, run={"threads": None})
    assert threads(path) == 4 and not capsys.readouterr().err
    idle.append(1)
    assert threads(path) == 1
    assert capsys.readouterr().err == "computing on 1 of 4 processors, as others are busy (run.threads)\n"
    idle.append(0)
    assert threads(path) == 1
    assert threads(path, "run.threads=3") == 3
    idle.append(4)
    (tmp_path / "run").mkdir()
    write_config(load_config(path, ["run.threads=2"]))
    assert threads(path) == 2
    (tmp_path / "run" / "config.yaml").write_text("data: [")
    assert threads(path) == 4


def test_the_users_own_number_of_threads_stays(
    tmp_path: Path, idle: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    idle.append(1)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert threads(config(tmp_path, run={"threads": None})) == 4


def test_idle_processors_are_counted_or_the_system_does_not_say(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = idle_cores(0.05)
    assert found is None or found >= 0
    for text in ("", "cpu x y", "cpu 1 2"):
        (tmp_path / "stat").write_text(text + "\n")
        monkeypatch.setattr("ups.core.threads.STAT", tmp_path / "stat")
        assert idle_cores(0.0) is None
    monkeypatch.setattr("ups.core.threads.STAT", tmp_path / "nowhere")
    assert idle_cores(0.0) is None
