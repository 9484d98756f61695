"""The record of every epoch of every stage, in the JSONL log and in whatever else listens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ups.tracking.jsonl import append_line, drop_epochs, read_log

Sink = Callable[[dict[str, Any]], None]


def last_step(entries: Sequence[Mapping[str, Any]]) -> int:
    """The highest global step of the entries of a log, 0 without any."""
    return max((entry["global_step"] for entry in entries), default=0)


class TrainingLogger:
    """Writes epochs with a global step that counts them across stages and never runs backwards in a log.

    Args:
        path: The JSONL log.
        sinks: Called with every entry after it was written.
    """

    def __init__(self, path: Path, sinks: Sequence[Sink] = ()):
        self.path, self.sinks = path, sinks
        self.global_step = last_step(read_log(path).epochs)

    def rewind(self, stage: str, epoch: int) -> None:
        """Drops the entries of `stage` after `epoch`, which will be written again.

        The global step goes on after the last entry that is kept, so a stage that is trained again after later ones
        leaves a gap and no step twice.
        """
        kept = drop_epochs(self.path, lambda entry: entry["stage"] == stage and entry["epoch"] > epoch)
        self.global_step = last_step(kept)

    def write(self, entry: dict[str, Any]) -> None:
        """Records one epoch."""
        self.global_step += 1
        entry = {"global_step": self.global_step, **entry}
        append_line(self.path, entry)
        for sink in self.sinks:
            sink(entry)
