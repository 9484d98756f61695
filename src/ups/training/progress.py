"""The progress bar of a stage: rate and time left on a terminal, one line an epoch elsewhere."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class ProgressBar:
    """Shows a stage's steps.

    Args:
        name: The stage.
        epochs: Its epochs.
        epoch_steps: Optimizer steps in one.
        step: Steps already done.
    """

    def __init__(self, name: str, epochs: int, epoch_steps: int, step: int):
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
        self.task = self.bar.add_task(name, total=epochs * epoch_steps, completed=step, info="")
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

    def advance(self) -> None:
        """One step is done."""
        self.bar.advance(self.task)

    def epoch(self, entry: dict[str, Any]) -> None:
        """An epoch is done; `entry` is its log line."""
        score = "" if entry["score"] is None else f"  score {entry['score']:.4g} (best {entry['best_score']:.4g})"
        info = f"loss {entry['loss']:.4g}{score}"
        self.bar.update(self.task, info=info)
        if not self.console.is_terminal and (entry["epoch"] % self.every == 0 or entry["epoch"] in (1, self.epochs)):
            self.note(f"{self.name}  epoch {entry['epoch']}/{self.epochs}  {info}  {entry['epoch_time_sec']:.1f} s")
