"""SIGTERM and Ctrl-C: the work at hand ends properly first."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


class StopRequest:
    """Whether a signal has asked for a stop; a second signal leaves at once.

    Attributes:
        signum: The signal, 0 before there was one.
    """

    def __init__(self) -> None:
        self.signum = 0

    def __bool__(self) -> bool:
        return bool(self.signum)

    def _receive(self, signum: int, frame: Any) -> None:
        if self.signum:
            raise KeyboardInterrupt
        self.signum = signum

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Takes SIGTERM and SIGINT while the context is open."""
        previous = {}
        for signum in (signal.SIGTERM, signal.SIGINT):
            with suppress(ValueError):  # only the main thread may set handlers
                previous[signum] = signal.signal(signum, self._receive)
        try:
            yield
        finally:
            for signum, old in previous.items():
                signal.signal(signum, old)
