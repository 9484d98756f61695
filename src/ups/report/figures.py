"""The pictures of an evaluation, drawn from `predictions.h5` alone; curves and tables stand in `report.html`."""

import re
from pathlib import Path

from ups.evaluation.predictions import read_predictions
from ups.report.plots import snapshots, space_time


def draw_pictures(folder: Path) -> list[str]:
    """Draws the free rollout of the first forecast stored in `folder`, a picture for each row.

    Returns the names `report/fields_<model>.png` of the pictures below `folder`, none where no forecast is stored.
    """
    predictions = read_predictions(folder / "predictions.h5", slice(0, 1))
    if not len(predictions.truth):
        return []
    context, channels, axes = (getattr(predictions.protocol, name) for name in ("context", "channels", "axes"))
    truth, times = predictions.truth[0, context:], predictions.times[context:]
    for model, row in predictions.rows.items():
        path, members = folder / picture_name(model), row.rollout[0]
        if len(predictions.coords) == 1:
            space_time(path, truth, members, predictions.coords[0], times, channels, model, axes[0])
        else:
            snapshots(path, truth[:, 0], members[:, :, 0], predictions.coords, times, channels[0], model, axes)
    return [picture_name(model) for model in predictions.rows]


def picture_name(model: str) -> str:
    """Name of a row's picture: `report/fields_<model>.png` with nothing but letters, digits and underscores."""
    return f"report/fields_{re.sub(r'[^A-Za-z0-9]+', '_', model).strip('_')}.png"
