"""The command `ups orchestrate`: train, judge and rank a run, step by step."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ups.cli.runs import STAGE_NAMES

if TYPE_CHECKING:
    from ups.orchestrate import GateSettings, Result

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


DELTAS = (Metric.NRMSE, Metric.NRMSE_ONE_STEP, Metric.CRPS, Metric.SPREAD_SKILL)
"""The scores of `--min-*-delta`."""

TrainConfig = Annotated[Path, typer.Option("--train-config", "-c", help="YAML file of settings.", show_default=False)]
TrainStage = Annotated[str, typer.Option(help="The stage to train.", metavar=STAGE_NAMES)]
SmallEvalConfig = Annotated[
    Path | None,
    typer.Option(
        help="YAML file with sections evaluation and ttc for the look on validation.", show_default="a quick look"
    ),
]
FullEvalConfig = Annotated[
    Path | None, typer.Option(help="The same for the scores on test.", show_default="those of the run")
]
ConfigOverride = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=VALUE", help="Change a setting; the value is YAML. Repeatable.", show_default=False),
]
RunId = Annotated[
    str | None, typer.Option(help="Name of the run, and of its folder unless --run-dir is given.", show_default=False)
]
RunDir = Annotated[
    Path | None, typer.Option(help="The run folder; the leaderboard lies beside it.", show_default="the config's")
]
SkipValidation = Annotated[bool, typer.Option("--skip-validation", help="Do not check config and data.")]
SkipDryRun = Annotated[bool, typer.Option("--skip-dry-run", help="Do not estimate time and memory.")]
SkipTraining = Annotated[bool, typer.Option("--skip-training", help="Judge what is trained already.")]
SkipSmallEval = Annotated[bool, typer.Option("--skip-small-eval", help="No look on validation, and no gate after it.")]
SkipFullEval = Annotated[bool, typer.Option("--skip-full-eval", help="No scores on test, and no gate after them.")]
ForceTrain = Annotated[
    bool,
    typer.Option(
        "--force-train",
        help="Train from scratch; earlier checkpoints of the stage, and of those that build on it, are kept aside.",
    ),
]
RedoSmallEval = Annotated[bool, typer.Option("--redo-small-eval", help="Score and judge on validation again.")]
RedoFullEval = Annotated[bool, typer.Option("--redo-full-eval", help="Score and judge on test again.")]
GateRatio = Annotated[float, typer.Option(help="Largest share of the champion's score that passes; 1: nothing worse.")]
MinNrmseDelta = Annotated[
    float | None,
    typer.Option(
        help="By how much nRMSE must fall below the champion's; negative: how much worse it may be.", show_default=False
    ),
]
MinOneStepDelta = Annotated[float | None, typer.Option(help="The same for the nRMSE of one step.", show_default=False)]
MinCrpsDelta = Annotated[float | None, typer.Option(help="The same for the CRPS.", show_default=False)]
MinSpreadSkillDelta = Annotated[
    float | None, typer.Option(help="The same for the distance of spread / skill from 1.", show_default=False)
]
ImprovementMetric = Annotated[
    Metric, typer.Option(help="The score of --gate-ratio, of the champion and of the leaderboard's order.")
]
StrictExit = Annotated[
    bool, typer.Option("--strict-exit", help="Exit with code 3 if a gate fails; else it is only reported.")
]
Tag = Annotated[list[str] | None, typer.Option(help="A label for leaderboard and W&B. Repeatable.", show_default=False)]
Notes = Annotated[str, typer.Option(help="A remark for the leaderboard.", show_default=False)]
WandbModeOption = Annotated[WandbMode | None, typer.Option(help="Weights & Biases.", show_default="the config's")]
WandbProject = Annotated[str | None, typer.Option(help="Its project.", show_default="the config's")]


def add_commands(app: typer.Typer) -> None:
    """Add this module's command to `app`."""
    app.command()(orchestrate)


def orchestrate(
    train_config: TrainConfig,
    train_stage: TrainStage = "all",
    small_eval_config: SmallEvalConfig = None,
    full_eval_config: FullEvalConfig = None,
    config_override: ConfigOverride = None,
    run_id: RunId = None,
    run_dir: RunDir = None,
    skip_validation: SkipValidation = False,
    skip_dry_run: SkipDryRun = False,
    skip_training: SkipTraining = False,
    skip_small_eval: SkipSmallEval = False,
    skip_full_eval: SkipFullEval = False,
    force_train: ForceTrain = False,
    redo_small_eval: RedoSmallEval = False,
    redo_full_eval: RedoFullEval = False,
    gate_ratio: GateRatio = 1.0,
    min_nrmse_delta: MinNrmseDelta = None,
    min_one_step_delta: MinOneStepDelta = None,
    min_crps_delta: MinCrpsDelta = None,
    min_spread_skill_delta: MinSpreadSkillDelta = None,
    improvement_metric: ImprovementMetric = Metric.NRMSE,
    strict_exit: StrictExit = False,
    tag: Tag = None,
    notes: Notes = "",
    wandb_mode: WandbModeOption = None,
    wandb_project: WandbProject = None,
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
    from ups.orchestrate import Options
    from ups.orchestrate import orchestrate as orchestrated

    deltas = (min_nrmse_delta, min_one_step_delta, min_crps_delta, min_spread_skill_delta)
    options = Options(
        train_config,
        train_stage=train_stage,
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
        gate=_gate(improvement_metric, gate_ratio, deltas),
        tags=tuple(tag or ()),
        notes=notes,
        wandb_mode=wandb_mode.value if wandb_mode else None,
        wandb_project=wandb_project,
    )
    _end(orchestrated(options, typer.echo), strict_exit)


def _gate(metric: Metric, ratio: float, deltas: Sequence[float | None]) -> "GateSettings":
    """What a run must reach; `deltas` in the order of `DELTAS`."""
    from ups.orchestrate import GateSettings

    asked = {name.value: delta for name, delta in zip(DELTAS, deltas, strict=True) if delta is not None}
    return GateSettings(metric.value, ratio, asked)


def _end(result: "Result", strict: bool) -> None:
    """Tells the verdict; a failed gate is an exit code where that is asked for."""
    typer.echo(f"{result.summary['verdict']}: {result.folder / 'summary.json'}")
    if strict and not result.passed:
        raise typer.Exit(GATE_FAILED)
