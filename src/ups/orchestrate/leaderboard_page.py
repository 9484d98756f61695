"""The leaderboard as one HTML file that needs nothing else: no script, no font, no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from ups.report.numbers import duration

COLUMNS = {
    "nrmse": ("nRMSE", "free rollout, of the ensemble mean or of the forecast itself"),
    "nrmse_one_step": ("1 step", "nRMSE of one step from the truth"),
    "crps": ("CRPS", "of all members, in deviations of each channel; of a single forecast its mean absolute error"),
    "spread_skill": ("spread/skill", "1 is calibrated"),
    "nfe_per_step": ("calls/step", "network evaluations per step and member"),
    "ms_per_step": ("ms/step", "per member of one trajectory"),
}
"""Columns of numbers: the entry's field, the heading and what it means."""
OTHERS = {
    "nrmse_pooled": ("nRMSE pooled", "one ratio over all frames of a trajectory"),
    "vrmse": ("VRMSE", "relative to the variance"),
    "energy_score": ("energy score", "of whole fields"),
}
"""Columns that are shown only where the runs are ordered by them."""

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --paper: #ffffff; --best: #e7f1fb;
  --good: #0b5ea8; --bad: #b3470b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9aa4af; --line: #3a424c; --paper: #12161b;
  --best: #16293c; --good: #7cb8ef; --bad: #f2a06b; } }
body { margin: 0 auto; max-width: 80rem; padding: 1.5rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2rem 0 0; }
p { margin: .25rem 0 .75rem; color: var(--soft); max-width: 60rem; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .7rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top;
  white-space: nowrap; }
th { font-weight: 600; color: var(--soft); } th.text, td.text { text-align: left; }
ul { margin: .5rem 0 0; padding-left: 1.2rem; color: var(--soft); } li { overflow-wrap: anywhere; max-width: 60rem; }
li b { color: var(--ink); }
tr.best td { background: var(--best); } td.run { font-weight: 600; white-space: normal;
  overflow-wrap: anywhere; min-width: 6rem; }
@media (max-width: 72rem) {
  /* every row of a table becomes a block of its own */
  thead { position: absolute; clip-path: inset(50%); height: 1px; width: 1px; overflow: hidden; }
  tr { display: grid; grid-template-columns: repeat(auto-fill, minmax(5.5rem, 1fr)); gap: .5rem 1rem;
    padding: .8rem .6rem; border-bottom: 1px solid var(--line); }
  tr.best { background: var(--best); }
  td, td.text { border: 0; padding: 0; text-align: left; white-space: normal; overflow-wrap: anywhere; }
  td.run { grid-column: 1 / -1; order: -1; }
  td.run::before { content: none; }
  td:not(.run)::before { content: attr(data-label); display: block; color: var(--soft); font-size: .8rem; }
}
.passed { color: var(--good); } .failed { color: var(--bad); } .none { color: var(--soft); }
"""


@dataclass(frozen=True)
class Table:
    """The entries of one protocol, best first.

    Attributes:
        title: What was scored.
        details: The protocol in words.
        entries: Fields of the entries by name.
        champion: Index of the entry to beat, the best that did not fail its gate; None if all failed.
    """

    title: str
    details: str
    entries: Sequence[Mapping[str, Any]]
    champion: int | None


def page(tables: Sequence[Table], metric: str) -> str:
    """The whole file; `metric` is the score that the entries are ordered by."""
    parts = [_section(table, metric) for table in tables] or ["<p>No run has been scored yet.</p>"]
    intro = (
        f"Best {(COLUMNS | OTHERS)[metric][0]} first; "
        "the champion, the best run that did not fail its gate, is set off. "
        "Scores are comparable within a table and not between tables. "
        "Decoded fields, each channel over its deviation in training; "
        "lower is better, for spread/skill nearer to 1. All scores: leaderboard.csv."
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>Leaderboard</title>\n'
        f'<link rel="icon" href="data:,">\n<style>{STYLE}</style>\n</head>\n<body>\n'
        f"<h1>Leaderboard</h1>\n<p>{intro}</p>\n{''.join(parts)}</body>\n</html>\n"
    )


def _section(table: Table, metric: str) -> str:
    known = COLUMNS | OTHERS
    names = [metric, *(name for name in COLUMNS if name != metric)]
    heads = "".join(f'<th scope="col" title="{known[n][1]}">{known[n][0]}</th>' for n in names)
    rows = "".join(_row(i + 1, entry, names, i == table.champion) for i, entry in enumerate(table.entries))
    return (
        f'<h2>{escape(table.title)}</h2>\n<p>{escape(table.details)}</p>\n<div class="scroll"><table>\n'
        '<thead><tr><th scope="col">#</th><th scope="col" class="text">run</th><th scope="col" class="text">gate</th>'
        f'{heads}<th scope="col">training</th><th scope="col" class="text">model</th></tr></thead>\n'
        f"<tbody>{rows}</tbody>\n</table></div>\n<ul>{''.join(_reason(entry) for entry in table.entries)}</ul>\n"
    )


def _row(rank: int, entry: Mapping[str, Any], names: Sequence[str], champion: bool) -> str:
    training = "–" if entry["train_seconds"] is None else duration(entry["train_seconds"])
    cells = [
        _cell("#", str(rank)),
        _cell("run", entry["run"], "text run"),
        _cell("gate", entry["gate"], f"text {entry['gate']}"),
        *(_cell((COLUMNS | OTHERS)[name][0], _number(entry[name])) for name in names),
        _cell("training", training),
        _cell("model", entry["model"], "text"),
    ]
    return f"<tr{' class=best' if champion else ''}>{''.join(cells)}</tr>\n"


def _cell(label: str, text: str, class_: str = "number") -> str:
    """A cell that names its column where the table has no room for heads."""
    return f'<td class="{class_}" data-label="{label}">{escape(text)}</td>'


def _reason(entry: Mapping[str, Any]) -> str:
    """The gate's decision in words, then tags and notes."""
    words = [entry[key] for key in ("reason", "tags", "notes") if entry[key]]
    return f"<li><b>{escape(entry['run'])}</b> {escape(' · '.join(words))}</li>\n"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
