"""Calls on a thread of their own, so that whatever goes wrong in them costs the caller neither time nor an error."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

Call = Callable[[], None]
GLANCE = 0.2
"""Seconds of a wait after which an interrupt is noticed, whichever thread the system gave it to."""


class Background:
    """Runs calls in their order on a daemon thread; of all that fails, the first failure is told, in one line.

    Args:
        name: Whose calls they are, for the warning.
        patience: Seconds that `close` waits for them at most.
        size: Calls that may wait; further ones are dropped.
    """

    def __init__(self, name: str, patience: float = 10.0, size: int = 10_000):
        self.name, self.patience = name, patience
        self._calls: queue.Queue[Call | None] = queue.Queue(size)
        self._lock, self._warned, self._closed = threading.Lock(), False, False
        self._thread = threading.Thread(target=self._work, name=f"ups-{name}", daemon=True)
        self._thread.start()

    def submit(self, call: Call) -> None:
        """Has `call` run after those before it; returns at once."""
        if self._closed:
            self.warn("was used after it was closed")
            return
        try:
            self._calls.put_nowait(call)
        except queue.Full:
            self.warn("is too slow, some entries are left out")

    def close(self) -> bool:
        """Waits, no longer than `patience`, for all calls; whether they were done. Warns if not."""
        if self._closed:
            return not self._thread.is_alive()
        if not (done := self.drained(self.patience)):
            self.warn(f"did not answer within {self.patience:g} s and was left behind")
        return done

    def drained(self, seconds: float) -> bool:
        """Takes no more calls and waits, no longer than `seconds`, for those there are; whether they were done."""
        self._closed, deadline = True, time.monotonic() + seconds
        while self._thread.is_alive() and (left := deadline - time.monotonic()) > 0:
            with suppress(queue.Full):
                self._calls.put_nowait(None)
            self._thread.join(min(left, GLANCE))
        return not self._thread.is_alive()

    def warn(self, problem: str) -> None:
        """Prints the first problem on stderr and keeps silent about all others."""
        with self._lock:
            first, self._warned = not self._warned, True
        if first:
            warn(self.name, problem)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                call()
            except BaseException as error:
                self.warn(f"failed ({first_line(error)})")


def warn(name: str, problem: str) -> None:
    """Prints the problem of a tracker on stderr, in one line."""
    with suppress(OSError, ValueError):
        print(f"warning: {name} {problem}; the JSONL log is complete", file=sys.stderr, flush=True)


def first_line(error: BaseException) -> str:
    """What an error says, in one line; the name of its kind if it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
