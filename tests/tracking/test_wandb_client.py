"""The calls of the wandb package, with a stand-in for it."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.tracking.fakes import identity
from ups.tracking.wandb_client import connect


def offer(monkeypatch: pytest.MonkeyPatch, init: Callable[..., Any]) -> list[dict[str, Any]]:
    """A package whose `init` is given; returns the settings that it is asked to open runs with."""
    asked: list[dict[str, Any]] = []

    def settings(**given: Any) -> dict[str, Any]:
        asked.append(given)
        return given

    ignore = lambda *args, **kwargs: None  # noqa: E731
    package = SimpleNamespace(init=init, setup=ignore, teardown=ignore, Settings=settings)
    monkeypatch.setitem(sys.modules, "wandb", package)  # type: ignore[arg-type]
    return asked


def run_in(folder: Path, finish: Callable[..., None] = lambda exit_code: None, offline: bool = False) -> Any:
    """A run as wandb makes it."""
    return SimpleNamespace(settings=SimpleNamespace(sync_dir=str(folder)), offline=offline, url="", finish=finish)


def test_an_error_without_words_is_named_by_its_kind_and_the_run_goes_on_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(mode: str, **rest: Any) -> Any:
        if mode == "online":
            raise ConnectionError
        return run_in(tmp_path, offline=True)

    offer(monkeypatch, init)
    told: list[str] = []
    client = connect(identity(tmp_path, mode="online"), {}, None, told.append)
    assert told == [f"is recorded offline (ConnectionError), upload it with `wandb sync {tmp_path}`"]
    assert not client.uploads and client.records == str(tmp_path)


def test_uploads_may_take_what_the_settings_say_and_the_rest_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def finish(exit_code: int) -> None:
        raise TimeoutError("Timed out finishing run.")

    asked = offer(monkeypatch, lambda **given: run_in(tmp_path, finish))
    client = connect(identity(tmp_path, mode="online", finish_seconds=77), {}, None, lambda problem: None)
    assert asked[-1]["finish_timeout"] == 77 and asked[-1]["finish_timeout_raises"] and client.uploads
    with pytest.raises(TimeoutError, match=f"longer than 77 s, upload the rest with `wandb sync {tmp_path}`"):
        client.finish(0)
