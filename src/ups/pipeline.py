"""The ordered stages over a run folder: data, training, evaluation.

RUN/config.yaml  checkpoints/*.pt  reports/training_log.jsonl  latents/
RUN/predictions.h5  metrics.json  report.html  report/*.png
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from ups.config import Config, dump_config, load_config
from ups.core.errors import UserError
from ups.data.dataset import Dataset, open_dataset
from ups.evaluation.baselines import FLOOR
from ups.evaluation.emulators import emulators
from ups.evaluation.evaluate import evaluate, write_metrics
from ups.evaluation.html.report import write_report
from ups.evaluation.ledger import ledger_table
from ups.evaluation.physics import TRUTH, break_even_of, physics_emulators
from ups.evaluation.plot_scores import training_curves
from ups.evaluation.steady import steady_score_rows
from ups.stages import autoencoder, distill, operator, residual, steady
from ups.stages.context import FILES, Context
from ups.stages.steady import steady_rows
from ups.surrogate import Surrogate
from ups.tracking.sinks import Tracker, open_sinks
from ups.tracking.training_logger import TrainingLogger
from ups.training.loop import fit, resumable
from ups.training.stage import Stage

STAGES: dict[str, Callable[[Context], Stage]] = {
    "autoencoder": autoencoder.build,
    "operator": operator.build,
    "diff_residual": residual.build,
    "crps_ensemble": partial(residual.build, name="crps_ensemble"),
    "consistency_distill": distill.build,
    "steady_prior": steady.build,
}
"""The stages in their order."""


@dataclass(frozen=True)
class RunResult:
    """What a run leaves.

    Attributes:
        folder: The run folder.
        metrics: What `metrics.json` holds, or None where evaluation is switched off.
    """

    folder: Path
    metrics: dict[str, Any] | None

    @property
    def model(self) -> Surrogate:
        """The trained surrogate."""
        return Surrogate.load(self.folder)


def device_of(name: str) -> torch.device:
    """The device of `run.device`; `auto` takes a GPU where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"run.device: {name} is not available here ({str(error).splitlines()[0]})") from error
    return device


@contextmanager
def claimed(folder: Path) -> Iterator[Path]:
    """Makes the run folder and keeps other processes out of it."""
    try:
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise UserError(
            f"cannot write the run folder {folder}: {error.strerror}; choose another with --set run.dir=FOLDER"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise UserError(f"another process is working in {folder}; wait for it or choose another run.dir") from error
    try:
        yield folder
    finally:
        os.close(lock)


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
        source=config.run.source or str(config.run.dir / "config.yaml"),
    )


def prepare(config: Config) -> Context:
    """Opens, or generates, the data of a config."""
    if config.run.threads:
        torch.set_num_threads(config.run.threads)
    return context_of(config, open_dataset(config.data))


def write_config(config: Config) -> None:
    """Writes the resolved config into the run folder."""
    temporary = config.run.dir / "config.yaml.part"
    temporary.write_text(dump_config(config))
    os.replace(temporary, config.run.dir / "config.yaml")


def tracker_of(config: Config) -> Tracker:
    """All that listens to a run besides its log."""
    return Tracker(open_sinks(config.tracking, config.run.dir, config.model_dump(mode="json")))


def train_stages(config: Config, context: Context, stage: str, tracker: Tracker) -> None:
    """Trains one stage, or with `all` every stage that has epochs, in order."""
    log = TrainingLogger(config.run.dir / config.training.log_path, (tracker.epoch,))
    names = [name for name in STAGES if context.settings(name).epochs] if stage == "all" else [stage]
    if not names:
        raise UserError("every stage has epochs: 0, so there is nothing to train; set stages.operator.epochs")
    for name in names:
        if not context.settings(name).epochs:
            raise UserError(
                f"stages.{name}.epochs is 0, so there is nothing to train; set it with --set stages.{name}.epochs=N"
            )
    for name in names:
        if (context.checkpoints / f"{FILES.get(name, name)}_resume.pt").exists():
            resumable(STAGES[name](context), context.checkpoints)
    write_config(config)
    for name in names:
        fit(
            STAGES[name](context),
            context.settings(name),
            context.training,
            context.checkpoints,
            log,
            seed=context.seed,
            device=context.device,
        )
        for suffix in ("", "_ema"):
            weights = context.checkpoints / f"{FILES.get(name, name)}{suffix}.pt"
            if weights.exists():
                tracker.file(weights)


def train(config: Config, stage: str = "all") -> Path:
    """Trains and returns the run folder; what is finished already is not trained again.

    Args:
        config: A loaded config.
        stage: `all`, or the name of one stage, whose predecessors must be there.
    """
    if stage not in ("all", *STAGES):
        raise UserError(f"no stage {stage!r}: expected all, {', '.join(STAGES)}")
    with claimed(config.run.dir):
        context = prepare(config)
        with tracker_of(config) as tracker:
            train_stages(config, context, stage, tracker)
    return config.run.dir


