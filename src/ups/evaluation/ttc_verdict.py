"""What the scores of the strategies say: whether test-time conditioning pays, in a word, a sentence and a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table

from ups.evaluation.ledger import Verdict
from ups.evaluation.ttc_ranks import RankCorrelation
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
    "Free rollout, physical units, 95 % intervals by bootstrap over trajectories; network calls and milliseconds are "
    "per step of one trajectory. The oracle takes the candidate nearest to the truth, choice by choice, which is no "
    "bound over a rollout."
)

Rows = Sequence[Mapping[str, Any]]


def verdict(rows: Rows, own: str, trajectories: int) -> Verdict:
    """Whether the strategy `own` pays.

    It does if it gains over the operator with its whole interval and is better than the ensemble mean and a random pick
    of the same cost. As in the ledger, an interval that holds 0 and a single trajectory decide nothing.
    """
    row = _by_name(rows)[own]
    if row["gain"] is None:
        return "no score"
    if trajectories < 2 or row["gain_low"] <= 0 <= row["gain_high"]:
        return "undecided"
    return "pays" if row["gain_low"] > 0 and not _better(rows, own) else "does not pay"


def sentence(rows: Rows, own: str, found: Verdict, ranks: RankCorrelation) -> str:
    """The verdict `found` with its numbers and its reasons."""
    by_name = _by_name(rows)
    row, words = by_name[own], {"undecided": "is undecided"}
    if found == "no score":
        return "Test-time conditioning cannot be judged: a forecast is not finite."
    others = ", ".join(f"{name} {share(by_name[name])}" for name in (*RIVALS, ORACLE))
    beaten = f"; as good or better at the same cost: {', '.join(_better(rows, own))}" if _better(rows, own) else ""
    return (
        f"Test-time conditioning {words.get(found, found)}: {own} changes the error of the operator by {share(row)} at "
        f"{row['evaluations']:.3g} network calls a step (at equal cost: {others}){beaten}; {ranks}."
    )


def share(row: Mapping[str, Any]) -> str:
    """By how much a row changes the error of the operator, with its interval."""
    if row["gain"] is None:
        return "not finite"
    value, low, high = (f"{-100 * row[name]:+.1f}" for name in ("gain", "gain_high", "gain_low"))
    return f"{value} % [{low}, {high}]"


def ttc_table(result: Mapping[str, Any]) -> Table:
    """The rows of `metrics["ttc"]` as a table for the terminal."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, caption_justify="left")
    table.caption = "\n".join([result["sentence"], f"Settings: {in_words(result['settings'])}.", NOTE])
    table.add_column("strategy")
    for name in ("calls/step", "ms/step", "nRMSE", "gain in nRMSE"):
        table.add_column(name, justify="right")
    for row in result["rows"]:
        gain = "-" if row["strategy"] == BASELINE else share(row)
        nrmse = "-" if row["nrmse"] is None else f"{row['nrmse']:.3g} [{row['low']:.3g}, {row['high']:.3g}]"
        table.add_row(row["strategy"], f"{row['evaluations']:.3g}", f"{row['ms_per_step']:.2g}", nrmse, gain)
    return table


def _by_name(rows: Rows) -> dict[str, Mapping[str, Any]]:
    return {row["strategy"]: row for row in rows}


def _better(rows: Rows, own: str) -> list[str]:
    """The rivals whose error is not above that of `own`."""
    by_name = _by_name(rows)
    scored = [name for name in RIVALS if by_name[name]["nrmse"] is not None]
    return [name for name in scored if by_name[name]["nrmse"] <= by_name[own]["nrmse"]]
