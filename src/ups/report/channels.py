"""Scores channel by channel in the terminal, in physical units where they are no ratio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from ups.evaluation.row import ChannelScores, Row
from ups.report.ledger import NAME, short_name
from ups.report.numbers import short

COLUMNS = {
    "nRMSE": "nrmse",
    "1 step": "nrmse_one_step",
    "VRMSE": "vrmse",
    "RMSE": "rmse",
    "MAE": "mae",
    "CRPS": "crps",
    "SSR": "spread_skill",
}
"""Heads of the columns and the scores in them."""
NOTE = (
    "Free rollout, decoded: RMSE, MAE and CRPS in the units of each channel, the others without unit; SSR: spread "
    "over skill."
)


def channel_cells(row: Row, scores: ChannelScores) -> list[float | None]:
    """The scores of `COLUMNS` of one channel of a row; a single forecast has no spread."""
    values = [getattr(scores, name) for name in COLUMNS.values()]
    return values if row.members > 1 else [*values[:-1], None]


def channel_table(runs: Mapping[str, Sequence[Row]]) -> Table:
    """A line for every channel of every row of every run, grouped by model; runs are named where there are several."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), caption_justify="left")
    table.caption = NOTE
    names = ["model", "channel", *(["run"] if len(runs) > 1 else [])]
    for name in names:
        table.add_column(name, overflow="fold", min_width=NAME if name == "model" else None)
    for name in COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    everything = [(run, row) for run, rows in runs.items() for row in rows]
    channels = dict.fromkeys(channel for _, row in everything for channel in row.channels)
    for model in dict.fromkeys(row.model for _, row in everything):
        alike = [(run, row) for run, row in everything if row.model == model]
        lines = [(channel, run, row) for channel in channels for run, row in alike if channel in row.channels]
        for i, (channel, run, row) in enumerate(lines):
            where = (escape(text) for text in ("" if i else short_name(model), channel, run)[: len(names)])
            cells = (short(value) for value in channel_cells(row, row.channels[channel]))
            table.add_row(*where, *cells, end_section=i == len(lines) - 1)
    return table
