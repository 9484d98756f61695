"""Tables of calibration: mean and deviation beside the true ensemble's, and the energy of one member in bands."""

from __future__ import annotations

from collections.abc import Sequence

from ups.evaluation.row import Row, TrueEnsembleScores
from ups.metrics import BANDS
from ups.report.html.markup import Markup, join, table, tag
from ups.report.numbers import number, percent

SCORES = ("mean_nrmse", "deviation_ratio", "deviation_nrmse")
"""Columns of the table of mean and deviation."""


def moment_table(rows: Sequence[Row]) -> Markup:
    """Mean and deviation of every ensemble beside the true one's, at lead times; nothing where there is no true one."""
    compared = [(row, row.true_ensemble) for row in rows if row.true_ensemble and row.error is None]
    if not compared:
        return Markup("")
    leads = compared[0][1].lead_times
    heads = ["row", "nRMSE of the mean", "deviation, ratio", "nRMSE of the deviation"]
    body = [_perfect(*compared[0])]
    body += [[row.model, *(_values(getattr(scores, key)) for key in SCORES)] for row, scores in compared]
    note = (
        f"Fields of mean and deviation beside those of the true ensemble, {_at(leads)}. Both are finite samples: what "
        "perfect members would score stands first, and no forecast can be told to be better than that."
    )
    return join(
        tag("h3", "Mean and deviation beside the true ensemble"),
        tag("div", table(heads, body, {1, 2, 3}), class_="wide"),
        tag("p", note, class_="note"),
    )


def band_table(rows: Sequence[Row]) -> Markup:
    """Energy of one member over the truth's in bands of wavenumbers, at lead times; nothing where it was not scored."""
    scored = [row for row in rows if row.error is None and row.marching]
    if not scored:
        return Markup("")
    bands = scored[0].bands
    heads = ["row", *(f"k {_range(*BANDS[name])}" for name in BANDS)]
    shares = [[_share(share) for share in getattr(bands.share, name)] for name in BANDS]
    body = [["share of the truth's energy", *(" / ".join(values) for values in shares)]]
    body += [[row.model, *(_values(getattr(row.bands.ratio, name)) for name in BANDS)] for row in scored]
    note = (
        f"Energy of one member over that of the truth in bands of wavenumbers, {_at(bands.lead_times)}. 1 is "
        "perfect; above it the member is too rough, below too smooth. A band of little energy hardly shows in errors."
    )
    return join(
        tag("h3", "Energy of one member"),
        tag("div", table(heads, body, set(range(1, len(heads)))), class_="wide"),
        tag("p", note, class_="note"),
    )


def _perfect(row: Row, scores: TrueEnsembleScores) -> list[str]:
    ones: list[float | None] = [1.0] * len(scores.lead_times)
    return [
        f"{row.members} perfect members",
        _values(scores.perfect_mean_nrmse),
        _values(ones),
        _values(scores.perfect_deviation_nrmse),
    ]


def _values(values: Sequence[float | None]) -> str:
    """Numbers at lead times: hundredths from 0.1 to 10, else two digits."""
    return " / ".join(f"{v:.2f}" if v is not None and 0.1 <= v < 10 else number(v, 2) for v in values)


def _share(share: float | None) -> str:
    if share is None:
        return "–"
    if share < 1e-5:
        return "< 0.001\u00a0%"
    return percent(share, False) if share >= 1e-3 else f"{number(100 * share, 2)}\u00a0%"


def _range(first: int, stop: int | None) -> str:
    return f"{first}–{stop - 1}" if stop is not None else f"≥ {first}"


def _at(leads: Sequence[int]) -> str:
    steps = " / ".join(map(str, leads))
    return f"at step {steps}" if len(leads) == 1 else f"at steps {steps}"
