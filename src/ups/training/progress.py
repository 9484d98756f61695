"""The progress bar of a stage: rate and time left on a terminal, one line an epoch elsewhere."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class ProgressBar:
    """Shows how much of a stage is done.

    Args:
        name: The stage.
        epochs: Its epochs.
        total: Steps or seconds in all.
        done: How many of them are done.
    """

    def __init__(self, name: str, epochs: int, total: float, done: float):
        self.console = Console(stderr=True)
        self.name, self.epochs = name, epochs
        columns = (
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self.bar = Progress(
            *columns, TextColumn("{task.fields[info]}"), console=self.console, disable=not self.console.is_terminal
        )
        self.task = self.bar.add_task(name, total=total, info="")
        self.reach(done)
        self.every = max(1, epochs // 10)

    def __enter__(self) -> ProgressBar:
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def note(self, text: str) -> None:
        """One line above the bar; none where there is nothing to say."""
        if text:
            self.console.print(text, highlight=False)

    def reach(self, done: float) -> None:
        """So many steps or seconds are done."""
        self.bar.update(self.task, completed=done)

    def epoch(self, entry: dict[str, Any]) -> None:
        """An epoch is done; `entry` is its log line."""
        score = "" if entry["score"] is None else f"  score {entry['score']:.4g} (best {entry['best_score']:.4g})"
        info = f"loss {entry['loss']:.4g}{score}"
        self.bar.update(self.task, info=info)
        if not self.console.is_terminal and (entry["epoch"] % self.every == 0 or entry["epoch"] in (1, self.epochs)):
            self.note(f"{self.name}  epoch {entry['epoch']}/{self.epochs}  {info}  {entry['epoch_time_sec']:.1f} s")
