"""Several runs side by side: one table and one picture, only where they were scored in the same way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.markup import escape
from rich.table import Table

from ups.core.errors import UserError
from ups.core.pictures import figure, legible
from ups.evaluation.baselines import PERSISTENCE
from ups.evaluation.ledger import Gain, paired_gain
from ups.evaluation.row import Row
from ups.evaluation.scores import ScoringProtocol, read_scores
from ups.report.hardware import hardware
from ups.report.numbers import duration
from ups.report.plots import LEAD, legend_below, line_style
from ups.report.scores import RunScores

SAME = ("data_hash", "split", "split_hash", "stride", "channels", "shape", "frames", "dt", "trajectories", "context")
SAME += ("members", "one_step_members", "correlation_threshold", "unit")
"""Fields of the protocol that must agree; seeds, settings of the models and hardware may differ."""
LARGEST_NRMSE = 100.0
"""End of the error axis, so that one forecast that blows up does not flatten the others."""


@dataclass(frozen=True)
class ScoredRun:
    """The evaluation of one run."""

    name: str
    protocol: ScoringProtocol
    rows: dict[str, Row]
    """By model."""


def compare(folders: Sequence[Path], picture: Path) -> tuple[Table, Path]:
    """Table of all rows of all runs, each with its gain over the same row of the first run, and a picture of them.

    The gain is that of the CRPS with a paired bootstrap 95 % interval over the trajectories that all runs share.
    Raises UserError for less than two runs, a run without scores, protocols that differ in a field of `SAME`, or a name
    that no picture can have.
    """
    if len(folders) < 2:
        raise UserError(f"a comparison needs at least two runs, found {len(folders)}")
    runs = read_runs(folders)
    for other in runs[1:]:
        require_same_protocol(runs[0], other)
    comparison_figure(picture, runs)
    return comparison_table(runs), picture


def read_runs(folders: Sequence[Path]) -> list[ScoredRun]:
    """The evaluations of run folders, named by their folders, or by their whole paths where names are not unique."""
    shared = Counter(folder.resolve().name for folder in folders)
    return [read_run(folder, shared[folder.resolve().name] == 1) for folder in folders]


def read_run(folder: Path, short: bool = True) -> ScoredRun:
    """The evaluation of a run folder. Raises UserError if it has no `metrics.json` that can be read."""
    path = folder / "metrics.json"
    if not path.is_file():
        raise UserError(
            f"{folder} has no metrics.json: expected the folder of an evaluated run (ups evaluate {folder})"
        )
    scores = read_scores(path, RunScores)
    rows = {row.model: row for row in scores.rows}
    return ScoredRun(folder.resolve().name if short else str(folder), scores.protocol, rows)


def require_same_protocol(first: ScoredRun, other: ScoredRun) -> None:
    """Raises UserError naming the first field of `SAME` in which two protocols differ."""
    for key in SAME:
        a, b = (getattr(run.protocol, key) for run in (first, other))
        if a != b:
            raise UserError(
                f"{first.name} and {other.name} cannot be compared: {key} is {_shown(a)} in the first and {_shown(b)} "
                "in the second"
            )


def models_of(runs: Sequence[ScoredRun]) -> list[str]:
    """All models in the order in which they appear."""
    return list(dict.fromkeys(model for run in runs for model in run.rows))


def gain_over_first(runs: Sequence[ScoredRun], run: ScoredRun, model: str) -> Gain | None:
    """Gain in CRPS of a row over the same row of the first run; None for that run itself, without scores, and for rows
    of the steady state that were scored on other trajectories."""
    old, new = runs[0].rows.get(model), run.rows.get(model)
    if run is runs[0] or old is None or new is None or old.error or new.error:
        return None
    if old.steady != new.steady:
        return None
    return paired_gain(old.per_trajectory.crps, new.per_trajectory.crps, run.protocol.bootstrap)


def comparison_table(runs: Sequence[ScoredRun]) -> Table:
    """One line for every row of every run, grouped by model; fits into 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), caption_justify="left")
    protocol = runs[0].protocol
    table.caption = (
        f"Free rollout of the same {protocol.trajectories} trajectories of the {protocol.split} split, decoded; "
        "nRMSE of the ensemble mean, CRPS in training deviations of each channel. Gain: by how much the CRPS falls "
        f"below that of the same row of {escape(runs[0].name)}, with a paired bootstrap 95 % interval over "
        "trajectories (not over training seeds)."
    )
    if caveat := timing_caveat(runs):
        table.caption += f"\n{escape(caveat)}"
    table.add_column("model", overflow="fold")
    table.add_column("run", overflow="fold")
    for name in ("nRMSE", "CRPS", "spread/\nskill", "ms\n/step", "train"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("gain in\nCRPS", justify="right", no_wrap=True)
    for model in models_of(runs):
        present = [run for run in runs if model in run.rows]
        for i, run in enumerate(present):
            cells = _cells(run.rows[model], gain_over_first(runs, run, model))
            table.add_row("" if i else escape(model), escape(run.name), *cells, end_section=i == len(present) - 1)
    return table


def timing_caveat(runs: Sequence[ScoredRun]) -> str | None:
    """A sentence where ms/step and training times come from different hardware, None where it is all the same."""
    places = {run.name: hardware(run.protocol) for run in runs}
    if len(set(places.values())) == 1:
        return None
    listed = "; ".join(f"{name}: {place}" for name, place in places.items())
    return f"Times cannot be compared, they were measured on different hardware ({listed})."


def comparison_figure(path: Path, runs: Sequence[ScoredRun]) -> None:
    """CRPS of every row of every run, and nRMSE against lead time of every run's row of lowest CRPS."""
    models = models_of(runs)
    leads = runs[0].protocol.leads
    with figure(path, 12.5, max(4.6, 0.45 * len(models) + 2)) as canvas:
        left, right = canvas.subplots(1, 2)
        for i, run in enumerate(runs):
            style = line_style(i)
            offset = 0.5 * (i - (len(runs) - 1) / 2) / len(runs)
            scored = [model for model, row in run.rows.items() if not row.error]
            places = [models.index(model) + offset for model in scored]
            left.plot([run.rows[model].crps for model in scored], places, "o", color=style["color"], markersize=7)
            best = best_row(run)
            right.semilogy(leads, _curve(best), label=legible(f"{run.name}: {best.model}"), **style)
        held = runs[0].rows.get(PERSISTENCE)
        if held is not None:
            right.semilogy(leads, _curve(held), label=PERSISTENCE, color="0.55", linestyle=":")
        left.set(xscale="log", xlabel="CRPS (free rollout, training deviations)", yticks=range(len(models)))
        left.set_yticklabels([legible(model) for model in models])
        left.invert_yaxis()
        right.set(xlabel=LEAD, ylabel="nRMSE of the free rollout (no unit)", xlim=(0, leads[-1]))
        right.set_title("the row of lowest CRPS of every run")
        right.set_ylim(top=min(right.get_ylim()[1], LARGEST_NRMSE))
        left.grid(True, axis="x")
        right.grid(True)
        legend_below(canvas, right, 2)


def best_row(run: ScoredRun) -> Row:
    """The trained row of lowest CRPS with a curve, or the first row if none has a score."""
    models = [row for row in run.rows.values() if row.of_stack and row.marching and row.error is None]
    return min(models, key=lambda row: row.crps or 0.0, default=next(iter(run.rows.values())))


def _curve(row: Row) -> list[float]:
    return [np.nan if value is None else value for value in row.rollout.nrmse_per_frame]


def _cells(row: Row, gain: Gain | None) -> list[str]:
    if row.error:
        return ["no score", "", "", "", "", ""]
    spread = row.probabilistic.overall.spread_skill
    interval = "-"
    if gain is not None:
        value, low, high = (f"{100 * share:+,.1f}" for share in (gain.value, gain.low, gain.high))
        interval = f"{value} %\n[{low}, {high}]"
    return [
        f"{row.rollout.nrmse:.3g}",
        f"{row.crps:.3g}",
        f"{spread:.2f}" if row.members > 1 else "-",
        f"{row.ms_per_step:.2g}" if row.ms_per_step >= 0.001 else "<0.001",
        duration(row.train_seconds),
        interval,
    ]


def _shown(value: Any) -> str:
    """A value of a protocol, hashes in 12 digits."""
    text = str(value)
    return f"{text[:12]}…" if isinstance(value, str) and len(text) > 20 else text
