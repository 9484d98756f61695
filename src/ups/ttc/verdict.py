"""What the scores of the strategies say: whether test-time conditioning pays, in a word, a sentence and a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from ups.evaluation.ledger import Verdict
from ups.ttc.comparison import Comparison, Strategy
from ups.ttc.ranks import RankCorrelation
from ups.ttc.settings import in_words

BASELINE, BEST, BEAM, RANDOM, MEAN, ORACLE = (
    "baseline",
    "best-of-n",
    "beam",
    "random pick",
    "ensemble mean",
    "oracle-best",
)
STRATEGIES = (BASELINE, BEST, BEAM, RANDOM, MEAN, ORACLE)
RIVALS = (RANDOM, MEAN)
"""What else the same cost buys without a reward."""
NOTE = (
    "Free rollout, decoded, 95 % intervals by bootstrap over trajectories; network calls and milliseconds are "
    "per step of one trajectory. The oracle takes the candidate nearest to the truth, choice by choice, which is no "
    "bound over a rollout."
)

Rows = Sequence[Strategy]


def verdict(rows: Rows, own: str, trajectories: int) -> Verdict:
    """Whether the strategy `own` pays.

    It does if it gains over the operator, the ensemble mean and a random pick of the same cost, each with its whole
    interval, and does not if it loses against one of them with its whole interval. As in the ledger, intervals that
    hold 0 and a single trajectory decide nothing. A rival without a score is no rival.
    """
    if _by_name(rows)[own].gain is None:
        return "no score"
    if trajectories >= 2 and _better(rows):
        return "does not pay"
    return "undecided" if trajectories < 2 or _level(rows) else "pays"


def sentence(rows: Rows, own: str, found: Verdict, ranks: RankCorrelation) -> str:
    """The verdict `found` with its numbers and its reasons."""
    by_name = _by_name(rows)
    row, words = by_name[own], {"undecided": "is undecided"}
    if found == "no score":
        return "Test-time conditioning cannot be judged: a forecast is not finite."
    others = ", ".join(f"{name} {share(by_name[name])}" for name in (*RIVALS, ORACLE))
    against = (("worse than", _better(rows)), ("no sure difference to", _level(rows)))
    reasons = "".join(f"; {what} {', '.join(names)}" for what, names in against if names)
    return (
        f"Test-time conditioning {words.get(found, found)}: {own} changes the error of the operator by {share(row)} at "
        f"{row.evaluations:.3g} network calls a step (at equal cost: {others}){reasons}; {ranks}."
    )


def share(row: Strategy) -> str:
    """By how much a row changes the error of the operator, with its interval."""
    return "not finite" if row.gain is None else _change(row, "gain")


def _change(row: Strategy, gain: str) -> str:
    shares = [getattr(row, name) for name in (gain, f"{gain}_high", f"{gain}_low")]
    value, low, high = ("?" if share is None else f"{-100 * share:+.1f}" for share in shares)
    return f"{value} % [{low}, {high}]"


def ttc_table(result: Comparison) -> Table:
    """The strategies as a table for the terminal."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, caption_justify="left")
    table.caption = escape("\n".join([result.sentence, f"Settings: {in_words(result.settings)}.", NOTE]))
    table.add_column("strategy")
    for name in ("calls/step", "ms/step", "nRMSE", "gain in nRMSE"):
        table.add_column(name, justify="right")
    for row in result.rows:
        gain = "-" if row.strategy == BASELINE else share(row)
        found = (row.nrmse, row.low, row.high)
        nrmse = "-" if None in found else "{:.3g} [{:.3g}, {:.3g}]".format(*found)
        cells = (row.strategy, f"{row.evaluations:.3g}", f"{row.ms_per_step:.2g}", nrmse, gain)
        table.add_row(*(escape(cell) for cell in cells))
    return table


def _by_name(rows: Rows) -> dict[str, Strategy]:
    return {row.strategy: row for row in rows}


def _better(rows: Rows) -> list[str]:
    """The rows to beat that are better than the settings' own strategy with their whole interval."""
    return [_against(row) for row in _to_beat(rows) if row.own_gain_high is not None and row.own_gain_high < 0]


def _level(rows: Rows) -> list[str]:
    """The rows to beat from which the settings' own strategy differs by an interval that holds 0."""
    gains = [(row, row.own_gain_low, row.own_gain_high) for row in _to_beat(rows)]
    return [_against(row) for row, low, high in gains if low is not None and high is not None and low <= 0 <= high]


def _to_beat(rows: Rows) -> list[Strategy]:
    return [row for row in rows if row.strategy in (BASELINE, *RIVALS) and row.own_gain is not None]


def _against(row: Strategy) -> str:
    return f"{row.strategy} (error against it {_change(row, 'own_gain')})"
