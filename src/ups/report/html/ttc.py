"""Test-time conditioning beside what else the same number of network evaluations buys."""

from __future__ import annotations

from ups.evaluation.ledger import Gain
from ups.report.html.ledger import WORST, gain_picture
from ups.report.html.markup import Markup, join, table, tag
from ups.report.numbers import milliseconds, number, percent, score
from ups.ttc.comparison import Comparison, Strategy
from ups.ttc.settings import in_words
from ups.ttc.verdict import NOTE

HEADS = ["strategy", "calls / step", "ms / step", "nRMSE", "95 % interval", "gain in nRMSE over the operator"]


def ttc_section(result: Comparison) -> Markup:
    """The strategies and what they say; the strategy of the settings is set in bold."""
    lows = [row.gain_low for row in result.rows if row.gain_low is not None]
    low = max(WORST, min([*lows, -0.05]))
    verdicts = {result.strategy: result.verdict}
    rows = [_cells(row, verdicts.get(row.strategy), low) for row in result.rows]
    return join(
        tag("p", result.sentence),
        tag("p", f"Settings: {in_words(result.settings)}."),
        tag("div", table(HEADS, rows, {1, 2, 3, 4}, "ledger"), class_="wide"),
        tag("p", NOTE, class_="note"),
    )


def _cells(row: Strategy, verdict: str | None, low: float) -> list[str]:
    interval = f"{score(row.low)} to {score(row.high)}" if row.nrmse is not None else "–"
    return [
        tag("span", row.strategy, class_="model" if verdict else "baseline"),
        number(row.evaluations),
        milliseconds(row.ms_per_step),
        score(row.nrmse),
        interval,
        _gain(row, verdict, low),
    ]


def _gain(row: Strategy, verdict: str | None, low: float) -> Markup | str:
    """The gain in the colour of the verdict on the settings' own strategy, and of its interval for all others."""
    if row.gain is None or row.gain_low is None or row.gain_high is None:
        return "–"
    if row.gain == row.gain_low == row.gain_high == 0:
        return "–"
    gain = Gain(value=row.gain, low=row.gain_low, high=row.gain_high)
    alone = "pays" if gain.low > 0 else "does not pay" if gain.high < 0 else "undecided"
    text = f"{percent(gain.value)} [{percent(gain.low)}, {percent(gain.high)}]"
    return join(gain_picture(gain, low, verdict or alone), tag("small", text))
