"""Pictures in one style, without a window: figures that are saved whole or not at all, colours that fit the values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ups.core.errors import UserError
from ups.core.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIELD, SIGNED, SPREAD = "cividis", "RdBu_r", "Purples"
"""Colour maps, legible with any colour vision: of one-sided values, of values around 0, of spreads."""
ONE_SIDED = 0.01
"""Up to this share of the largest size, values on the other side of 0 are overshoots of a one-sided field."""

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


class Scale(NamedTuple):
    """A colour map and the values at its ends."""

    cmap: str
    low: float
    high: float


@contextmanager
def figure(path: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure of `width` by `height` inches in the house style, saved to `path` on leaving.

    It belongs to no window system, so whatever backend a notebook has chosen stays. Raises UserError if the name does
    not end in that of a format that can be written.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with rc_context(STYLE):
        canvas = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08))
        kind = path.suffix[1:].lower()
        if kind not in canvas.canvas.get_supported_filetypes():
            raise UserError(f"{path}: expected the name of a picture, such as {path.with_suffix('.png').name} or .pdf")
        yield canvas
        with replacing(path, "picture") as part:
            canvas.savefig(part, format=kind)


def field_scale(values: np.ndarray) -> Scale:
    """Colours of a field: from its smallest to its largest value, or centred on 0 where it crosses 0."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if min(-low, high) > ONE_SIDED * max(-low, high):
        return signed_scale(finite)
    return Scale(FIELD, low, high) if low < high else Scale(FIELD, low - 0.5, high + 0.5)


def signed_scale(values: np.ndarray) -> Scale:
    """Colours of values around 0, such as errors."""
    largest = _largest(np.abs(values))
    return Scale(SIGNED, -largest, largest)


def spread_scale(values: np.ndarray) -> Scale:
    """Colours of deviations, from 0 on."""
    return Scale(SPREAD, 0.0, _largest(values))


def legible(text: str) -> str:
    """Text from a file as it stands there: no formula between two `$`, and no name hidden for its leading `_`."""
    text = text.replace("$", r"\$")
    return f"\u200b{text}" if text.startswith("_") else text


def edges(centres: np.ndarray) -> tuple[float, float]:
    """Outer edges of the first and last pixel around evenly spaced centres `(n,)`."""
    half = (centres[-1] - centres[0]) / (2 * max(len(centres) - 1, 1)) or 0.5
    return float(centres[0] - half), float(centres[-1] + half)


def _largest(values: np.ndarray) -> float:
    """Largest finite value, 1 if there is none or it is 0: the end of a colour scale."""
    finite = values[np.isfinite(values)]
    return (float(finite.max()) or 1.0) if finite.size else 1.0
