"""Markdown tables and the numbers in them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column is text and whose others are numbers."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits; a forecast without a score is said to have diverged."""
    if value is None:
        return "diverged"
    if value == 0 or 1e-4 <= abs(value) < 1e6:
        return f"{value:,.0f}" if abs(value) >= 10 ** (digits - 1) else f"{float(f'{value:.{digits}g}'):g}"
    return f"{value:.{digits - 1}e}"


def over_seeds(values: Sequence[float | None]) -> str:
    """The mean, and where there are several values their range."""
    finite = [value for value in values if value is not None]
    if not values:
        return "–"
    if len(finite) < len(values):
        return f"{len(values) - len(finite)} of {len(values)} diverged"
    mean = number(statistics.fmean(finite))
    return f"{mean} ({number(min(finite))}–{number(max(finite))})" if len(finite) > 1 else mean


def held_for(times: Sequence[float | None], lost: int) -> str:
    """Correlation times over seeds, of which so many were lost before the end of the data."""
    if not lost:
        return "never lost"
    time = over_seeds(times)
    return time if lost == len(times) else f"≥ {time}, {lost} of {len(times)} lost"


def section(title: str, *parts: str) -> str:
    """A section of the document, or nothing if it has nothing to show."""
    shown = [part for part in parts if part]
    return "\n\n".join([f"## {title}", *shown]) if shown else ""
