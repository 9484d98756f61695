"""Calls in the background: in order, and never at the caller's cost."""

import threading
import time

import pytest

from tests.tracking.fakes import HANG_SECONDS
from ups.tracking.background import Background


def wait(free: threading.Event) -> None:
    """A call that comes back when it is let go."""
    free.wait(HANG_SECONDS)


def test_calls_run_in_their_order_before_close_returns() -> None:
    seen: list[int] = []
    background = Background("Toy")
    for i in range(1000):
        background.submit(lambda i=i: seen.append(i))
    assert background.close() and seen == list(range(1000))


def test_a_failure_is_told_once_and_later_calls_still_run(capfd: pytest.CaptureFixture[str]) -> None:
    seen: list[int] = []

    def explode(kind: type[BaseException]) -> None:
        raise kind("no disk\nsecond line")

    background = Background("Toy")
    for kind in (OSError, SystemExit, KeyboardInterrupt):
        background.submit(lambda kind=kind: explode(kind))
    background.submit(lambda: seen.append(1))
    assert background.close() and seen == [1]
    assert capfd.readouterr().err == "warning: Toy failed (no disk); the JSONL log is complete\n"


def test_a_hang_costs_the_patience_and_one_warning(capfd: pytest.CaptureFixture[str]) -> None:
    free = threading.Event()
    background = Background("Toy", patience=0.2)
    background.submit(lambda: wait(free))
    start = time.monotonic()
    assert not background.close() and not background.close()
    assert time.monotonic() - start < HANG_SECONDS / 2
    assert capfd.readouterr().err == "warning: Toy did not answer within 0.2 s and was left behind; " + (
        "the JSONL log is complete\n"
    )
    free.set()


def test_what_does_not_fit_is_dropped_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    free, seen = threading.Event(), []
    background = Background("Toy", size=3)
    background.submit(lambda: wait(free))
    while background._calls.qsize():
        time.sleep(0.01)
    for i in range(100):
        background.submit(lambda i=i: seen.append(i))
    free.set()
    assert background.close() and seen == [0, 1, 2]
    assert capfd.readouterr().err.count("\n") == 1


def test_a_call_after_the_end_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    background = Background("Toy")
    background.close()
    background.submit(lambda: None)
    assert "after it was closed" in capfd.readouterr().err
