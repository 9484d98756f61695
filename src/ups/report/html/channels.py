"""The table of scores channel by channel, in physical units where they are no ratio."""

from __future__ import annotations

from ups.evaluation.scores import Scores
from ups.report.channels import COLUMNS, NOTE, channel_cells
from ups.report.html.markup import Markup, join, table, tag
from ups.report.numbers import score


def channel_section(scores: Scores) -> Markup | None:
    """A line for every channel of every row; None where no row has a score."""
    rows = [row for row in scores.rows if row.error is None]
    body = [
        [row.model, name, *map(score, channel_cells(row, channel))]
        for row in rows
        for name, channel in row.channels.items()
    ]
    if not body:
        return None
    heads = ["row", "channel", *COLUMNS]
    lines = table(heads, body, set(range(2, len(heads))))
    return join(tag("div", lines, class_="wide"), tag("p", NOTE, class_="note"))
