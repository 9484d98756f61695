"""Pictures of fields: space-time panels in 1D, snapshots in 2D and 3D, truth beside forecast, error and spread."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ups.core.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIELD, ERROR, SPREAD = "cividis", "RdBu_r", "Purples"
"""Colour maps, legible with any colour vision: of fields, of signed errors around 0, of spreads."""
LEAD = "lead time (time units of the data)"
"""Name of the axis of lead times; data sets state no unit."""


def legible(text: str) -> str:
    """Text from a file as it stands there: no formula between two `$`, and no name hidden for its leading `_`."""
    text = text.replace("$", r"\$")
    return f"\u200b{text}" if text.startswith("_") else text


STYLE: dict[Any, Any] = {
    "font.size": 12,
    "axes.titlesize": 12,
    "axes.labelsize": 12,
    "legend.fontsize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": "0.88",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "savefig.dpi": 130,
}


@contextmanager
def figure(path: Path, width: float, height: float) -> Iterator["Figure"]:
    """A figure of `width` by `height` inches in the house style, saved to `path` on leaving; needs no display.

    Raises UserError if the name does not end in that of a format that can be written.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with rc_context(STYLE):
        canvas = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08))
        if path.suffix[1:].lower() not in canvas.canvas.get_supported_filetypes():
            raise UserError(f"{path}: expected the name of a picture, such as {path.with_suffix('.png').name} or .pdf")
        yield canvas
        path.parent.mkdir(parents=True, exist_ok=True)
        canvas.savefig(path)


def space_time(
    path: Path,
    truth: np.ndarray,
    members: np.ndarray,
    x: np.ndarray,
    times: np.ndarray,
    channels: Sequence[str],
    title: str,
) -> None:
    """One trajectory in 1D: truth, forecast (the mean if M > 1, beside one member), error, spread; a row per channel.

    `truth (T, C, X)`, `members (M, T, C, X)`, `x (X,)`, `times (T,)`, all physical.
    """
    columns = 3 if len(members) == 1 else 5
    with figure(path, 3.9 * 3 if columns == 3 else 3.0 * 5, 2.8 * len(channels) + 0.6) as canvas:
        grid = canvas.subplots(len(channels), columns, squeeze=False, sharex=True, sharey=True)
        extent = (*_edges(times), *_edges(x))
        for c, (axes, channel) in enumerate(zip(grid, channels, strict=True)):
            panels = _panels(truth[:, c], members[:, :, c])
            for axis, (name, values, cmap, low, high) in zip(axes, panels, strict=True):
                image = axis.imshow(
                    values.T, origin="lower", aspect="auto", extent=extent, cmap=cmap, vmin=low, vmax=high
                )
                axis.set_title(name)
                canvas.colorbar(image, ax=axis, shrink=0.9, pad=0.02)
            axes[0].set_ylabel(f"{legible(channel)}\nposition x" if len(channels) > 1 else "position x")
        for axis in grid[-1]:
            axis.set_xlabel("time t")
        canvas.suptitle(legible(title))


def snapshots(
    path: Path,
    truth: np.ndarray,
    members: np.ndarray,
    coords: Sequence[np.ndarray],
    times: np.ndarray,
    channel: str,
    title: str,
    columns: int = 4,
) -> None:
    """One channel of one trajectory in 2D, or in the middle of the last axis in 3D, at `columns` times spread evenly.

    `truth (T, X, Y[, Z])`, `members (M, T, X, Y[, Z])`, `times (T,)`, all physical.
    """
    if truth.ndim == 4:
        truth, members = truth[..., truth.shape[-1] // 2], members[..., truth.shape[-1] // 2]
    frames = np.unique(np.linspace(0, len(times) - 1, columns).round().astype(int))
    panels = _panels(truth, members)
    extent = (*_edges(coords[0]), *_edges(coords[1]))
    with figure(path, 2.5 * len(frames) + 1.6, 2.4 * len(panels) + 0.6) as canvas:
        grid = canvas.subplots(len(panels), len(frames), squeeze=False, sharex=True, sharey=True)
        for axes, (name, values, cmap, low, high) in zip(grid, panels, strict=True):
            for axis, frame in zip(axes, frames, strict=True):
                image = axis.imshow(values[frame].T, origin="lower", extent=extent, cmap=cmap, vmin=low, vmax=high)
            axes[0].set_ylabel(f"{name}\ny")
            canvas.colorbar(image, ax=list(axes), shrink=0.9, pad=0.01)
        for axis, frame in zip(grid[0], frames, strict=True):
            axis.set_title(f"t = {times[frame]:.3g}")
        for axis in grid[-1]:
            axis.set_xlabel("x")
        canvas.suptitle(legible(f"{title}: {channel}"))


Panel = tuple[str, np.ndarray, str, float, float]
"""Name, values, colour map and its range."""


def _panels(truth: np.ndarray, members: np.ndarray) -> list[Panel]:
    """Panels of one channel, `truth (T, *S)` and `members (M, T, *S)`; fields share the truth's range."""
    low, high = float(np.min(truth)), float(np.max(truth))
    mean = members.mean(axis=0)
    error = mean - truth
    largest = _finite_max(np.abs(error))
    panels: list[Panel] = [("truth", truth, FIELD, low, high)]
    if len(members) == 1:
        return [*panels, ("forecast", mean, FIELD, low, high), ("error", error, ERROR, -largest, largest)]
    spread = members.std(axis=0, ddof=1)
    return [
        *panels,
        ("one member", members[0], FIELD, low, high),
        (f"mean of {len(members)}", mean, FIELD, low, high),
        ("error of the mean", error, ERROR, -largest, largest),
        ("spread", spread, SPREAD, 0.0, _finite_max(spread)),
    ]


def _edges(centres: np.ndarray) -> tuple[float, float]:
    """Outer edges of the first and last pixel around evenly spaced centres `(n,)`."""
    half = (centres[-1] - centres[0]) / (2 * max(len(centres) - 1, 1)) or 0.5
    return float(centres[0] - half), float(centres[-1] + half)


def _finite_max(values: np.ndarray) -> float:
    """Largest finite value, 1 if there is none or it is 0: the end of a colour scale."""
    finite = values[np.isfinite(values)]
    return float(finite.max()) or 1.0 if finite.size else 1.0


def legend_below(canvas: "Figure", axis: "Axes", columns: int = 3) -> None:
    """One legend under the panels, out of the way of the curves."""
    handles: Any
    handles, labels = axis.get_legend_handles_labels()
    canvas.legend(handles, labels, loc="outside lower center", ncols=max(1, min(columns, len(labels))))
