"""Pictures of scores: error against time, spectra, calibration, the ledger, training curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ups.core.pictures import figure, legible
from ups.evaluation.ledger import LedgerEntry
from ups.evaluation.row import Row
from ups.evaluation.scores import Spectra
from ups.report.health import is_number
from ups.report.plots import LEAD, legend_below

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5D5D5D")
"""Okabe and Ito's palette without yellow, which is too pale for lines."""
DASHES = ("-", "--", "-.", ":")
LARGEST_NRMSE = 100.0
"""End of the error axis, so that one forecast that blows up does not flatten the others."""


def line_style(index: int) -> dict[str, Any]:
    """Colour and dashes of the curve number `index`: 28 different ones; dashes show curves that lie on each other."""
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": DASHES[index % len(DASHES)]}


def error_curves(path: Path, rows: Sequence[Row], leads: Sequence[float]) -> None:
    """nRMSE and spatial correlation against lead time for all rows; `leads (T,)` physical."""
    with figure(path, 11, 4.8) as canvas:
        left, right = canvas.subplots(1, 2)
        for index, row in enumerate(rows):
            style = line_style(index)
            left.semilogy(leads, _floats(row.rollout.nrmse_per_frame), label=legible(row.model), **style)
            right.plot(leads, _floats(row.rollout.correlation_per_frame), **style)
        left.set(xlabel=LEAD, ylabel="nRMSE of the free rollout (no unit)")
        left.set_ylim(top=min(left.get_ylim()[1], LARGEST_NRMSE))
        right.set(xlabel=LEAD, ylabel="spatial correlation with the truth", ylim=(None, 1.02))
        for axis in (left, right):
            axis.grid(True)
            axis.set_xlim(0, leads[-1])
        legend_below(canvas, left)


def spectrum_figure(path: Path, spectra: Spectra, models: Sequence[str], leads: Sequence[float]) -> None:
    """Power spectrum of the truth and of one member of every row, one panel per lead time, first channel.

    `leads (T,)` are the physical lead times of all steps.
    """
    steps = spectra.lead_times
    with figure(path, 4.2 * len(steps) + 0.6, 4.8) as canvas:
        axes = canvas.subplots(1, len(steps), squeeze=False, sharey=True)[0]
        powers = np.asarray([spectra.truth[i][0] for i in range(len(steps))])
        top = powers.max()
        for i, (axis, step) in enumerate(zip(axes, steps, strict=True)):
            truth = _floats(spectra.truth[i][0])
            wavenumber = np.arange(1, len(truth))
            axis.loglog(wavenumber, truth[1:], color="black", linewidth=3.5, alpha=0.35, label="truth")
            for index, model in enumerate(models):
                axis.loglog(wavenumber, _floats(spectra.of(model)[i][0])[1:], label=legible(model), **line_style(index))
            axis.set(title=f"step {step}, lead time {leads[step - 1]:.3g}", xlabel="wavenumber k (periods per domain)")
            axis.set_ylim(max(top * 1e-13, powers[:, 1:-1].min() / 30), top * 3)
            axis.grid(True)
        axes[0].set_ylabel("power E(k), first channel")
        legend_below(canvas, axes[0], 4)


def calibration_curves(path: Path, rows: Sequence[Row], leads: Sequence[float]) -> None:
    """Spread-skill and coverage against lead time for the rows with members; dotted lines are perfect ensembles."""
    names = (("spread_skill", "spread / skill"), ("coverage_50", "coverage, central 50 %"))
    names += (("coverage_90", "coverage, central 90 %"),)
    with figure(path, 13.5, 4.6) as canvas:
        axes = canvas.subplots(1, len(names))
        for axis, (name, label) in zip(axes, names, strict=True):
            for index, row in enumerate(rows):
                curve = _floats(getattr(row.probabilistic.per_frame, name))
                axis.plot(leads, curve, label=legible(row.model), **line_style(index))
            for perfect in {getattr(row.probabilistic.nominal, name) for row in rows}:
                axis.axhline(perfect, color="black", linestyle=":", linewidth=1.4)
            axis.set(xlabel=LEAD, ylabel=label, xlim=(0, leads[-1]))
            axis.set_ylim(0, max(1.05, axis.get_ylim()[1]))
            axis.grid(True)
        legend_below(canvas, axes[0], 4)


