"""All pictures of an evaluation, drawn from `metrics.json` and `predictions.h5` alone."""

import re
from collections.abc import Sequence
from pathlib import Path

from ups.evaluation.predictions import Predictions, read_predictions
from ups.evaluation.scores import Scores
from ups.report.plot_scores import (
    calibration_curves,
    error_curves,
    ledger_figure,
    rank_histograms,
    spectrum_figure,
)
from ups.report.plots import snapshots, space_time


def draw_pictures(scores: Scores, folder: Path) -> list[str]:
    """Draws `report/*.png` of the scores and forecasts in `folder`; returns their names below it."""
    stored = read_predictions(folder / "predictions.h5", slice(0, 1))
    return [str(path.relative_to(folder)) for path in draw_report(scores, stored, folder / "report")]


def draw_report(scores: Scores, predictions: Predictions, folder: Path) -> list[Path]:
    """Draw ledger, errors, spectra, calibration where members are drawn, and the first trajectory.

    Returns the paths `folder/*.png` of what was drawn.
    """
    protocol, leads = scores.protocol, scores.protocol.leads
    marching = [row for row in scores.rows if row.marching]
    ensembles = [row for row in marching if row.members > 1 and row.error is None]
    drawn = [folder / "ledger.png", folder / "error.png"]
    ledger_figure(drawn[0], scores.ledger)
    error_curves(drawn[1], marching, leads)
    if scores.spectra.lead_times:
        drawn.append(folder / "spectra.png")
        spectrum_figure(drawn[-1], scores.spectra, [row.model for row in marching], leads)
    if ensembles:
        drawn += [folder / "calibration.png", folder / "ranks.png"]
        calibration_curves(drawn[-2], ensembles, leads)
        rank_histograms(drawn[-1], ensembles)
    stored = len(predictions.truth) > 0
    return drawn + (_draw_fields(predictions, protocol.context, protocol.channels, folder) if stored else [])


def picture_name(model: str) -> str:
    """Name of a row's picture of fields: `fields_<model>.png` with nothing but letters, digits and underscores."""
    return f"fields_{re.sub(r'[^A-Za-z0-9]+', '_', model).strip('_')}.png"


def _draw_fields(predictions: Predictions, context: int, channels: Sequence[str], folder: Path) -> list[Path]:
    """The free rollout of the first stored trajectory, a picture for each row; returns their paths."""
    axes = predictions.protocol.axes
    truth, times = predictions.truth[0, context:], predictions.times[context:]
    for model, row in predictions.rows.items():
        path, members = folder / picture_name(model), row.rollout[0]
        if len(predictions.coords) == 1:
            space_time(path, truth, members, predictions.coords[0], times, channels, model, axes[0])
        else:
            snapshots(path, truth[:, 0], members[:, :, 0], predictions.coords, times, channels[0], model, axes)
    return [folder / picture_name(model) for model in predictions.rows]
