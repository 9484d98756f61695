"""Commands that start from a config: `ups run`, `ups train`, `ups check`."""

from pathlib import Path
from typing import Annotated

import typer

from ups.cli.options import Config, Overrides
from ups.core.errors import UserError
from ups.core.stages import STAGES, require_stage

STAGE_NAMES = f"[{'|'.join(('all', *STAGES))}]"
"""What `--stage` takes, for the help."""
Fresh = Annotated[bool, typer.Option("--fresh", help="Start over; an earlier run folder is kept under another name.")]
FreshStage = Annotated[
    bool,
    typer.Option(
        "--fresh",
        help="Start over. With all stages, an earlier run folder is kept under another name; with one, its files and "
        "those of stages that build on it are kept in checkpoints.1 or the next that is free.",
    ),
]


def add_commands(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.command()(run)
    app.command()(train)
    app.command()(check)


def run(
    config: Config,
    overrides: Overrides = None,
    fresh: Fresh = False,
) -> None:
    """Do everything a config asks for: data, all stages, evaluation, report.

    Stopped at any moment, the same command goes on where it was; what is finished is not done again.

    \b
    [bold]Examples[/bold]
      ups run configs/burgers1d.yaml
      ups run configs/burgers1d.yaml --set run.seed=1 --set run.dir=runs/seed1
    """
    from ups.run.checks import checked_config

    settings = checked_config(config, overrides or ())
    if fresh:
        set_aside(settings.run.dir)
    from ups.run.train import run as run_pipeline  # after the config, whose mistakes are then told at once

    run_pipeline(settings)


def train(
    config: Annotated[Path, typer.Option("--config", "-c", help="YAML file of settings.", show_default=False)],
    stage: Annotated[str, typer.Option("--stage", "-s", help="The stage to train.", metavar=STAGE_NAMES)] = "all",
    evaluate: Annotated[
        bool,
        typer.Option("--evaluate", help="After all stages, score the run as evaluation and ttc say."),
    ] = False,
    overrides: Overrides = None,
    fresh: FreshStage = False,
) -> None:
    """Train one stage, or all of them in their order, without evaluating unless asked to.

    A stage builds on those before it, which must have been trained. A finished stage is not trained again.

    \b
    [bold]Examples[/bold]
      ups train --config configs/burgers1d.yaml --stage operator
      ups train --config configs/burgers1d.yaml --stage operator --fresh --set stages.operator.epochs=5
    """
    from ups.run.checks import checked_config

    require_stage(stage)
    settings, whole = checked_config(config, overrides or ()), stage == "all"
    if fresh and whole:
        set_aside(settings.run.dir)
    from ups.run.train import train as train_pipeline
    from ups.run.train import train_all_stages

    if evaluate and whole:
        train_all_stages(settings)
    else:
        train_pipeline(settings, stage=stage, fresh=fresh and not whole)


def check(
    config: Config,
    overrides: Overrides = None,
    resolved: Annotated[bool, typer.Option("--resolved", help="Print all settings, also the defaults.")] = False,
) -> None:
    """Check a config and name all its problems at once, each with its line.

    What the data files, the installed packages and this machine decide is looked at too, without reading the data.

    \b
    [bold]Examples[/bold]
      ups check configs/burgers1d.yaml
      ups check configs/burgers1d.yaml --resolved > all_settings.yaml
    """
    from ups.config import dump_config
    from ups.run.checks import checked_config

    settings = checked_config(config, overrides or ())
    if resolved:
        typer.echo(dump_config(settings), nl=False)
    else:
        typer.echo(f"{config}: no problems; the run folder is {settings.run.dir}")


def set_aside(folder: Path) -> None:
    """Rename a run folder to the first free of `NAME.1`, `NAME.2`, ...; raises `UserError` for a folder in use here."""
    if not folder.exists():
        return
    if folder.resolve() in (Path.cwd(), *Path.cwd().parents):
        raise UserError(f"--fresh: {folder} holds the current directory, so it cannot be set aside; change run.dir")
    n = 1
    while (target := folder.with_name(f"{folder.name}.{n}")).exists():
        n += 1
    folder.rename(target)
    typer.echo(f"kept the earlier run as {target}", err=True)
