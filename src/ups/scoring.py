"""Scores a run folder: the ledger, test-time conditioning, pictures and the report.

RUN/predictions.h5  metrics.json  report.html  report/*.png      of the test split
RUN/validation/...                                               of the validation split
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console

from ups.config import Config, dump_config, load_config
from ups.config.command import command_of
from ups.core.device import device_name, device_of
from ups.core.errors import UserError
from ups.data.dataset import Dataset, open_dataset
from ups.data.split import Split
from ups.evaluation.baselines import FLOOR
from ups.evaluation.emulator import Emulator
from ups.evaluation.emulators import emulators
from ups.evaluation.evaluate import evaluate, write_metrics
from ups.evaluation.hardware import hardware
from ups.evaluation.html.report import write_report
from ups.evaluation.ledger import TTC, ledger_table
from ups.evaluation.physics import TRUTH, break_even_of, physics_emulators
from ups.evaluation.plot_scores import training_curves
from ups.evaluation.steady import steady_score_rows
from ups.evaluation.ttc import evaluate_ttc
from ups.evaluation.ttc_emulator import TTCEmulator, reward_of
from ups.evaluation.ttc_verdict import ttc_table
from ups.peers.settings import PeerSettings
from ups.peers.stage import PeerRun, trained
from ups.stages.steady import steady_rows
from ups.surrogate import Surrogate
from ups.tracking.jsonl import read_lines
from ups.tracking.sinks import Tracker, open_sinks
from ups.tracking.training_logger import TrainingLogger, last_step
from ups.ttc.candidates import head_of, samplers_of
from ups.ttc.rewards import Reward

TRAINING = "report/training.png"
"""The picture of the training curves."""
Mode = Literal["baseline", "ttc", "both"]
"""What is scored: every row without test-time conditioning, the comparison with it, or both."""


def evaluate_run(
    folder: str | Path,
    split: str = "test",
    config: Config | None = None,
    data: Dataset | None = None,
    tracker: Tracker | None = None,
    mode: Mode | None = None,
    overrides: Sequence[str] = (),
) -> dict[str, Any]:
    """Scores the models of a run folder and writes `predictions.h5`, `metrics.json`, pictures and `report.html`.

    Args:
        folder: A run folder.
        split: `test`, or `validation` for a look that may guide choices.
        config: The run's config; read from the folder unless given.
        data: The open data set; opened from the config unless given.
        tracker: Gets the scores; what the config names unless given.
        mode: `ttc` adds the comparison of test-time conditioning to scores that are there, whatever settings of `ttc`
            these have seen; `both` where `ttc.enabled` is set and the run has a sampler, else `baseline`, unless given.
        overrides: Settings to change, such as `ttc.candidates=8`, where the config is read from the folder.

    Returns:
        What `metrics.json` holds.

    Raises:
        UserError: The folder holds no run, its data are others than those of its training, or `mode` asks for what it
            lacks or for a conditioning that does not fit the data.
    """
    job = ScoredRun.open(Path(folder), split, config or config_of(Path(folder), overrides), data)
    wanted = mode or ("both" if job.config.ttc.enabled and samplers_of(job.surrogate) else "baseline")
    if wanted != "baseline":
        job.require_conditioning()
    metrics = job.scored(with_ttc=wanted == "both") if wanted != "ttc" else job.already_scored()
    if wanted != "baseline":
        metrics["ttc"] = job.conditioned()
    job.write(metrics)
    if tracker is not None:
        tracker.evaluation(metrics, job.target)
    else:
        here = job.config.model_copy(update={"run": job.config.run.model_copy(update={"dir": job.folder})})
        with tracker_of(here) as own:
            own.evaluation(metrics, job.target)
    show(metrics, job.target, job.folder)
    if job.config.ttc.enabled and not samplers_of(job.surrogate):
        print("ttc.enabled is set, but this run has no sampler to draw candidates from: train stages.diff_residual")
    return metrics


@dataclass(frozen=True)
class ScoredRun:
    """A run folder with everything that its scores need."""

    folder: Path
    split: str
    config: Config
    data: Dataset
    surrogate: Surrogate

    @classmethod
    def open(cls, folder: Path, split: str, config: Config, data: Dataset | None) -> ScoredRun:
        """Loads data and models; raises UserError where they do not belong together."""
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
        return cls(folder, split, config, data, surrogate)

    @property
    def target(self) -> Path:
        """Where the scores go."""
        return self.folder if self.split == "test" else self.folder / self.split

    @property
    def part(self) -> Split:
        """The trajectories that are scored."""
        return self.data.test if self.split == "test" else self.data.validation

    @property
    def log(self) -> Path:
        """The training log."""
        return self.folder / self.config.training.log_path

    @cached_property
    def reward(self) -> Reward:
        """What test-time conditioning chooses by."""
        return reward_of(self.data.system, self.config.ttc, self.config.data.generate, lambda: self.data.train)

    def protocol(self) -> dict[str, Any]:
        """What must agree before scores may be compared."""
        return {
            **self.data.describe(),
            "split": self.split,
            "split_hash": self.part.hash,
            "seed": self.config.run.seed,
            "config_hash": config_hash(self.config),
        }

    def scored(self, with_ttc: bool) -> dict[str, Any]:
        """All rows of the ledger."""
        settings, seed = self.config.evaluation, self.config.run.seed
        stages = emulators(self.surrogate, settings.nfe, settings.batch)
        physics = physics_emulators(self.data.system, self.config.data.generate)
        solvers = {name: row for name, row in physics.items() if name != TRUTH}
        peers = self.peers(stages["operator"].train_seconds)
        rows: dict[str, Emulator] = {FLOOR: stages.pop(FLOOR), **solvers, **peers, **stages}
        if with_ttc:
            rows[TTC] = TTCEmulator(self.surrogate, self.config.ttc, self.reward, settings.batch)
        rows |= {name: row for name, row in physics.items() if name == TRUTH}
        options = {"seed": seed, "device": self.surrogate.device, "further": self.settled()}
        metrics = evaluate(rows, self.part, self.data.system, settings, self.target, self.protocol(), **options)
        for row in metrics["rows"]:
            if row["model"] == TTC:
                row["settings"] = self.config.ttc.model_dump(mode="json")
        metrics["break_even"] = break_even_of(metrics, rows, "operator", self.part.frames - settings.context)
        return metrics

    def peers(self, seconds: float) -> dict[str, Emulator]:
        """The models of `evaluation.baselines`, each trained for `seconds` unless that was done before."""
        config = self.config
        return {
            name: trained(
                PeerRun(
                    name,
                    PeerSettings(network=name),
                    config.training,
                    self.data,
                    seconds,
                    self.folder / "checkpoints",
                    config.evaluation.validation_trajectories,
                    config.run.seed,
                    self.surrogate.device,
                ),
                TrainingLogger(self.log),
                config.evaluation.batch,
            )
            for name in config.evaluation.baselines
        }

    def settled(self) -> list[dict[str, Any]]:
        """Rows of the steady prior, where the run has one and the data settle."""
        if self.surrogate.steady_prior is None:
            return []
        tolerance, seed = self.config.stages.steady_prior.tolerance, self.config.run.seed
        rows = steady_rows(self.part, self.data.system.dt, tolerance)
        if not len(rows):
            return []
        return steady_score_rows(self.surrogate, self.part, rows, tolerance, self.config.evaluation, seed)

    def already_scored(self) -> dict[str, Any]:
        """The scores that are there; raises UserError if there are none of these data and settings.

        Settings of `ttc` may differ: no other row hears of them, and what does says which it has.
        """
        path = self.target / "metrics.json"
        metrics = json.loads(path.read_text()) if path.exists() else None
        keys = ("data_hash", "split_hash", "config_hash", "seed")
        if metrics is None or any(metrics["protocol"].get(key) != self.protocol()[key] for key in keys):
            found = "is missing" if metrics is None else "is of other data or settings"
            raise UserError(f"mode ttc adds to scores that are there, but {path} {found}; use mode both")
        return {"pictures": [], **metrics}  # scores of earlier versions do not say which are theirs

    def require_conditioning(self) -> None:
        """Raises UserError where test-time conditioning cannot run, before hours are spent on the other rows."""
        head_of(self.surrogate, self.config.ttc.sampler)
        refused = self.config.ttc.overdrawn(self.part.frames - self.config.evaluation.fewest_given)
        if refused:
            raise UserError(f"ttc.max_evaluations {refused}")
        _ = self.reward

    def conditioned(self) -> dict[str, Any]:
        """The strategies of test-time conditioning at equal cost."""
        settings = self.config.evaluation
        timed = {"device": device_name(self.surrogate.device), "threads": torch.get_num_threads()}
        return timed | evaluate_ttc(
            self.surrogate,
            self.part,
            self.reward,
            self.config.ttc,
            context=settings.context,
            trajectories=settings.trajectories,
            batch=settings.batch,
            resamples=settings.bootstrap,
            seed=self.config.run.seed,
        )

    def write(self, metrics: dict[str, Any]) -> None:
        """Scores, training curves and report."""
        if self.log.exists():
            training_curves(self.target / TRAINING, self.log)
            metrics["pictures"] = list(dict.fromkeys([*metrics["pictures"], TRAINING]))
        write_metrics(self.target / "metrics.json", metrics)
        trained = config_of(self.folder) if (self.folder / "config.yaml").exists() else self.config
        command = command_of(trained, self.config, self.folder, self.split, bool(metrics.get("ttc")))
        write_report(self.target, metrics, dump_config(self.config), self.log, command)


def config_of(folder: Path, overrides: Sequence[str] = ()) -> Config:
    """The config that a run was made with."""
    if not (folder / "config.yaml").exists():
        raise UserError(f"{folder} is not a run folder: it has no config.yaml")
    return load_config(folder / "config.yaml", overrides)


def tracker_of(config: Config) -> Tracker:
    """All that listens to a run besides its log."""
    step = last_step(read_lines(config.run.dir / config.training.log_path))
    return Tracker(open_sinks(config.tracking, config.run.dir, config.model_dump(mode="json"), step))


def config_hash(config: Config) -> str:
    """A hash of the settings that training and scores depend on: all but the run's folder and hardware, and those of
    test-time conditioning, which stand beside its own scores."""
    return hashlib.sha256(config.model_dump_json(exclude={"run", "tracking", "ttc"}).encode()).hexdigest()[:16]


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
