"""Scores of a run on one split, and what the gate makes of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ups.config import Config
from ups.data.dataset import Dataset
from ups.evaluation.scores import read_scores
from ups.orchestrate.gates import PROTOCOL, best_model, cost, judge
from ups.orchestrate.leaderboard import Entry, champion, entry_of, read_entries, retire, update
from ups.orchestrate.peaks import device_peak, host_peak, reset_peak
from ups.orchestrate.plan import Plan
from ups.orchestrate.state import Outcome, file_hash
from ups.orchestrate.training_record import weights, weights_hash
from ups.report.scores import RunScores
from ups.run.score import evaluate_run
from ups.run.train import claim
from ups.tracking.sinks import Tracker


@dataclass(frozen=True)
class Scored:
    """An evaluation that is done, or to be done.

    Attributes:
        path: Its `metrics.json`.
        inputs: All that it depends on.
        work: Does it.
    """

    path: Path
    inputs: list[Any]
    work: Callable[[], Outcome]

    def kept(self, outcome: Outcome) -> bool:
        """Whether the file is the one that was recorded."""
        return file_hash(self.path) == outcome.private["metrics"]

    def scores(self) -> RunScores:
        """What the file holds."""
        return read_scores(self.path, RunScores)


def score(
    config: Config, split: str, data: Callable[[], Dataset], tracker: Callable[[], Tracker], files: Sequence[Any]
) -> Scored:
    """The evaluation of a run on `split`.

    Args:
        config: The run's config, with the settings of this evaluation.
        split: `validation` or `test`.
        data: Opens the data set.
        tracker: Opens what gets the scores.
        files: What the data files are.
    """
    folder = config.run.dir
    path = (folder if split == "test" else folder / split) / "metrics.json"

    def work() -> Outcome:
        reset_peak()
        with claim(folder):
            scores = evaluate_run(folder, split, config, data(), tracker())
        rows, n = {row.model: row.rollout.nrmse for row in scores.rows}, scores.protocol.trajectories
        found = {"nrmse": rows, "errors": scores.errors, "trajectories": n}
        sentence = f"scored {len(rows)} rows on {n} trajectories of the {split} split"
        peaks = {"host_bytes": host_peak(), "device_bytes": device_peak()}
        return Outcome(sentence, found, {"metrics": file_hash(path), **peaks})

    settings = [config.evaluation, config.ttc, config.run.seed, config.run.threads]
    inputs = [PROTOCOL, split, *settings, weights(folder), files]
    return Scored(path, inputs, work)


@dataclass(frozen=True)
class GatedEntry:
    """The entry of a run on one split, with the decision of its gate once that is made.

    Attributes:
        entry: As it goes to the leaderboard.
        inputs: All that the decision depends on but the champion: a decision once made stands.
        work: Makes it.
    """

    entry: Entry
    inputs: list[Any]
    work: Callable[[], Outcome]

    @property
    def passed(self) -> bool:
        """Whether the gate let the run pass."""
        return self.entry.gate == "passed"

    def with_decision(self, outcome: Outcome) -> GatedEntry:
        """The same with the decision in its entry."""
        gate = "passed" if outcome.data["passed"] else "failed"
        return replace(self, entry=replace(self.entry, gate=gate, reason=outcome.sentence))


def gated_entry(plan: Plan, split: str, scores: RunScores, model: str | None) -> GatedEntry:
    """The entry of a run, and its gate against the champion of the same protocol.

    Args:
        plan: The orchestration.
        split: `validation` or `test`.
        scores: What was scored.
        model: The row that stands for the run. Where it was chosen on validation it stands on test too, since the best
            of several rows on test is no fair score; without a validation the operator does.
    """
    settings = plan.options.gate
    chosen = model or (best_model(scores, settings.metric) if split == "validation" else "operator")
    path = (plan.folder if split == "test" else plan.folder / split) / "metrics.json"
    finished = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(path.stat().st_mtime))
    entry = entry_of(
        scores,
        chosen,
        run=plan.run,
        folder=plan.folder.resolve().name,
        gate="none",
        weights_hash=weights_hash(plan.folder),
        finished=finished,
        tags=" ".join(plan.options.tags),
        notes=plan.options.notes,
        reason="",
    )
    missing = "; ".join(scores.errors) if scores.row(chosen) else f"the evaluation has no row {chosen}"

    def work() -> Outcome:
        known = read_entries(plan.runs / "leaderboard.csv")
        against = champion(known, entry.protocol, settings.metric, entry.folder)
        decision = judge(entry.scores(), against, settings, missing)
        found = decision.to_dict()
        sentence = found.pop("sentence")
        return Outcome(sentence, {"protocol": entry.protocol, "model": chosen, "scores": entry.scores(), **found})

    inputs = [entry.protocol, chosen, entry.scores(), settings.metric, settings.ratio, settings.min_deltas]
    return GatedEntry(entry, inputs, work)


def finish_board(plan: Plan, gated: Sequence[GatedEntry]) -> list[Outcome]:
    """Enters what was judged into the leaderboard; returns the run's place in each protocol.

    What was entered before, of weights that the folder no longer holds, is dropped.
    """
    metric = plan.options.gate.metric
    if not gated:
        drop_old_weights(plan)
        return []
    order = update(plan.runs, [j.entry for j in gated], metric)
    places = []
    for entry in (j.entry for j in gated):
        group = [e for e in order if e.protocol == entry.protocol]
        place = group.index(entry) + 1
        value = cost(metric, entry.scores())
        words = f"place {place} of {len(group)} on the {entry.split} split by {metric}"
        words += "" if value is None else f" ({value:.4g})"
        data = {"split": entry.split, "protocol": entry.protocol, "place": place, "of": len(group)}
        places.append(Outcome(f"{words}; {plan.runs / 'leaderboard.html'}", data))
    return places


def drop_old_weights(plan: Plan) -> None:
    """Drops what the leaderboard holds of weights that are no longer in the run folder."""
    retire(plan.runs, plan.folder.resolve().name, weights_hash(plan.folder), plan.options.gate.metric)
