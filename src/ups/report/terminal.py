"""What an evaluation prints at its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from ups.evaluation.ledger import ledger_table
from ups.report.hardware import hardware
from ups.ttc.verdict import ttc_table


def show(metrics: dict[str, Any], target: Path, folder: Path) -> None:
    """Prints the ledger and where scores and pictures (`target`) and the model (`folder`) lie."""
    console = Console()
    console.print(ledger_table(metrics["rows"], metrics["protocol"]["bootstrap"], metrics["protocol"]["seed"]))
    console.print(f"times are of {hardware(metrics['protocol'])}", highlight=False)
    for error in metrics["errors"]:
        console.print(f"[yellow]{error}[/]")
    if metrics.get("break_even"):
        console.print(f"break-even against the classical solver: {metrics['break_even']}", highlight=False)
    if metrics.get("ttc"):
        console.print(ttc_table(metrics["ttc"]))
        console.print(f"times are of {hardware(metrics['ttc'])}", highlight=False)
    places = {
        "scores": target / "metrics.json",
        "report": target / "report.html",
        "pictures": target / "report",
        "model": folder / "checkpoints",
    }
    for what, path in places.items():
        console.print(f"{what:<9} {path}", highlight=False, soft_wrap=True)
