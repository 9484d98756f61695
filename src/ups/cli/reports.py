"""Commands that read what runs have left behind: `ups compare`, `ups log`."""

from collections.abc import Sequence
from math import log10
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ups.cli.options import Channels, Run
from ups.core.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table

    from ups.tracking.jsonl import TrainingLog

BLOCKS = "▁▂▃▄▅▆▇█"
CURVES = {"loss": "loss", "score": "score", "gradient norm": "grad_norm"}
"""What is drawn of a training log: names and keys."""
WIDTH = 20
"""Characters of a curve."""
MARKS = {"good": ("green", "fine"), "look": ("yellow", "look"), "bad": ("red", "problem")}


def add_commands(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.command()(compare)
    app.command(name="log")(log)


def compare(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Folders of evaluated runs.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Picture to write.")] = Path("compare.png"),
    channels: Channels = False,
) -> None:
    """Put runs side by side that were scored in the same way.

    Gains are over the run that is named first.

    \b
    [bold]Examples[/bold]
      ups compare runs/burgers1d runs/burgers1d_wide
      ups compare runs/seed0 runs/seed1 runs/seed2 -o seeds.png
    """
    from rich.console import Console

    from ups.report.channels import channel_table
    from ups.report.compare import compare as compare_runs
    from ups.report.compare import read_runs

    table, picture = compare_runs(runs, output)
    console = Console()
    console.print(table)
    if channels:
        console.print(channel_table({run.name: list(run.rows.values()) for run in read_runs(runs)}))
    console.print(f"picture   {picture}", highlight=False, soft_wrap=True)


def log(run: Run) -> None:
    """Show the training curves of a run and check its health.

    \b
    [bold]Example[/bold]
      ups log runs/burgers1d
    """
    from rich.console import Console
    from rich.text import Text

    from ups.report.health import by_stage, findings

    found, grad_clip = read_log(run)
    console = Console()
    console.print(log_table(by_stage(found.epochs)))
    console.print()
    for finding in findings(found.epochs, grad_clip):
        colour, word = MARKS[finding.level]
        console.print(Text.assemble((f"{word:<8}", colour), finding.sentence))
    if found.notice:
        console.print(found.notice, highlight=False)


def read_log(run: Path) -> "tuple[TrainingLog, float | None]":
    """The training log of a run and its `training.grad_clip`. Raises UserError if nothing was trained there."""
    from ups.config import load_config
    from ups.tracking.jsonl import read_log as read

    if not (run / "config.yaml").is_file():
        raise UserError(f"{run} is not a run folder: it has no config.yaml")
    training = load_config(run / "config.yaml").training
    found = read(run / training.log_path)
    if not found.epochs:
        raise UserError(f"nothing has been trained in {run} yet: {run / training.log_path} has no epochs")
    return found, training.grad_clip


def log_table(stages: dict[str, list[Any]]) -> "Table":
    """Loss, validation score and gradient norm of every stage as small curves on logarithmic axes, in 80 columns."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from ups.report.health import series

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), caption_justify="left")
    table.caption = "Curves run over the epochs of a stage, from its lowest to its highest value on a logarithmic axis."
    for name in ("stage", "curve", "first", "last", ""):
        table.add_column(name, no_wrap=True, justify="right" if name in ("first", "last") else "left")
    for stage, epochs in stages.items():
        table.add_row(f"[bold]{escape(stage)}[/]", f"{len(epochs)} epoch{'s' if len(epochs) > 1 else ''}")
        curves = {name: series(epochs, key) for name, key in CURVES.items()}
        for name, found in curves.items():
            if found:
                values = [value for _, value in found]
                first, last = f"{values[0]:.3g}", f"{values[-1]:.3g}"
                table.add_row(f"  {name}", sparkline(values), first, last, _extreme(name, found))
        table.add_section()
    return table


def sparkline(values: Sequence[float], width: int = WIDTH) -> str:
    """Values as block characters between their extremes, logarithmic where all are positive, at most `width` of them.

    More values than that are averaged (on the axis that is drawn) in even parts.
    """
    drawn = [log10(value) for value in values] if min(values) > 0 else list(values)
    n = min(width, len(drawn))
    parts = [drawn[i * len(drawn) // n : (i + 1) * len(drawn) // n] for i in range(n)]
    means = [sum(part) / len(part) for part in parts]
    low, span = min(means), max(means) - min(means)
    return "".join(BLOCKS[min(int((mean - low) / span * len(BLOCKS)), 7) if span > 0 else 3] for mean in means)


def _extreme(name: str, found: Sequence[tuple[int, float]]) -> str:
    if name == "gradient norm":
        values = [value for _, value in found]
        return f"median {median(values):.2g}, max {max(values):.2g}"
    epoch, value = min(found, key=lambda pair: pair[1])
    return f"lowest {value:.3g} at {epoch}"