def train_all_stages(config: Config) -> Path:
    """Trains all stages that have epochs, in order."""
    return train(config, "all")


def evaluate_run(
    folder: str | Path,
    split: str = "test",
    config: Config | None = None,
    data: Dataset | None = None,
    tracker: Tracker | None = None,
) -> dict[str, Any]:
    """Scores the models of a run folder and writes `predictions.h5`, `metrics.json` and pictures into it.

    Args:
        folder: A run folder.
        split: `test`, or `validation` for a look that may guide choices.
        config: The run's config; read from the folder unless given.
        data: The open data set; opened from the config unless given.
        tracker: Gets the scores; what the config names unless given.
    """
    folder = Path(folder)
    if config is None:
        if not (folder / "config.yaml").exists():
            raise UserError(f"{folder} is not a run folder: it has no config.yaml")
        config = load_config(folder / "config.yaml")
    if split not in ("test", "validation"):
        raise UserError(f"split must be test or validation, found {split!r}")
    if config.run.threads:
        torch.set_num_threads(config.run.threads)
    data = data or open_dataset(config.data, allow_generate=False)
    surrogate = Surrogate.load(folder, device_of(config.run.device))
    if surrogate.data_hash != data.hash:
        raise UserError(
            f"the data or the splits that {folder}/config.yaml names are not those the model was trained on, "
            "so its test split may hold training data; restore the files or train again"
        )
    target = folder if split == "test" else folder / split
    part = data.test if split == "test" else data.validation
    protocol = {
        **data.describe(),
        "split": split,
        "split_hash": part.hash,
        "seed": config.run.seed,
        "config_hash": config_hash(config),
    }
    trained = emulators(surrogate, config.evaluation.nfe, config.evaluation.batch)
    physics = physics_emulators(data.system, config.data.generate)
    solvers = {name: row for name, row in physics.items() if name != TRUTH}
    rows = {FLOOR: trained.pop(FLOOR), **solvers, **trained, **{k: v for k, v in physics.items() if k == TRUTH}}
    settled: list[dict[str, Any]] = []
    if surrogate.steady_prior is not None:
        steady_part = steady_rows(part, data.system.dt, config.stages.steady_prior.tolerance)
        if len(steady_part):
            settled = steady_score_rows(surrogate, part, steady_part, config.evaluation, config.run.seed)
    options = {"seed": config.run.seed, "further": settled}
    metrics = evaluate(rows, part, data.system, config.evaluation, target, protocol, **options)
    metrics["break_even"] = break_even_of(metrics, rows, "operator", part.frames - config.evaluation.context)
    write_metrics(target / "metrics.json", metrics)
    log = folder / config.training.log_path
    if log.exists():
        training_curves(target / "report" / "training.png", log)
    write_report(target, metrics, dump_config(config), log, f"ups run {config.run.source}")
    if tracker is not None:
        tracker.evaluation(metrics, target)
    else:
        here = config.model_copy(update={"run": config.run.model_copy(update={"dir": folder})})
        with tracker_of(here) as own:
            own.evaluation(metrics, target)
    show(metrics, target, folder)
    return metrics


def config_hash(config: Config) -> str:
    """A hash of all settings but the run's folder and hardware."""
    return hashlib.sha256(config.model_dump_json(exclude={"run", "tracking"}).encode()).hexdigest()[:16]


def show(metrics: dict[str, Any], target: Path, folder: Path) -> None:
    """Prints the ledger and where scores and pictures (`target`) and the model (`folder`) lie."""
    console = Console()
    console.print(ledger_table(metrics["rows"], metrics["protocol"]["bootstrap"], metrics["protocol"]["seed"]))
    for error in metrics["errors"]:
        console.print(f"[yellow]{error}[/]")
    if metrics["break_even"]:
        console.print(f"break-even against the classical solver: {metrics['break_even']}", highlight=False)
    places = {
        "scores": target / "metrics.json",
        "report": target / "report.html",
        "pictures": target / "report",
        "model": folder / "checkpoints",
    }
    for what, path in places.items():
        console.print(f"{what:<9} {path}", highlight=False, soft_wrap=True)


def run(config: Config) -> RunResult:
    """Everything: data, all stages, evaluation, pictures."""
    with claimed(config.run.dir):
        context = prepare(config)
        with tracker_of(config) as tracker:
            train_stages(config, context, "all", tracker)
            metrics = None
            if config.evaluation.enabled:
                metrics = evaluate_run(config.run.dir, config=config, data=context.data, tracker=tracker)
    return RunResult(config.run.dir, metrics)
