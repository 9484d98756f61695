"""`ups evaluate`: the scores of a trained run."""

from enum import StrEnum
from typing import Annotated

import typer

from ups.cli.options import Channels, Overrides, Run
from ups.core.errors import UserError


class SplitName(StrEnum):
    """What `--split` takes."""

    TEST = "test"
    VALIDATION = "validation"


class ModeName(StrEnum):
    """What `--mode` takes."""

    BASELINE = "baseline"
    TTC = "ttc"
    BOTH = "both"


def add_commands(app: typer.Typer) -> None:
    """Add this module's command to `app`."""
    app.command()(evaluate)


def evaluate(
    run: Run,
    split: Annotated[SplitName, typer.Option("--split", help="Trajectories to score on.")] = SplitName.TEST,
    mode: Annotated[
        ModeName | None,
        typer.Option(
            "--mode",
            help="All rows without test-time conditioning, the comparison with it (added to scores that are there), "
            "or both; as ttc.enabled says unless given.",
            show_default=False,
        ),
    ] = None,
    rescore: Annotated[
        bool,
        typer.Option(
            "--rescore",
            help="Score the stored forecasts again, without the model; all must have been stored.",
        ),
    ] = False,
    channels: Channels = False,
    overrides: Overrides = None,
) -> None:
    """Score the decoded forecasts of a trained run beside its baselines, and write the report.

    \b
    [bold]Examples[/bold]
      ups evaluate runs/burgers1d
      ups evaluate runs/burgers1d --split validation
      ups evaluate runs/burgers1d --rescore --set evaluation.lead_times='[1, 10, 40]'
    """
    if rescore and mode is not None:
        raise UserError("--rescore and --mode contradict each other: leave one of them out")
    from rich.console import Console

    from ups.core.files import claimed
    from ups.report.channels import channel_table
    from ups.run.folder import config_of
    from ups.run.rescore import rescore_run
    from ups.run.score import evaluate_run

    settings = config_of(run, overrides or ())
    with claimed(run, "evaluate a copy of it"):
        if rescore:
            scores = rescore_run(run, split.value, config=settings)
        else:
            scores = evaluate_run(run, split=split.value, config=settings, mode=None if mode is None else mode.value)
    if channels:
        Console().print(channel_table({run.name: scores.rows}))