def rank_histograms(path: Path, rows: Sequence[Row]) -> None:
    """Rank histogram of every row with members; the dotted line is a perfect ensemble."""
    columns = min(len(rows), 4)
    lines = -(-len(rows) // columns)
    with figure(path, 3.6 * columns + 0.4, 3.1 * lines) as canvas:
        axes = canvas.subplots(lines, columns, squeeze=False, sharey=True).flatten()
        for index, (axis, row) in enumerate(zip(axes, rows, strict=False)):
            shares = _floats(row.probabilistic.rank_histogram or ())
            axis.bar(np.arange(len(shares)), shares, width=0.9, color=line_style(index)["color"])
            axis.axhline(1 / len(shares), color="black", linestyle=":", linewidth=1.4)
            distance = row.probabilistic.overall.reliability_distance
            axis.set(title=f"{legible(row.model)}\ndistance from flat {distance:.2f}", xlabel="members below the truth")
        for axis in axes[len(rows) :]:
            axis.set_visible(False)
        axes[0].set_ylabel("share of points")


def ledger_figure(path: Path, entries: Sequence[LedgerEntry]) -> None:
    """Error of every row, and its gain in CRPS over the row above with the 95 % interval."""
    with figure(path, 12.5, 0.55 * len(entries) + 1.8) as canvas:
        left, right = canvas.subplots(1, 2, sharey=True, width_ratios=(1.15, 1))
        for place, entry in enumerate(entries):
            for value, marker, fill in ((entry.nrmse, "o", True), (entry.nrmse_one_step, "s", False)):
                if value is not None:
                    face = COLOURS[0] if fill else "white"
                    left.plot(value, place, marker, color=COLOURS[0], markerfacecolor=face, markersize=8)
            _draw_gain(right, place, entry)
        left.plot([], [], "o", color=COLOURS[0], label="free rollout")
        left.plot([], [], "s", color=COLOURS[0], markerfacecolor="white", label="one step")
        left.set(xscale="log", xlabel="nRMSE (of the mean)", yticks=range(len(entries)))
        left.set_yticklabels([legible(entry.model) for entry in entries])
        left.invert_yaxis()
        left.legend(loc="best")
        right.axvline(0, color="black", linewidth=1)
        lowest = min([entry.gain.low for entry in entries if entry.gain], default=0.0)
        right.set(xlabel="CRPS gained on the row above (%), 95 % interval", xlim=(100 * max(lowest, -1) - 20, 110))
        for axis in (left, right):
            axis.grid(True, axis="x")
            axis.tick_params(axis="y", length=0)


def training_curves(path: Path, epochs: Sequence[Mapping[str, Any]]) -> None:
    """Loss, validation score, learning rate and gradient norm of a training log against its global step."""
    stages = list(dict.fromkeys(epoch["stage"] for epoch in epochs))
    panels = (("loss", "training loss"), ("score", "validation score"), ("lr", "learning rate"))
    panels += (("grad_norm", "gradient norm"),)
    with figure(path, 11, 7) as canvas:
        axes = canvas.subplots(2, 2).flatten()
        for axis, (key, label) in zip(axes, panels, strict=True):
            for index, stage in enumerate(stages):
                points = [(e["global_step"], e[key]) for e in epochs if e["stage"] == stage and is_number(e.get(key))]
                marker = "." if len(points) < 30 else ""
                axis.plot(
                    *zip(*points, strict=True) if points else ((), ()),
                    label=legible(stage),
                    marker=marker,
                    **line_style(index),
                )
            axis.set(xlabel="epoch, counted across stages", ylabel=label)
            if key != "lr":
                axis.set_yscale("log")
            axis.grid(True)
        legend_below(canvas, axes[0], 4)


def _draw_gain(axis: Any, place: int, entry: LedgerEntry) -> None:
    """The gain as a point with its interval, or the reason why there is none, in words."""
    if entry.gain is None:
        axis.text(0, place, f"  {entry.verdict}", va="center", color="0.4")
        return
    value, low, high = (100 * v for v in (entry.gain.value, entry.gain.low, entry.gain.high))
    if low < -100:
        axis.annotate(f"{value:,.0f} %: {entry.verdict}", (-115, place), va="center", color=COLOURS[1])
        return
    colour = {"pays": COLOURS[2], "does not pay": COLOURS[1]}.get(entry.verdict, "0.4")
    axis.errorbar(value, place, xerr=[[value - low], [high - value]], fmt="o", color=colour, capsize=4)
    axis.annotate(entry.verdict, (value, place), xytext=(0, 7), textcoords="offset points", ha="center", fontsize=10)


def _floats(values: Sequence[float | None]) -> np.ndarray:
    """Numbers with None, a score that was not finite, as NaN, which leaves a gap in the curve."""
    return np.asarray(values, dtype=np.float64)
