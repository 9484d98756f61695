"""The ledger in the terminal: one line a row in 80 columns, what they mean below."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from ups.evaluation.ledger import LedgerEntry, Verdict
from ups.evaluation.row import Row
from ups.evaluation.scores import Scores
from ups.report.numbers import short, short_duration
from ups.ttc.settings import in_words

PAYS: dict[Verdict, str] = {"pays": "yes", "does not pay": "no", "undecided": "?"}
"""Verdicts in the column `pays`."""
NAME = 15
"""Most characters of a name; what is cut stands in full below."""
LOSS = 9.99
"""Larger losses are shown as this one."""
HEADS = ("nRMSE", "1 step", "CRPS", "SSR", "calls", "ms", "train")


def ledger_table(scores: Scores) -> Table:
    """The ledger of an evaluation, one line a row; fits into 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0, caption_justify="left")
    table.caption = "\n".join(escape(line) for line in _caption(scores))
    table.add_column("model", no_wrap=True, max_width=NAME)
    for name in HEADS:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("gain in CRPS (%)", no_wrap=True)
    table.add_column("pays", no_wrap=True)
    for entry in scores.ledger:
        table.add_row(*(escape(cell) for cell in _cells(entry)))
    return table


def _cells(entry: LedgerEntry) -> list[str]:
    return [
        short_name(entry.model),
        short(entry.nrmse),
        short(entry.nrmse_one_step),
        short(entry.crps),
        _ratio(entry.spread_skill),
        f"{entry.nfe_per_step:.4g}",
        short(entry.ms_per_step, 4) if entry.ms_per_step >= 0.01 else "<.01",
        short_duration(entry.train_seconds),
        _gain(entry),
        PAYS.get(entry.verdict, "-"),
    ]


def _ratio(value: float | None) -> str:
    return f"{value:.2f}" if value is not None and value < 9.995 else short(value, 4)


def short_name(model: str) -> str:
    """`operator (latent space)` as `operator latent`; a long name is cut."""
    name = model.replace(" (", " ").replace(" space)", "")
    return name if len(name) <= NAME else f"{name[: NAME - 2]}.."


def _gain(entry: LedgerEntry) -> str:
    """`+60 [+57,+66]`, or why there is none."""
    if entry.gain is None:
        return entry.verdict or "-"
    if entry.gain.value < -LOSS:
        return f"<{-100 * LOSS:.0f}"
    shares = (entry.gain.value, entry.gain.low, entry.gain.high)
    value, low, high = (f"{100 * max(share, -LOSS):+.0f}" for share in shares)
    return f"{value} [{low},{high}]"


def _caption(scores: Scores) -> list[str]:
    lines = [
        f"Free rollout of {scores.protocol.trajectories} held-out trajectories, decoded. nRMSE of the ensemble mean; "
        "CRPS in training deviations of each channel, for a single forecast its mean absolute error; SSR: spread over "
        "skill. Network calls and ms are per step of one member.",
        "Gain: by how much the CRPS falls below that of another row, with a paired bootstrap 95 % interval over "
        "trajectories (not over training seeds). It pays if the whole interval is above 0, does not if it is below, "
        "and is undecided (?) otherwise; an ensemble has to gain in energy score too.",
        _against(scores.ledger),
        *_ensembles(scores.ledger),
        _members(scores.ledger),
        _cut(scores.ledger),
        *settings_notes(scores.rows),
        *(f"No score: {row.error}." for row in scores.rows if row.error),
    ]
    return [line for line in lines if line]


def _against(entries: Sequence[LedgerEntry]) -> str:
    """Which rows are compared with which."""
    bases = dict.fromkeys(entry.against for entry in entries if entry.gain is not None)
    pairs = {base: [e.model for e in entries if e.gain is not None and e.against == base] for base in bases}
    listed = "; ".join(f"on {base}: {', '.join(models)}" for base, models in pairs.items())
    return f"Gains are {listed}." if listed else ""


def _ensembles(entries: Sequence[LedgerEntry]) -> list[str]:
    """What an ensemble gains over the dressed operator in both scores, and what it costs."""
    costs = {entry.model: entry for entry in entries}

    def line(entry: LedgerEntry, base: LedgerEntry) -> str:
        scores = (("CRPS", entry.gain), ("energy score", entry.gain_energy))
        gains = [
            f"{name} {100 * gain.value:+.0f} % [{100 * gain.low:+.0f},{100 * gain.high:+.0f}]"
            for name, gain in scores
            if gain is not None
        ]
        cost = f"{entry.nfe_per_step:g} calls a step against {base.nfe_per_step:g}"
        return f"{entry.model} over the {base.model}: {', '.join(gains)}, {cost}: {entry.verdict}."

    return [line(e, costs[e.against]) for e in entries if e.gain_energy is not None and e.against in costs]


def _members(entries: Sequence[LedgerEntry]) -> str:
    """The error of one member, which is larger than that of the mean."""
    listed = ", ".join(f"{e.model} {short(e.nrmse_member)}" for e in entries if e.members > 1)
    return f"nRMSE of one member: {listed}." if listed else ""


def _cut(entries: Sequence[LedgerEntry]) -> str:
    """The names that are cut in the table."""
    listed = "; ".join(f"{name} {entry.model}" for entry in entries if (name := short_name(entry.model)).endswith(".."))
    return f"In full: {listed}." if listed else ""


def settings_notes(rows: Sequence[Row]) -> list[str]:
    """A sentence for each row that was scored with settings of its own."""
    return [f"Settings of {row.model}: {in_words(row.settings)}." for row in rows if row.settings is not None]
