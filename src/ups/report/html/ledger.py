"""The ledger as an HTML table with every gain drawn as a point and its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ups.evaluation.ledger import Gain, LedgerEntry
from ups.evaluation.scores import Scores
from ups.report.hardware import hardware
from ups.report.html.markup import Markup, join, table, tag
from ups.report.ledger import settings_notes
from ups.report.numbers import duration, milliseconds, percent, score

WIDTH, HEIGHT, MARGIN = 150, 18, 7
"""Of the picture of a gain, in pixels."""
WORST = -1.0
"""Left end of the axis of gains: an error twice as large. What lies beyond is an arrow."""
HEADS = [
    "row",
    "nRMSE",
    "1-step nRMSE",
    "CRPS",
    "spread / skill",
    "gain in CRPS",
    "verdict",
    "calls / step",
    "ms / step",
    "training",
]
CLASSES = {"pays": "good", "does not pay": "bad", "undecided": "open"}
"""Verdicts and their classes in the style sheet."""


def ledger_section(scores: Scores) -> Markup:
    """Table and legend."""
    entries = scores.ledger
    models = {row.model for row in scores.rows if row.of_stack}
    marching = [entry for entry in entries if entry.model in {row.model for row in scores.models}]
    low = gain_axis_start(entries)
    best = {
        "nrmse": min((e.nrmse for e in marching if e.nrmse is not None), default=None),
        "crps": min((e.crps for e in marching if e.crps is not None), default=None),
    }
    rows = [_cells(entry, entry.model in models, best, low) for entry in entries]
    return join(tag("div", table(HEADS, rows, {1, 2, 3, 4, 7, 8, 9}, "ledger"), class_="wide"), _legend(scores))


def gain_axis_start(entries: Sequence[LedgerEntry]) -> float:
    """Left end of the axis that all gains share; the right end is 1, an error of zero."""
    lows = [entry.gain.low for entry in entries if entry.gain]
    return max(WORST, min([*lows, -0.05]))


def gain_picture(gain: Gain, low: float, verdict: str) -> Markup:
    """An SVG of the gain with its interval on the axis from `low` to 1; a thin line marks 0."""

    def place(share: float) -> str:
        inside = (max(min(share, 1.0), low) - low) / (1 - low)
        return f"{MARGIN + inside * (WIDTH - 2 * MARGIN):.1f}"

    middle = HEIGHT / 2
    parts = [
        tag("line", x1=place(low), x2=place(1), y1=middle, y2=middle, class_="track"),
        tag("line", x1=place(0), x2=place(0), y1=0, y2=HEIGHT, class_="zero"),
        tag("line", x1=place(gain.low), x2=place(gain.high), y1=middle, y2=middle, class_="interval"),
    ]
    if gain.low < low:
        parts.append(tag("path", d=f"M{MARGIN} {middle - 4}L{MARGIN - 6} {middle}l6 4z", class_="arrow"))
    if gain.value >= low:
        parts.append(tag("circle", cx=place(gain.value), cy=middle, r=4))
    text = f"gain {percent(gain.value)}, 95 % interval {percent(gain.low)} to {percent(gain.high)}"
    return tag(
        "svg",
        *parts,
        class_=f"gain {CLASSES.get(verdict, 'open')}",
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        width=WIDTH,
        height=HEIGHT,
        role="img",
        aria_label=text,
    )


def _cells(entry: LedgerEntry, model: bool, best: Mapping[str, float | None], low: float) -> list[str]:
    sampled = entry.members > 1
    name = [tag("span", entry.model, class_="model" if model else "baseline")]
    if sampled:
        name.append(tag("small", f"{entry.members} members"))
    nrmse = _marked(entry.nrmse, model and entry.nrmse == best["nrmse"])
    member = tag("small", f"member {score(entry.nrmse_member)}") if sampled else Markup("")
    return [
        join(*name),
        join(nrmse, member),
        score(entry.nrmse_one_step),
        _marked(entry.crps, model and entry.crps == best["crps"]),
        f"{entry.spread_skill:.2f}" if entry.spread_skill is not None else "–",
        _gain(entry, low),
        tag("span", entry.verdict, class_=f"verdict {CLASSES.get(entry.verdict, '')}") if entry.verdict else "–",
        f"{entry.nfe_per_step:g}",
        milliseconds(entry.ms_per_step),
        duration(entry.train_seconds) if entry.train_seconds else "–",
    ]


def _gain(entry: LedgerEntry, low: float) -> Markup | str:
    gain = entry.gain
    if gain is None:
        return "–"
    interval = f"{percent(gain.value)} [{percent(gain.low)}, {percent(gain.high)}]"
    return join(gain_picture(gain, low, entry.verdict), tag("small", f"{interval} on {entry.against}"))


def _marked(value: float | None, best: bool) -> Markup | str:
    return tag("strong", score(value)) if best and value is not None else score(value)


def _legend(scores: Scores) -> Markup:
    protocol = scores.protocol
    settled = [
        f" Rows of the steady state are scored on the last frame of the {row.steady.trajectories} of "
        f"{row.steady.of} trajectories that reach it; their step is the whole way."
        for row in scores.rows
        if row.steady
    ]
    return tag(
        "p",
        f"Free rollout of {protocol.trajectories} held-out trajectories, decoded. nRMSE is that of the ensemble "
        "mean, beneath it that of one member; the CRPS, in training deviations of each channel, is for a single "
        "forecast its mean absolute error. "
        f"Network calls and milliseconds, on {hardware(protocol)}, are per step of one member. The gain is the share "
        "by which the CRPS falls below that of the row named (the axis ends at 100 %, an error of zero), with a paired "
        "bootstrap 95 % interval over trajectories (not over training seeds): it ",
        tag("span", "pays", class_="verdict good"),
        " if the whole interval lies above 0, ",
        tag("span", "does not pay", class_="verdict bad"),
        " if below, and is ",
        tag("span", "undecided", class_="verdict open"),
        " otherwise. Bold: the lowest of the trained rows. The floor is what encoding and decoding the truth costs.",
        *settled[:1],
        *(f" {note}" for note in settings_notes(scores.rows)),
        class_="note",
    )
