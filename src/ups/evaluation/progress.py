"""The progress bar of an evaluation, on a terminal; silent elsewhere."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class ScoringBar:
    """Shows which forecaster is being scored and how many trajectories are done; gone when all are.

    Called as `ups.evaluation.job.ScoringProgress` says.

    Args:
        what: What is scored, before the forecaster's name.
        console: Where it is shown, stderr unless given.
    """

    def __init__(self, what: str, console: Console | None = None):
        console = console or Console(stderr=True)
        columns = (TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.what, self.bar = what, Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.task = self.bar.add_task(what, total=None)

    def __enter__(self) -> ScoringBar:
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def __call__(self, name: str, done: int, total: int) -> None:
        """So many of `total` trajectories of the forecaster `name` are done."""
        self.bar.update(self.task, description=f"{self.what} {name}", completed=done, total=total)
