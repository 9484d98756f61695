"""Scores a run folder: the ledger, test-time conditioning, pictures and the report."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch

from ups.config import Config, dump_config
from ups.config.command import command_of
from ups.core.device import device_of
from ups.core.errors import ForecastWarning, UserError
from ups.data.dataset import Dataset, open_dataset
from ups.data.sidecar import SIDECAR
from ups.data.split import Split
from ups.evaluation.baselines import FLOOR
from ups.evaluation.dressed import DRESSED, dressed
from ups.evaluation.evaluate import evaluate
from ups.evaluation.forecaster import Forecaster
from ups.evaluation.forecasters import forecasters
from ups.evaluation.physics import break_even_of, physics_forecasters, without_true_ensemble
from ups.evaluation.predictions import read_predictions
from ups.evaluation.progress import ScoringBar
from ups.evaluation.row import Row
from ups.evaluation.scores import read_scores, write_scores
from ups.evaluation.steady import steady_forecasters, steady_score_rows
from ups.report.figures import draw_pictures
from ups.report.html.report import write_report
from ups.report.scores import RunScores
from ups.report.terminal import show
from ups.run.baselines import train_baselines
from ups.run.folder import config_hash, config_of, target_of, tracker_of
from ups.stages.steady import mean_steady, none_steady, steady_rows
from ups.surrogate.surrogate import Surrogate
from ups.tracking.sinks import Tracker
from ups.ttc.candidates import head_of, samplers_of
from ups.ttc.comparison import Comparison
from ups.ttc.forecaster import TTC, TTCForecaster, reward_of
from ups.ttc.race import evaluate_ttc
from ups.ttc.rewards import Reward

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
) -> RunScores:
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
    job = ScoringJob.open(Path(folder), split, config or config_of(Path(folder), overrides), data)
    wanted = mode or ("both" if job.config.ttc.enabled and samplers_of(job.surrogate) else "baseline")
    if wanted != "baseline":
        job.require_conditioning()
    with warnings.catch_warnings(action="ignore", category=ForecastWarning):  # of test parameters beyond the trained
        scores = job.scored(with_ttc=wanted == "both") if wanted != "ttc" else job.already_scored()
        if wanted != "baseline":
            scores = scores.model_copy(update={"ttc": job.ttc_comparison()})
    scores = publish(scores, job.folder, split, job.config, tracker)
    if job.config.ttc.enabled and not samplers_of(job.surrogate):
        print("ttc.enabled is set, but this run has no sampler to draw candidates from: train stages.diff_residual")
    return scores


@dataclass(frozen=True)
class ScoringJob:
    """A run folder with everything that its scores need."""

    folder: Path
    split: str
    config: Config
    data: Dataset
    surrogate: Surrogate

    @classmethod
    def open(cls, folder: Path, split: str, config: Config, data: Dataset | None) -> ScoringJob:
        """Loads data and models; raises UserError where they do not belong together."""
        if split not in ("test", "validation"):
            raise UserError(f"split must be test or validation, found {split!r}")
        if config.run.threads:
            torch.set_num_threads(config.run.threads)
        data = data or open_dataset(config.data, allow_generate=False, sidecar=folder / SIDECAR)
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
        return target_of(self.folder, self.split)

    @property
    def part(self) -> Split:
        """The trajectories that are scored."""
        return part_of(self.data, self.split)

    @property
    def log(self) -> Path:
        """The training log."""
        return self.folder / self.config.training.log_path

    @cached_property
    def reward(self) -> Reward:
        """What test-time conditioning chooses by."""
        data, config = self.data, self.config
        return reward_of(data.system, data.statistics.std, config.ttc, config.data.generate, lambda: data.train)

    def protocol(self) -> dict[str, Any]:
        """What must agree before scores may be compared."""
        return {
            **self.data.describe(),
            "split": self.split,
            "split_hash": self.part.hash,
            "seed": self.config.run.seed,
            "config_hash": config_hash(self.config),
        }

    def scored(self, with_ttc: bool) -> RunScores:
        """All rows of the ledger."""
        settings, seed = self.config.evaluation, self.config.run.seed
        batch = min(settings.batch, self.part.n, settings.trajectories or self.part.n)
        stages = forecasters(self.surrogate, settings.nfe, batch)
        physics = physics_forecasters(self.data.system, self.data.settings)
        peers, without_peers = self.peers(stages)
        floor = {FLOOR: stages.pop(FLOOR)} if FLOOR in stages else {}
        rows: dict[str, Forecaster] = {**floor, **physics, **peers, **self.dressed(stages)}
        if with_ttc:
            rows[TTC] = TTCForecaster(self.surrogate, self.config.ttc, self.reward, settings.batch)
        solvers = {name: forecaster for name, forecaster in physics.items() if forecaster.role == "solver"}
        further, unsettled = self.steady_scores(solvers)
        options = {"std": self.data.statistics.std, "seed": seed, "device": self.surrogate.device, "further": further}
        with ScoringBar("scoring") as bar:
            given = (self.part, self.data.system, settings, self.target, self.protocol())
            found = evaluate(rows, *given, **options, progress=bar)
        missing = without_true_ensemble(self.data.system, self.data.settings)
        own = self.config.ttc.model_dump(mode="json")
        further_facts = {
            "pictures": draw_pictures(self.target) if settings.pictures else [],
            "errors": [*found.errors, *without_peers, *unsettled, *([missing] if missing else [])],
            "rows": [row.model_copy(update={"settings": own}) if row.model == TTC else row for row in found.rows],
            "break_even": break_even_of(found, "operator"),
        }
        return RunScores(**{**dict(found), **further_facts})

    def dressed(self, stages: dict[str, Forecaster]) -> dict[str, Forecaster]:
        """The rows of the stages, with the dressed operator after the operator where members are drawn."""
        settings, rows = self.config.evaluation, dict(stages)
        if settings.members > 1 and samplers_of(self.surrogate):
            held_out = self.data.validation.spread(settings.validation_trajectories)
            if ensemble := dressed(stages["operator"], *held_out, settings.context - 1):
                after = {name: rows.pop(name) for name in list(rows)[list(rows).index("operator") + 1 :]}
                rows |= {DRESSED: ensemble, **after}
        return rows

    def peers(self, stages: dict[str, Forecaster]) -> tuple[dict[str, Forecaster], list[str]]:
        """Other models, trained for as long as the operator; a sentence instead where there is none."""
        if self.surrogate.has_operator:
            given = (self.folder, stages["operator"].train_seconds, self.surrogate.device)
            return train_baselines(self.config, self.data, *given), []
        names = ", ".join(self.config.evaluation.baselines)
        told = f"evaluation.baselines train for as long as the operator, which this run lacks: no row for {names}"
        return {}, [told] if names else []

    def steady_scores(self, solvers: dict[str, Forecaster]) -> tuple[list[Row], list[str]]:
        """Rows of the steady prior and of what it is compared with, the solvers among them, where the run has one;
        where no trajectory settles, a sentence instead."""
        if self.surrogate.steady_prior is None:
            return [], []
        tolerance, seed = self.config.stages.steady_prior.tolerance, self.config.run.seed
        std = self.data.statistics.std
        rows = steady_rows(self.part, std, self.data.system.dt, tolerance)
        if not len(rows):
            return [], [f"{none_steady(self.part, self.split, tolerance)}, so the steady prior has no row"]
        settings, train = self.config.evaluation, self.data.train
        mean = mean_steady(train, steady_rows(train, std, self.data.system.dt, tolerance))
        compared = steady_forecasters(self.surrogate, mean, solvers, settings.batch)
        sigma = dict(zip(self.data.system.channels, std, strict=True))
        return steady_score_rows(compared, self.part, rows, tolerance, settings, seed, sigma), []

    def already_scored(self) -> RunScores:
        """The scores that are there; raises UserError if there are none of these data and settings,
        or no forecasts beside them that a report can be made of.

        Settings of `ttc` may differ: no other row hears of them, and what does says which it has.
        """
        path = self.target / "metrics.json"
        scores, protocol = read_scores(path, RunScores) if path.exists() else None, self.protocol()
        keys = ("data_hash", "split_hash", "config_hash", "seed")
        if scores is None or any(getattr(scores.protocol, key) != protocol[key] for key in keys):
            found = "is missing" if scores is None else "is of other data or settings"
            raise UserError(f"mode ttc adds to scores that are there, but {path} {found}; use mode both")
        read_predictions(self.target / "predictions.h5", slice(0, 1))  # the report needs them, after hours of work
        return scores

    def require_conditioning(self) -> None:
        """Raises UserError where test-time conditioning cannot run, before hours are spent on the other rows."""
        head_of(self.surrogate, self.config.ttc.sampler)
        refused = self.config.ttc.overdrawn(self.part.frames - self.config.evaluation.fewest_given)
        if refused:
            raise UserError(f"ttc.max_evaluations {refused}")
        _ = self.reward

    def ttc_comparison(self) -> Comparison:
        """The strategies of test-time conditioning at equal cost."""
        settings = self.config.evaluation
        with ScoringBar("test-time conditioning:") as bar:
            return evaluate_ttc(
                self.surrogate,
                self.part,
                self.reward,
                self.config.ttc,
                context=settings.context,
                trajectories=settings.trajectories,
                batch=settings.batch,
                resamples=settings.bootstrap,
                seed=self.config.run.seed,
                progress=bar,
            )


def publish(scores: RunScores, folder: Path, split: str, config: Config, tracker: Tracker | None = None) -> RunScores:
    """Writes scores and report of a run folder, tells the tracker, and prints the ledger; returns the scores.

    Without a tracker, those that the config names are told.
    """
    target, log = target_of(folder, split), folder / config.training.log_path
    write_scores(target / "metrics.json", scores)
    stored = config_of(folder) if (folder / "config.yaml").exists() else config
    command = command_of(stored, config, folder, split, scores.ttc is not None)
    write_report(target, scores, dump_config(config), log, command)
    if tracker is not None:
        tracker.evaluation(scores.model_dump(), target)
    else:
        here = config.model_copy(update={"run": config.run.model_copy(update={"dir": folder})})
        with tracker_of(here) as own:
            own.evaluation(scores.model_dump(), target)
    show(scores, target, folder)
    return scores


def part_of(data: Dataset, split: str) -> Split:
    """The split called `test` or `validation`."""
    return data.test if split == "test" else data.validation
