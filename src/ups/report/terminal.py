"""What an evaluation prints at its end."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from ups.report.hardware import hardware
from ups.report.ledger import ledger_table
from ups.report.scores import RunScores
from ups.ttc.verdict import ttc_table


def show(scores: RunScores, target: Path, folder: Path) -> None:
    """Prints the ledger and where scores and pictures (`target`) and the model (`folder`) lie."""
    console = Console()
    console.print(ledger_table(scores))
    console.print(f"times are of {hardware(scores.protocol)}", highlight=False)
    for error in scores.errors:
        console.print(f"[yellow]{escape(error)}[/]")
    if scores.break_even:
        console.print(f"break-even against the classical solver: {scores.break_even}", highlight=False)
    if scores.ttc:
        console.print(ttc_table(scores.ttc))
        console.print(f"times are of {hardware(scores.ttc)}", highlight=False)
    places = {
        "scores": target / "metrics.json",
        "report": target / "report.html",
        "pictures": target / "report",
        "model": folder / "checkpoints",
    }
    for what, path in places.items():
        console.print(f"{what:<9} {path}", highlight=False, soft_wrap=True)
