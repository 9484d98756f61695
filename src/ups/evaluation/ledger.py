"""The ledger: what each stage adds to or takes from the error, and what it costs, in one table.

A row is compared with the forecast above it (the autoencoder's floor is no forecast and is skipped) by the CRPS, which
scores a single forecast, as its mean absolute error, and an ensemble on one scale.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from rich import box
from rich.table import Table

from ups.ttc.settings import in_words

STEADY_BASE = "operator@T"
"""The operator's long rollout, scored on the last frame alone and so comparable with no row above it."""
TTC = "ttc"
"""The forecast with test-time conditioning."""
BUILT_ON = {
    "operator": "persistence",
    "diffusion": "operator",
    "crps": "operator",
    "regression": "operator",
    "consistency": "diffusion",
    TTC: "operator",
    "steady_prior": STEADY_BASE,
}
"""Rows, by the start of their names, and the row that each is built on and compared with."""
Verdict = Literal["pays", "does not pay", "undecided", "no score", "floor", ""]


@dataclass(frozen=True)
class Gain:
    """Share by which a mean score over trajectories falls, `1 - mean(new) / mean(old)`, and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class LedgerEntry:
    """One line of the ledger; scores are None where a forecast is not finite."""

    model: str
    nrmse: float | None
    """Free rollout of the ensemble mean, or of the forecast itself."""
    nrmse_member: float | None
    """Free rollout of one member."""
    nrmse_one_step: float | None
    crps: float | None
    spread_skill: float | None
    members: int
    nfe_per_step: float
    ms_per_step: float
    """Per member of one trajectory."""
    train_seconds: float
    parameters: int
    against: str | None
    """The row that this one is compared with."""
    gain: Gain | None
    """Of the CRPS."""
    gain_nrmse: Gain | None
    verdict: Verdict

    def record(self) -> dict[str, Any]:
        """Numbers, strings and dicts only, for `metrics.json`."""
        return asdict(self)


def crps(row: Mapping[str, Any]) -> float:
    """CRPS of a row of `metrics.json` over all frames, in the units of the data."""
    return row["probabilistic"]["overall"]["crps"]


def paired_gain(old: Sequence[float], new: Sequence[float], resamples: int = 1000, seed: int = 0) -> Gain:
    """Gain of `new (n,)` over `old (n,)`, scores of the same trajectories, lower is better.

    The interval is the 2.5 to 97.5 % range of the gain over bootstrap samples of the trajectories, drawn in pairs.
    """
    a, b = np.asarray(old, dtype=np.float64), np.asarray(new, dtype=np.float64)
    drawn = np.random.default_rng(seed).integers(len(a), size=(resamples, len(a)))
    low, high = np.quantile(1 - b[drawn].mean(axis=1) / a[drawn].mean(axis=1), [0.025, 0.975])
    return Gain(float(1 - b.mean() / a.mean()), float(low), float(high))


def ledger_entries(rows: Sequence[dict[str, Any]], resamples: int = 1000, seed: int = 0) -> list[LedgerEntry]:
    """The ledger of the rows of `metrics.json`, in their order."""
    entries, models = [], []
    for row in rows:
        compared = not row["floor"] and not row["reference"]
        entries.append(_entry(row, predecessor(row["model"], models) if compared else None, resamples, seed))
        if compared and row["error"] is None:
            models.append(row)
    return entries


def predecessor(model: str, above: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The row that shows what `model` bought: what it was built on, else the last of `above`, the rows before it."""
    if model == STEADY_BASE:
        return None
    base = next((on for start, on in BUILT_ON.items() if model.startswith(start)), None)
    built_on = [row for row in above if base is not None and base in (row["model"], row["model"].split("@")[0])]
    return built_on[-1] if built_on else (above[-1] if above else None)


