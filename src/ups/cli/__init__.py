"""The command line `ups`. Importing it is cheap: torch and all else that is slow is imported inside the commands."""

import io
import sys

import typer

import ups
from ups.cli import data, forecasts, orchestrate, reports, results, runs
from ups.cli.guard import GuardedGroup

app = typer.Typer(
    cls=GuardedGroup,
    name="ups",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with: [bold]ups run configs/burgers1d.yaml[/bold]",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ups {ups.__version__}")
        raise typer.Exit


@app.callback()
def _ups(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
    debug: bool = typer.Option(
        False, "--debug", help="Show the traceback of an error; may stand anywhere in the line."
    ),
) -> None:
    """Train a fast, calibrated surrogate of a time-dependent physical system, and know what each stage bought."""


runs.add_commands(app)
results.add_commands(app)
forecasts.add_commands(app)
reports.add_commands(app)
orchestrate.add_commands(app)
app.add_typer(data.app, name="data")


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):  # names of files may hold what the terminal cannot spell
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="ups")
