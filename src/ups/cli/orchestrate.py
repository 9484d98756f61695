"""The command `ups orchestrate`: train, judge and rank a run, step by step."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ups.cli.runs import StageName

GATE_FAILED = 3
"""Exit code of `--strict-exit` when a gate fails."""


class WandbMode(StrEnum):
    """What `--wandb-mode` takes."""

    DISABLED = "disabled"
    OFFLINE = "offline"
    ONLINE = "online"


class Metric(StrEnum):
    """What `--improvement-metric` takes."""

    NRMSE = "nrmse"
    NRMSE_POOLED = "nrmse_pooled"
    VRMSE = "vrmse"
    NRMSE_ONE_STEP = "nrmse_one_step"
    CRPS = "crps"
    ENERGY_SCORE = "energy_score"
    SPREAD_SKILL = "spread_skill"


def add_commands(app: typer.Typer) -> None:
    """Add this module's command to `app`."""
    app.command()(orchestrate)


def orchestrate(
    train_config: Annotated[
        Path, typer.Option("--train-config", "-c", help="YAML file of settings.", show_default=False)
    ],
    train_stage: Annotated[StageName, typer.Option(help="The stage to train.")] = StageName.ALL,
    small_eval_config: Annotated[
        Path | None,
        typer.Option(
            help="YAML file with sections evaluation and ttc for the look on validation.", show_default="a quick look"
        ),
    ] = None,
    full_eval_config: Annotated[
        Path | None, typer.Option(help="The same for the scores on test.", show_default="those of the run")
    ] = None,
    config_override: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Change a setting; the value is YAML. Repeatable.", show_default=False),
    ] = None,
    run_id: Annotated[
        str | None,
        typer.Option(help="Name of the run, and of its folder unless --run-dir is given.", show_default=False),
    ] = None,
    run_dir: Annotated[
        Path | None, typer.Option(help="The run folder; the leaderboard lies beside it.", show_default="the config's")
    ] = None,
    skip_validation: Annotated[bool, typer.Option("--skip-validation", help="Do not check config and data.")] = False,
    skip_dry_run: Annotated[bool, typer.Option("--skip-dry-run", help="Do not estimate time and memory.")] = False,
    skip_training: Annotated[bool, typer.Option("--skip-training", help="Judge what is trained already.")] = False,
    skip_small_eval: Annotated[
        bool, typer.Option("--skip-small-eval", help="No look on validation, and no gate after it.")
    ] = False,
    skip_full_eval: Annotated[
        bool, typer.Option("--skip-full-eval", help="No scores on test, and no gate after them.")
    ] = False,
    force_train: Annotated[
        bool, typer.Option("--force-train", help="Train from scratch; earlier checkpoints are kept under another name.")
    ] = False,
    redo_small_eval: Annotated[
        bool, typer.Option("--redo-small-eval", help="Score and judge on validation again.")
    ] = False,
    redo_full_eval: Annotated[bool, typer.Option("--redo-full-eval", help="Score and judge on test again.")] = False,
    gate_ratio: Annotated[
        float, typer.Option(help="Largest share of the champion's score that passes; 1: nothing worse.")
    ] = 1.0,
    min_nrmse_delta: Annotated[
        float | None, typer.Option(help="By how much nRMSE must fall below the champion's.", show_default=False)
    ] = None,
    min_one_step_delta: Annotated[
        float | None, typer.Option(help="The same for the nRMSE of one step.", show_default=False)
    ] = None,
    min_crps_delta: Annotated[float | None, typer.Option(help="The same for the CRPS.", show_default=False)] = None,
    min_spread_skill_delta: Annotated[
        float | None, typer.Option(help="The same for the distance of spread / skill from 1.", show_default=False)
    ] = None,
    improvement_metric: Annotated[
        Metric, typer.Option(help="The score of --gate-ratio, of the champion and of the leaderboard's order.")
    ] = Metric.NRMSE,
    strict_exit: Annotated[
        bool, typer.Option("--strict-exit", help="Exit with code 3 if a gate fails; else it is only reported.")
    ] = False,
    tag: Annotated[
        list[str] | None, typer.Option(help="A label for leaderboard and W&B. Repeatable.", show_default=False)
    ] = None,
    notes: Annotated[str, typer.Option(help="A remark for the leaderboard.", show_default=False)] = "",
    wandb_mode: Annotated[WandbMode | None, typer.Option(help="Weights & Biases.", show_default="the config's")] = None,
    wandb_project: Annotated[str | None, typer.Option(help="Its project.", show_default="the config's")] = None,
) -> None:
    """Validate, estimate, train, evaluate, compare with the best run so far, and keep a leaderboard.

    Stopped at any moment, the same command goes on where it was; what is finished is not done again. Every step and
    decision is written to summary.json in the run folder.

    \b
    [bold]Examples[/bold]
      ups orchestrate --train-config configs/burgers1d.yaml
      ups orchestrate -c configs/burgers1d.yaml --run-id wide --config-override operator.pdet.hidden_dim=96
      ups orchestrate -c configs/burgers1d.yaml --run-id wide --gate-ratio 0.95 --strict-exit
    """
    from ups.orchestrate import GateSettings, Options
    from ups.orchestrate import orchestrate as orchestrated

    deltas = {
        "nrmse": min_nrmse_delta,
        "nrmse_one_step": min_one_step_delta,
        "crps": min_crps_delta,
        "spread_skill": min_spread_skill_delta,
    }
    known = {name: delta for name, delta in deltas.items() if delta is not None}
    options = Options(
        train_config,
        train_stage=train_stage.value,
        small_eval_config=small_eval_config,
        full_eval_config=full_eval_config,
        overrides=tuple(config_override or ()),
        run_id=run_id,
        run_dir=run_dir,
        skip_validation=skip_validation,
        skip_dry_run=skip_dry_run,
        skip_training=skip_training,
        skip_small_eval=skip_small_eval,
        skip_full_eval=skip_full_eval,
        force_train=force_train,
        redo_small_eval=redo_small_eval,
        redo_full_eval=redo_full_eval,
        gate=GateSettings(improvement_metric.value, gate_ratio, known),
        tags=tuple(tag or ()),
        notes=notes,
        wandb_mode=wandb_mode.value if wandb_mode else None,
        wandb_project=wandb_project,
    )
    result = orchestrated(options, typer.echo)
    typer.echo(f"{result.summary['verdict']}: {result.folder / 'summary.json'}")
    if strict_exit and not result.passed:
        raise typer.Exit(GATE_FAILED)
