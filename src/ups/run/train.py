"""The ordered stages over a run folder: data, training, evaluation."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from ups.config import Config
from ups.config.command import training_command
from ups.core.device import device_of
from ups.core.errors import UserError
from ups.core.stages import STAGES, built_on_by, require_stage
from ups.data.dataset import Dataset, open_dataset
from ups.data.sidecar import SIDECAR
from ups.report.scores import RunScores
from ups.run.checks import require_sound
from ups.run.folder import claim, tracker_of, with_threads, write_config
from ups.run.score import evaluate_run
from ups.run.stage import train_stage
from ups.stages import steady
from ups.stages.build import build_stage
from ups.stages.context import Context
from ups.stages.predecessors import require
from ups.stages.set_aside import free_folder, set_aside_checkpoints
from ups.surrogate.surrogate import Surrogate
from ups.tracking.sinks import Tracker
from ups.training.stage import Stage
from ups.training.stage_files import StageFiles


@dataclass(frozen=True)
class RunResult:
    """What a run leaves.

    Attributes:
        folder: The run folder.
        metrics: What `metrics.json` holds, typed, or None where evaluation is switched off.
        device: `run.device`.
    """

    folder: Path
    metrics: RunScores | None
    device: str = "auto"

    @property
    def model(self) -> Surrogate:
        """The trained surrogate, on the device of the run."""
        return Surrogate.load(self.folder, device_of(self.device))


def context_of(config: Config, data: Dataset) -> Context:
    """What the stages need of a config."""
    return Context(
        data=data,
        latent=config.latent,
        operator=config.operator,
        diffusion=config.diffusion,
        training=config.training,
        stages=config.stages,
        folder=config.run.dir,
        validation_trajectories=config.evaluation.validation_trajectories,
        rollout_space=config.rollout.space,
        seed=config.run.seed,
        device=device_of(config.run.device),
        command=partial(training_command, config),
    )


def prepare(config: Config) -> Context:
    """Opens, or generates, the data of a config."""
    if config.run.threads:
        torch.set_num_threads(config.run.threads)
    context = context_of(config, open_dataset(config.data, sidecar=config.run.dir / SIDECAR))
    stride, asked = context.data.settings.subsample.time, config.data.subsample
    if stride != asked.time:
        print(f"training.dt = {asked.dt:g}: one frame in {stride} of the data is taken", file=sys.stderr)
    return context


def chosen_stages(context: Context, stage: str) -> list[str]:
    """The one stage, or with `all` every stage that has epochs, in order.

    Raises UserError where there are none, or where the data cannot train one of them.
    """
    learnt = [name for name in STAGES if name != "autoencoder" or not context.exact]
    names = [name for name in learnt if context.settings(name).epochs] if stage == "all" else [stage]
    if stage == "all" and len(learnt) < len(STAGES) and context.settings("autoencoder").epochs:
        print("latent.codec is exact: stage 0 has nothing to learn and is left out", file=sys.stderr)
    if stage not in ("all", *learnt):
        raise UserError("latent.codec is exact, so stage 0 has nothing to learn; train the operator")
    if not names:
        raise UserError("every stage has epochs: 0, so there is nothing to train; set stages.operator.epochs")
    for name in names:
        if not context.settings(name).epochs:
            raise UserError(
                f"stages.{name}.epochs is 0, so there is nothing to train; set it with --set stages.{name}.epochs=N"
            )
    if "steady_prior" in names:
        steady.require_steady(context)
    return names


def start_over(context: Context, stage: str) -> None:
    """Sets aside the files of a stage and of those that build on it, if all is there that it needs to train again."""
    chosen_stages(context, stage)
    for before in context.predecessors(stage):
        require(context, before)
    kept = free_folder(context.folder)
    set_aside_checkpoints(context.folder, stage, kept, context.exact)
    if (context.folder / kept).exists():
        print(f"kept the earlier weights in {context.folder / kept}", file=sys.stderr)


def train_stages(config: Config, context: Context, stage: str, tracker: Tracker) -> None:
    """Trains one stage, or with `all` every stage that has epochs, in order."""
    names = chosen_stages(context, stage)
    begun = begun_stages(context, names)
    write_config(config)
    for name in names:
        if name not in begun:  # what is built on weights that now change is built again
            stale = built_on_by(name, context.exact)
            begun = {later: built for later, built in begun.items() if later not in stale}
        train_stage(
            begun.pop(name, None) or build_stage(context, name),
            context.settings(name),
            context.training,
            context.folder,
            tracker=tracker,
            seed=context.seed,
            device=context.device,
        )


def begun_stages(context: Context, names: Sequence[str]) -> dict[str, Stage]:
    """Those of the stages that were begun before, built, once all of them are known to go on with these settings."""
    begun = {}
    for name in names:
        if (context.checkpoints / f"{STAGES[name].stem}_resume.pt").exists():
            begun[name] = build_stage(context, name)
            StageFiles(begun[name], context.checkpoints).read_resume()
    return begun


def train(config: Config, stage: str = "all", fresh: bool = False, tracker: Tracker | None = None) -> Path:
    """Trains and returns the run folder; what is finished already is not trained again.

    Args:
        config: A loaded config.
        stage: `all`, or the name of one stage, whose predecessors must be there.
        fresh: Trains from scratch. Earlier files of the stage, and of those that build on it, are kept in
            `checkpoints.1` or the next that is free.
        tracker: Hears of every epoch, and is closed; what the config names unless given.
    """
    require_stage(stage)
    require_sound(config)
    with claim(config.run.dir):
        config = with_threads(config)
        context = prepare(config)
        if fresh:
            start_over(context, stage)
        with tracker or tracker_of(config) as listening:
            train_stages(config, context, stage, listening)
    return config.run.dir


def train_all_stages(config: Config) -> Path:
    """Trains all stages that have epochs, in order, and then scores the run, unless `evaluation.enabled` is false."""
    return run(config).folder


def run(config: Config, tracker: Tracker | None = None) -> RunResult:
    """Everything: data, all stages, evaluation, pictures; `tracker` as in `train`.

    Raises UserError at once for what cannot come to its end.
    """
    require_sound(config)
    with claim(config.run.dir):
        config = with_threads(config)
        context = prepare(config)
        with tracker or tracker_of(config) as listening:
            train_stages(config, context, "all", listening)
            metrics = None
            if config.evaluation.enabled:
                metrics = evaluate_run(config.run.dir, config=config, data=context.data, tracker=listening)
    return RunResult(config.run.dir, metrics, config.run.device)
