"""Pictures of the document."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from bench.cells import records
from bench.contenders import HELD, LATENT
from bench.peer_sections import NAMES
from bench.peers import MINUTES
from bench.problems import MAIN
from bench.results import MODEL, chosen, results, whole
from bench.scale import Place
from ups.core.pictures import figure
from ups.report.plots import legend_below, line_style

BLOWN_UP = 10.0
"""Error beyond which a run of the solver is not drawn."""


def training_time(place: Place, path: Path) -> None:
    """Error against training time, a point for each seed."""
    found = chosen(whole(results(place)), problem=MAIN)
    with figure(path, 7, 4.5) as canvas:
        axis = canvas.subplots()
        curves = (
            ("ups", MODEL, "UPS"),
            ("ups", LATENT, "UPS, in latent space"),
            ("fno", MODEL, "FNO"),
            ("fno", HELD, "FNO, means held"),
        )
        for index, (model, row, label) in enumerate(curves):
            own = [r for r in chosen(found, model=model) if row in r.scores]
            points = [(r.training["seconds"] / 60, error) for r in own if (error := r.error(row)) is not None]
            _plot(axis, points, label, index)
        axis.set(xscale="log", yscale="log", xlabel="training time in minutes", ylabel="nRMSE of the free rollout")
        minutes = sorted({r.minutes for r in found})
        axis.set_xticks(minutes, [f"{m:g}" for m in minutes])
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.grid(True)
        legend_below(canvas, axis)


def solver_costs(place: Place, path: Path) -> None:
    """Error against the time of a forecast: the solver's runs and the models, one panel for each problem."""
    swept, trained = records(place, "classical"), whole(results(place))
    with figure(path, 5.5 * max(1, len(swept)), 4.5) as canvas:
        panels = canvas.subplots(1, max(1, len(swept)), squeeze=False)[0]
        for axis, record in zip(panels, swept, strict=False):
            problem, frames = record["settings"]["problem"], record["data"]["frames"] - 1
            runs = [run for run in record["runs"] if run["nrmse"] is not None and run["nrmse"] < BLOWN_UP]
            axis.plot([1e3 * r["seconds"] for r in runs], [r["nrmse"] for r in runs], ".", color="0.5", label="solver")
            for index, name in enumerate(NAMES):
                own = chosen(trained, problem=problem, model=name, minutes=MINUTES)
                costs = [(r.scores[MODEL]["ms_per_step"] * frames, r.error()) for r in own]
                _plot(axis, [(ms, error) for ms, error in costs if error is not None], NAMES[name], index)
            axis.set(
                xscale="log", yscale="log", title=problem, xlabel="ms per forecast", ylabel="nRMSE of the free rollout"
            )
            axis.xaxis.set_minor_formatter(NullFormatter())  # those of a panel of less than a decade would overlap
            axis.grid(True)
        legend_below(canvas, panels[0], 6)


def token_growth(place: Place, path: Path) -> None:
    """Time of a step against tokens."""
    found = [record for record in records(place, "growth") if record["settings"]["what"] == "tokens"]
    with figure(path, 7, 4.5) as canvas:
        axis = canvas.subplots()
        for record in found:
            for index, (name, curve) in enumerate(record["ms_per_step"].items()):
                axis.plot([int(n) for n in curve], list(curve.values()), marker="o", label=name, **line_style(index))
        axis.set(xscale="log", yscale="log", xlabel="tokens", ylabel="ms of a step")
        axis.grid(True)
        legend_below(canvas, axis, 1)


def _plot(axis: Axes, points: Sequence[tuple[float, float]], label: str, index: int) -> None:
    """Points (x, y) in the colour of a number."""
    axis.plot([x for x, _ in points], [y for _, y in points], "o", label=label, color=line_style(index)["color"])
