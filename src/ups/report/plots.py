"""Pictures of fields (space-time panels in 1D, snapshots in 2D and 3D), and the style of curves."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ups.core.pictures import Scale, edges, field_scale, figure, legible, signed_scale, spread_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAD = "lead time (time units of the data)"
"""Name of the axis of lead times; data sets state no unit."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5D5D5D")
"""Okabe and Ito's palette without yellow, which is too pale for lines."""
DASHES = ("-", "--", "-.", ":")


def line_style(index: int) -> dict[str, Any]:
    """Colour and dashes of the curve number `index`: 28 different ones; dashes show curves that lie on each other."""
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": DASHES[index % len(DASHES)]}


def space_time(
    path: Path,
    truth: np.ndarray,
    members: np.ndarray,
    x: np.ndarray,
    times: np.ndarray,
    channels: Sequence[str],
    title: str,
    place: str = "x",
) -> None:
    """One trajectory in 1D: truth, forecast (the mean if M > 1, beside one member), error, spread; a row per channel.

    `truth (T, C, X)`, `members (M, T, C, X)`, `x (X,)` along the axis called `place`, `times (T,)`, all physical.
    """
    columns = 3 if len(members) == 1 else 5
    with figure(path, 3.9 * 3 if columns == 3 else 3.0 * 5, 2.8 * len(channels) + 0.6) as canvas:
        grid = canvas.subplots(len(channels), columns, squeeze=False, sharex=True, sharey=True)
        extent = (*edges(times), *edges(x))
        for c, (axes, channel) in enumerate(zip(grid, channels, strict=True)):
            panels = _panels(truth[:, c], members[:, :, c])
            for axis, (name, values, scale) in zip(axes, panels, strict=True):
                image = _draw(axis, values, extent, scale, "auto")
                axis.set_title(name)
                canvas.colorbar(image, ax=axis, shrink=0.9, pad=0.02)
            axes[0].set_ylabel(f"{legible(channel)}\nposition {place}" if len(channels) > 1 else f"position {place}")
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
    axes: Sequence[str] = ("x", "y", "z"),
    columns: int = 4,
) -> None:
    """One channel of one trajectory in 2D, or in the middle of the last axis in 3D, at `columns` times spread evenly.

    `truth (T, X, Y[, Z])`, `members (M, T, X, Y[, Z])`, `times (T,)`, all physical; `axes` are named.
    """
    if truth.ndim == 4:
        middle = truth.shape[-1] // 2
        truth, members = truth[..., middle], members[..., middle]
        title = f"{title}, {axes[2]} = {coords[2][middle]:.3g}"
    frames = np.unique(np.linspace(0, len(times) - 1, columns).round().astype(int))
    panels = _panels(truth, members)
    extent = (*edges(coords[0]), *edges(coords[1]))
    with figure(path, 2.5 * len(frames) + 1.6, 2.4 * len(panels) + 0.6) as canvas:
        grid = canvas.subplots(len(panels), len(frames), squeeze=False, sharex=True, sharey=True)
        for row, (name, values, scale) in zip(grid, panels, strict=True):
            for axis, frame in zip(row, frames, strict=True):
                image = _draw(axis, values[frame], extent, scale, "equal")
            row[0].set_ylabel(f"{name}\n{axes[1]}")
            canvas.colorbar(image, ax=list(row), shrink=0.9, pad=0.01)
        for axis, frame in zip(grid[0], frames, strict=True):
            axis.set_title(f"t = {times[frame]:.3g}")
        for axis in grid[-1]:
            axis.set_xlabel(axes[0])
        canvas.suptitle(legible(f"{title}: {channel}"))


Extent = tuple[float, float, float, float]
Panel = tuple[str, np.ndarray, Scale]
"""Name, values and colours."""


def _panels(truth: np.ndarray, members: np.ndarray) -> list[Panel]:
    """Panels of one channel, `truth (T, *S)` and `members (M, T, *S)`; fields share the truth's range."""
    field, mean = field_scale(truth), members.mean(axis=0)
    error = mean - truth
    panels: list[Panel] = [("truth", truth, field)]
    if len(members) == 1:
        return [*panels, ("forecast", mean, field), ("error", error, signed_scale(error))]
    spread = members.std(axis=0, ddof=1)
    return [
        *panels,
        ("one member", members[0], field),
        (f"mean of {len(members)}", mean, field),
        ("error of the mean", error, signed_scale(error)),
        ("spread", spread, spread_scale(spread)),
    ]


def _draw(axis: "Axes", values: np.ndarray, extent: Extent, scale: Scale, aspect: Literal["equal", "auto"]) -> Any:
    """One panel of values (across, up)."""
    options: dict[str, Any] = {"cmap": scale.cmap, "vmin": scale.low, "vmax": scale.high, "aspect": aspect}
    return axis.imshow(values.T, origin="lower", extent=extent, **options)


def legend_below(canvas: "Figure", axis: "Axes", columns: int = 3) -> None:
    """One legend under the panels, out of the way of the curves."""
    handles: Any
    handles, labels = axis.get_legend_handles_labels()
    canvas.legend(handles, labels, loc="outside lower center", ncols=max(1, min(columns, len(labels))))