def ledger_table(rows: Sequence[dict[str, Any]], resamples: int = 1000, seed: int = 0) -> Table:
    """The ledger as a table for the terminal, two lines a row; fits into 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0, caption_justify="left")
    table.caption = _caption(rows)
    table.add_column("model", overflow="fold", min_width=11)
    for name in ("nRMSE\n(member)", "nRMSE\n1 step", "CRPS", "spread/\nskill", "calls\n/step", "ms\n/step", "train"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("gain in CRPS", overflow="fold", min_width=14)
    for entry in ledger_entries(rows, resamples, seed):
        table.add_row(*_cells(entry))
    return table


def _entry(row: dict[str, Any], above: dict[str, Any] | None, resamples: int, seed: int) -> LedgerEntry:
    gains = {"crps": None, "nrmse": None}
    if above is not None and row["error"] is None:
        scores, old = row["per_trajectory"], above["per_trajectory"]
        gains = {name: paired_gain(old[name], scores[name], resamples, seed) for name in gains}
    probabilistic = row["probabilistic"]["overall"]
    return LedgerEntry(
        model=row["model"],
        nrmse=row["rollout"]["nrmse"],
        nrmse_member=row["member"]["nrmse"],
        nrmse_one_step=row["one_step"]["nrmse"],
        crps=probabilistic["crps"],
        spread_skill=probabilistic["spread_skill"] if row["members"] > 1 else None,
        members=row["members"],
        nfe_per_step=row["nfe_per_step"],
        ms_per_step=row["ms_per_step"],
        train_seconds=row["train_seconds"],
        parameters=row["parameters"],
        against=above["model"] if above is not None else None,
        gain=gains["crps"],
        gain_nrmse=gains["nrmse"],
        verdict=_verdict(row, gains["crps"]),
    )


def _verdict(row: dict[str, Any], gain: Gain | None) -> Verdict:
    """Pays if the whole interval is a gain, does not if it is a loss; one trajectory decides nothing."""
    if row["error"] is not None:
        return "no score"
    if row["floor"]:
        return "floor"
    if gain is None:
        return ""
    if len(row["per_trajectory"]["crps"]) < 2 or gain.low <= 0 <= gain.high:
        return "undecided"
    return "pays" if gain.low > 0 else "does not pay"


def _cells(entry: LedgerEntry) -> list[str]:
    member = f"\n({_number(entry.nrmse_member)})" if entry.members > 1 else ""
    return [
        entry.model,
        _number(entry.nrmse) + member,
        _number(entry.nrmse_one_step),
        _number(entry.crps),
        f"{entry.spread_skill:.2f}" if entry.spread_skill is not None else "-",
        f"{entry.nfe_per_step:g}",
        f"{entry.ms_per_step:.2g}" if entry.ms_per_step >= 0.001 else "<0.001",
        duration(entry.train_seconds),
        _gain_cell(entry),
    ]


def _gain_cell(entry: LedgerEntry) -> str:
    if entry.gain is None:
        return entry.verdict or "-"
    value, low, high = (f"{100 * share:+,.0f}" for share in (entry.gain.value, entry.gain.low, entry.gain.high))
    return f"{value} % [{low}, {high}]\non {entry.against}:\n{entry.verdict}"


def _caption(rows: Sequence[dict[str, Any]]) -> str:
    n = len(rows[0]["per_trajectory"]["crps"]) if rows else 0
    notes = "".join(f"\n{note}" for note in settings_notes(rows))
    errors = "".join(f"\nNo score: {row['error']}." for row in rows if row["error"])
    return (
        f"Free rollout of {n} held-out trajectories, physical units; nRMSE of the ensemble mean (of one member). "
        "The CRPS of a single forecast is its mean absolute error. Network calls and ms are per step of one member.\n"
        "Gain: by how much the CRPS falls below that of the row named, with a paired bootstrap 95 % interval over "
        "trajectories (not over training seeds). It pays if the whole interval is above 0, does not if it is below, "
        "and is undecided otherwise."
        f"{notes}{errors}"
    )


def settings_notes(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A sentence for each row that was scored with settings of its own."""
    return [f"Settings of {row['model']}: {in_words(row['settings'])}." for row in rows if "settings" in row]


def _number(value: float | None) -> str:
    return f"{value:.3g}" if value is not None else "-"


def duration(seconds: float) -> str:
    """Seconds as `45 s`, `12 min` or `3.2 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
