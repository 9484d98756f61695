"""The steps of an orchestration, in order: each is done once, recorded, and done again only if what it reads changed.

RUN/summary.json                every step and decision, in words and as data; it holds no time, so it can be compared
RUN/orchestrate/state.json      what has been done, written after every step
RUN/orchestrate/timings.json    what the dry run estimated and what was then measured
RUN/orchestrate/*.yaml          the resolved configs
RUN/../leaderboard.csv, .html   all runs
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ups.config import dump_config
from ups.core.files import claimed, write_text
from ups.data.dataset import Dataset, open_dataset
from ups.data.sidecar import SIDECAR
from ups.orchestrate.checks import check_config, check_data, data_files
from ups.orchestrate.estimate import estimate
from ups.orchestrate.gated import GatedEntry, drop_old_weights, finish_board, gated_entry, score
from ups.orchestrate.leaderboard import read_entries
from ups.orchestrate.peaks import device_peak, host_peak, reset_peak
from ups.orchestrate.plan import Options, Plan, resolve
from ups.orchestrate.records import set_aside_records, set_aside_scores
from ups.orchestrate.report import estimate_table, measured
from ups.orchestrate.state import EVALUATIONS, GATES, Outcome, State, digest, write_json
from ups.orchestrate.training_record import training_record, weights
from ups.orchestrate.wandb_run import CONTEXT_FILE, one_wandb_run
from ups.run.folder import tracker_of
from ups.run.train import claim, context_of, train_stages
from ups.stages.set_aside import free_folder, set_aside_checkpoints
from ups.tracking.sinks import Tracker

Say = Callable[[str], None]
"""Told what is done, and in the end what came of it."""


@dataclass(frozen=True)
class Result:
    """What an orchestration leaves.

    Attributes:
        folder: The run folder.
        summary: What `summary.json` holds.
    """

    folder: Path
    summary: dict[str, Any]

    @property
    def passed(self) -> bool:
        """Whether no gate failed."""
        return self.summary["verdict"] != "failed"


def orchestrate(options: Options, say: Say = print) -> Result:
    """Does all steps that are left to do.

    Args:
        options: What is asked for.
        say: Told, step by step, what is done.

    Raises:
        UserError: A config, the data or the run folder is not fit.
    """
    plan = resolve(options)
    with claimed(plan.folder / "orchestrate", "choose another with --run-dir") as folder:
        write_text(folder / "config.yaml", dump_config(plan.config))
        write_text(folder / "small_evaluation.yaml", dump_config(plan.small))
        write_text(folder / "full_evaluation.yaml", dump_config(plan.full))
        if plan.config.run.threads:
            torch.set_num_threads(plan.config.run.threads)
        with one_wandb_run(plan.config.tracking.wandb, folder / CONTEXT_FILE):
            return Orchestration(plan, State(folder / "state.json"), say).run()


class Orchestration:
    """One call: the plan, the record of earlier calls, and what this one finds."""

    def __init__(self, plan: Plan, state: State, say: Say):
        self.plan, self.state, self.say = plan, state, say
        self.options, self.own = plan.options, plan.folder / "orchestrate"
        self.log: list[dict[str, Any]] = []
        self.gated: dict[str, GatedEntry] = {}
        self.opened = ExitStack()
        self._data: Dataset | None = None
        self._tracker: Tracker | None = None

    def run(self) -> Result:
        """All steps, and the summary of them."""
        read_entries(self.plan.runs / "leaderboard.csv")  # a damaged one is told now, and not after hours of training
        with self.opened:
            self.validate()
            self.dry_run()
            self.train()
            model = self.evaluate("validation", self.options.skip_small_eval, self.options.redo_small_eval, None)
            self.evaluate("test", self.options.skip_full_eval, self.options.redo_full_eval, model)
            return self.finish()

    # -- steps ---------------------------------------------------------------------------------------------------------
    def validate(self) -> None:
        """The config, then the data, which are generated if the config says how."""
        if self.options.skip_validation:
            self.files = data_files(self.plan.config.data)
            self.skip("validate config", "--skip-validation")
            self.skip("validate data", "--skip-validation")
            return
        inputs = [self.plan.config, self.options.train_stage, self.options.skip_training]
        self.step("validate config", inputs, lambda: check_config(self.plan))
        self.files = data_files(self.plan.config.data)
        inputs = [self.plan.config.data, self.files, self.plan.small.evaluation, self.plan.full.evaluation]
        self.step("validate data", inputs, lambda: check_data(self.plan, self.data()))

    def dry_run(self) -> None:
        """What the run will take."""
        if self.options.skip_dry_run:
            self.skip("dry run", "--skip-dry-run")
            return
        skipped = [self.options.skip_training, self.options.skip_small_eval, self.options.skip_full_eval]
        evaluations = [self.plan.small.evaluation, self.plan.full.evaluation, self.plan.small.ttc, self.plan.full.ttc]
        self.step("dry run", [self.plan.training_inputs(), evaluations, self.files, skipped], self._estimate)

    def _estimate(self) -> Outcome:
        self._data = None
        found = estimate(self.plan, self.data, self.own / "dry_run")
        self.say(estimate_table(found))
        parts = [*found.stages, *(f"the evaluation on {split}" for split in found.evaluations)]
        sentence = f"measured a few steps of {', '.join(parts) or 'nothing'}; timings.json holds the estimate"
        return Outcome(sentence, private={"estimate": found.to_dict()})

    def train(self) -> None:
        """Trains what is not trained yet."""
        if self.options.skip_training:
            self.skip("train", "--skip-training")
            return
        inputs = [self.plan.training_inputs(), self.files]
        if self.options.force_train:
            self._force(digest(inputs))
        self.step("train", inputs, self._train, self._weights_kept)

    def _weights_kept(self, outcome: Outcome) -> bool:
        """Whether the weights are those that were recorded."""
        return bool(outcome.private["weights"]) and outcome.private["weights"] == weights(self.plan.folder)

    def _train(self) -> Outcome:
        fresh = not any((self.plan.folder / "checkpoints").glob("*.pt"))
        reset_peak()
        with claim(self.plan.folder):
            context = context_of(self.plan.config, self.data())
            train_stages(self.plan.config, context, self.options.train_stage, self.tracker())
        peaks = {"host_bytes": host_peak(), "device_bytes": device_peak(), "from_scratch": fresh}
        return training_record(self.plan, peaks)

    def _force(self, inputs: str) -> None:
        """Sets checkpoints and their scores aside, once for each command that comes to its end."""
        forced, folder = self.state.forced, self.plan.folder
        if forced is None or forced["inputs"] != inputs:
            forced = {"inputs": inputs, "kept": free_folder(folder), "moved": False}
        if forced["moved"]:
            return
        kept = forced["kept"]
        self.state.force(inputs, kept, moved=False)
        self.state.forget(["train", *EVALUATIONS.values(), *GATES.values()])
        if self.options.train_stage == "all":
            set_aside_records(self.plan, folder / kept)
        set_aside_scores(folder, folder / kept)
        set_aside_checkpoints(folder, self.options.train_stage, kept)
        drop_old_weights(self.plan)
        self.state.force(inputs, kept, moved=True)

    def evaluate(self, split: str, skip: bool, redo: bool, model: str | None) -> str | None:
        """Scores on a split and judges the scores; returns the model's best row, or None if nothing was scored.

        Args:
            split: `validation` or `test`.
            skip: Whether the user asked to leave it out.
            redo: Whether the user asked to do it again.
            model: The row that stands for the run; the best one on this split unless given.
        """
        name, gate = EVALUATIONS[split], GATES[split]
        reason = self._why_not(split, skip)
        if reason is not None:
            self.skip(name, reason)
            self.skip(gate, f"there was no {name}")
            return None
        if redo:
            self.state.forget([name, gate])
        config = self.plan.small if split == "validation" else self.plan.full
        scored = score(config, split, self.data, self.tracker, self.files)
        self.step(name, scored.inputs, scored.work, scored.kept)
        gated = gated_entry(self.plan, split, scored.scores(), model)
        outcome = self.step(gate, gated.inputs, gated.work)
        self.gated[split] = gated.with_decision(outcome)
        return gated.entry.model

    def _why_not(self, split: str, skip: bool) -> str | None:
        if skip:
            return "--skip-small-eval" if split == "validation" else "--skip-full-eval"
        if not (self.plan.small if split == "validation" else self.plan.full).evaluation.enabled:
            return "evaluation.enabled is false"
        if split == "test" and "validation" in self.gated and not self.gated["validation"].passed:
            return "the small gate failed"
        if not (self.plan.folder / "checkpoints" / "operator.pt").exists() and self.options.train_stage != "all":
            return "the operator is not trained yet"
        return None

    def finish(self) -> Result:
        """The leaderboard and the summary."""
        ranks = finish_board(self.plan, list(self.gated.values()))
        for rank in ranks:
            self.note("leaderboard", "done", rank.sentence, rank.data)
        if not ranks:
            self.skip("leaderboard", "nothing was scored")
        summary = self._summary()
        write_json(self.own / "timings.json", measured(self.state, EVALUATIONS))
        write_json(self.plan.folder / "summary.json", summary)
        self.state.finish()
        return Result(self.plan.folder, summary)

    def _summary(self) -> dict[str, Any]:
        gated, options = self.gated.values(), self.options
        verdict = "not judged" if not gated else "passed" if all(j.passed for j in gated) else "failed"
        return {
            "format": 1,
            "run": self.plan.run,
            "folder": str(self.plan.folder),
            "verdict": verdict,
            "reasons": [step["sentence"] for step in self.log if step["step"] in GATES.values()],
            "tags": list(options.tags),
            "notes": options.notes,
            "config": {
                "file": str(options.train_config),
                "overrides": list(options.overrides),
                "stage": options.train_stage,
                "hash": digest(self.plan.training_inputs())[:16],
            },
            "steps": self.log,
        }

    # -- records -------------------------------------------------------------------------------------------------------
    def step(
        self, name: str, inputs: Any, work: Callable[[], Outcome], kept: Callable[[Outcome], bool] = lambda _: True
    ) -> Outcome:
        """The outcome of a step: the recorded one if its inputs are the same and what it left is `kept`, else a new."""
        key = digest(inputs)
        outcome = self.state.outcome(name, key)
        if outcome is not None and kept(outcome):
            self.say(f"{name}: done before")
        else:
            self.say(f"{name} ...")
            began = time.perf_counter()
            outcome = work()
            self.state.record(name, key, outcome, time.perf_counter() - began)
        self.note(name, "done", outcome.sentence, outcome.data)
        return outcome

    def skip(self, name: str, reason: str) -> None:
        """A step that is left out."""
        self.note(name, "skipped", f"skipped: {reason}", {})

    def note(self, name: str, status: str, sentence: str, data: Mapping[str, Any]) -> None:
        """A line of the summary."""
        self.say(f"{name}: {sentence}")
        self.log.append({"step": name, "status": status, "sentence": sentence, **data})

    def data(self) -> Dataset:
        """The open data set."""
        if self._data is None:
            given, sidecar = self.plan.config.data, self.plan.folder / SIDECAR
            self._data = open_dataset(given, allow_generate=False, sidecar=sidecar)
        return self._data

    def tracker(self) -> Tracker:
        """What listens to training and evaluations; one for all, so that they are one run."""
        if self._tracker is None:
            self._tracker = self.opened.enter_context(tracker_of(self.plan.config))
        return self._tracker
