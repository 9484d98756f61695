"""What is asked of an orchestration, and the configs that follow from it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ups.config import Config, TTCSettings, load_config
from ups.config.load import load_settings
from ups.core.errors import UserError
from ups.core.settings import Settings
from ups.core.stages import STAGES
from ups.evaluation.settings import EvaluationSettings
from ups.orchestrate.gates import GateSettings
from ups.run.folder import with_threads

QUICK_TRAJECTORIES, QUICK_MEMBERS = 32, 8
"""Trajectories and members of a small evaluation without a file of its own."""


@dataclass(frozen=True)
class Options:
    """The flags of an orchestration.

    Attributes:
        train_config: The run's YAML file.
        train_stage: `all`, or one stage.
        small_eval_config, full_eval_config: YAML files with sections `evaluation` and `ttc` over those of the run.
        overrides: `a.b=value` over the run's file.
        run_id: Name of the run and, without `run_dir`, of its folder beside that of the config.
        run_dir: The run folder.
        skip_validation, skip_dry_run, skip_training, skip_small_eval, skip_full_eval: Steps that are left out.
        force_train: Trains `train_stage` from scratch. Its checkpoints and those of stages that build on it are kept in
            another folder.
        redo_small_eval, redo_full_eval: Scores and judges again.
        gate: What a run must reach.
        tags, notes: Shown in the leaderboard; the tags also in Weights & Biases.
        wandb_mode, wandb_project: Override the config's.
    """

    train_config: Path
    train_stage: str = "all"
    small_eval_config: Path | None = None
    full_eval_config: Path | None = None
    overrides: tuple[str, ...] = ()
    run_id: str | None = None
    run_dir: Path | None = None
    skip_validation: bool = False
    skip_dry_run: bool = False
    skip_training: bool = False
    skip_small_eval: bool = False
    skip_full_eval: bool = False
    force_train: bool = False
    redo_small_eval: bool = False
    redo_full_eval: bool = False
    gate: GateSettings = field(default_factory=GateSettings)
    tags: tuple[str, ...] = ()
    notes: str = ""
    wandb_mode: str | None = None
    wandb_project: str | None = None


class EvaluationFile(Settings):
    """What a file for one of the two evaluations may set.

    Good values: a few members and trajectories for the small evaluation, `also_context: [10]` for the full one.
    """

    evaluation: EvaluationSettings = EvaluationSettings()
    """Scores and report."""
    ttc: TTCSettings = TTCSettings.model_validate({})
    """Test-time conditioning."""


@dataclass(frozen=True)
class Plan:
    """An orchestration with all its settings resolved.

    Attributes:
        options: The flags.
        run: Name of the run.
        config: The config that is trained.
        small, full: The same config with the settings of the evaluation on validation and on test.
    """

    options: Options
    run: str
    config: Config
    small: Config
    full: Config

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.config.run.dir

    @property
    def runs(self) -> Path:
        """The folder of all runs, which holds the leaderboard."""
        return self.folder.parent

    def stages(self) -> list[str]:
        """The stages that are to be trained, in order."""
        chosen = STAGES if self.options.train_stage == "all" else [self.options.train_stage]
        return [name for name in chosen if self.config.stages.of(name).epochs]

    def training_inputs(self) -> dict[str, Any]:
        """All settings that training depends on, as plain values."""
        apart = {"evaluation", "ttc", "tracking", "run"}
        return {
            **self.config.model_dump(mode="json", exclude=apart),
            "run": self.config.run.model_dump(mode="json", exclude={"dir", "source"}),
            "validation_trajectories": self.config.evaluation.validation_trajectories,
            "stage": self.options.train_stage,
        }


def resolve(options: Options) -> Plan:
    """Reads the config files and applies the flags. Raises UserError with every problem and its line, and where flags
    contradict each other or the two evaluations."""
    _require_consistent(options)
    if options.train_stage not in ("all", *STAGES):
        raise UserError(f"--train-stage: expected all, {', '.join(STAGES)}, found {options.train_stage!r}")
    overrides = [*options.overrides, *_tracking(options)]
    config = load_config(options.train_config, overrides)
    folder = _folder(options, config.run.dir)
    small = _quick(config) if options.small_eval_config is None else _overlay(options.small_eval_config)
    full = [] if options.full_eval_config is None else _overlay(options.full_eval_config)
    configs = [config, *(load_config(options.train_config, [*overrides, *extra]) for extra in (small, full))]
    threads = with_threads(config.model_copy(update={"run": config.run.model_copy(update={"dir": folder})})).run.threads
    where = {"dir": folder, "threads": threads}
    placed = [c.model_copy(update={"run": c.run.model_copy(update=where)}) for c in configs]
    plan = Plan(options, options.run_id or folder.resolve().name, *placed)
    _require_same_rows(plan)
    return plan


def _require_consistent(options: Options) -> None:
    for skip, insist in (
        ("skip_training", "force_train"),
        ("skip_small_eval", "redo_small_eval"),
        ("skip_full_eval", "redo_full_eval"),
    ):
        if getattr(options, skip) and getattr(options, insist):
            flags = " and ".join(f"--{name.replace('_', '-')}" for name in (skip, insist))
            raise UserError(f"{flags} contradict each other: leave one of them out")


def _require_same_rows(plan: Plan) -> None:
    """The row that the small evaluation chooses stands for the run in the full one, so the full one must hold it."""
    options, config, small, full = plan.options, plan.config, plan.small.evaluation, plan.full.evaluation
    sampled = config.stages.of("diff_residual").epochs and config.diffusion.objective == "flow"
    both = small.enabled and full.enabled and not (options.skip_small_eval or options.skip_full_eval)
    missing = [n for n in small.nfe if n not in full.nfe]
    if sampled and both and missing:
        raise UserError(
            f"evaluation.nfe is {list(small.nfe)} in the small evaluation and {list(full.nfe)} in the full one, which "
            f"must hold every row that the small one may choose: add {', '.join(map(str, missing))} to it"
        )


def _folder(options: Options, default: Path) -> Path:
    name = options.run_id
    if name is not None and (not name.strip() or name in (".", "..") or "/" in name or "\\" in name):
        raise UserError(f"--run-id: expected a name that a folder can have, found {name!r}")
    return options.run_dir or (default if name is None else default.parent / name)


def _tracking(options: Options) -> list[str]:
    found: dict[str, Any] = {"mode": options.wandb_mode, "project": options.wandb_project}
    found |= {"tags": list(options.tags) or None}
    return [f"tracking.wandb.{key}={json.dumps(value)}" for key, value in found.items() if value is not None]


def _quick(config: Config) -> list[str]:
    settings = config.evaluation
    return [
        f"evaluation.trajectories={min(settings.trajectories or QUICK_TRAJECTORIES, QUICK_TRAJECTORIES)}",
        f"evaluation.members={min(settings.members, QUICK_MEMBERS)}",
        "evaluation.also_context=[]",
        "evaluation.pictures=false",
    ]


def _overlay(path: Path) -> list[str]:
    given = load_settings(path, (), EvaluationFile).model_dump(mode="json", exclude_unset=True)
    return [
        f"{section}.{key}={json.dumps(value)}" for section, values in given.items() for key, value in values.items()
    ]
