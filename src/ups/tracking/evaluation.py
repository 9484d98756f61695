"""The parts of `metrics.json` that trackers show: scores under the names of their models, tables and pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

Metrics = Mapping[str, Any]
Table = tuple[list[str], list[list[Any]]]
"""Names of the columns, and the cells of every row."""
GAINS = ("gain", "gain_nrmse")
"""Entries of the ledger that are a value with its interval, or None."""


def split_of(metrics: Metrics) -> str:
    """What was scored."""
    return str(metrics["protocol"]["split"])


def scores(metrics: Metrics) -> dict[str, Any]:
    """The rows under the names of their models, and under `ttc` the strategies of test-time conditioning."""
    found = {row["model"]: {k: v for k, v in row.items() if k != "model"} for row in metrics["rows"]}
    if metrics.get("ttc"):
        found["ttc"] = found.get("ttc", {}) | comparison(metrics["ttc"])
    return found


def comparison(result: Metrics) -> dict[str, Any]:
    """What test-time conditioning changes: every strategy under its name, and the gain of the one that is set."""
    strategies = {row["strategy"]: {k: v for k, v in row.items() if k != "strategy"} for row in result["rows"]}
    own = strategies[result["strategy"]]
    gain = {key: own[key] for key in ("gain", "gain_low", "gain_high")}
    return {**strategies, **gain, "correlation": result["correlation"]}


def tables(metrics: Metrics) -> dict[str, Table]:
    """The ledger and, where it was scored, test-time conditioning, by name."""
    found = {"ledger": _table([_flat(entry) for entry in metrics["ledger"]])}
    if metrics.get("ttc"):
        found["ttc"] = _table(metrics["ttc"]["rows"])
    return found


def pictures(metrics: Metrics, folder: Path) -> list[Path]:
    """The pictures in `folder` that were drawn of these very scores."""
    return [folder / name for name in metrics["pictures"]]


def _table(entries: list[Any]) -> Table:
    columns = list(dict.fromkeys(key for entry in entries for key in entry))
    return columns, [[entry.get(key) for key in columns] for entry in entries]


def _flat(entry: Metrics) -> dict[str, Any]:
    """An entry of the ledger with `gain`, `gain_low` and `gain_high` in the place of a gain with its interval."""
    found: dict[str, Any] = {}
    for key, value in entry.items():
        if key in GAINS:
            value, low, high = (value[part] for part in ("value", "low", "high")) if value else (None, None, None)
            found |= {key: value, f"{key}_low": low, f"{key}_high": high}
        else:
            found[key] = value
    return found
