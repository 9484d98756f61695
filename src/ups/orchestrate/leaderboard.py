"""The leaderboard of a folder of runs: `leaderboard.csv`, one row for each run and protocol, best first."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from ups.core.errors import UserError
from ups.core.files import claimed, write_text
from ups.evaluation.scores import Scores
from ups.orchestrate.gates import METRICS, Champion, cost, protocol_hash, scores_of
from ups.orchestrate.leaderboard_page import Table, page

Gate = Literal["passed", "failed", "none"]


@dataclass(frozen=True)
class Entry:
    """One run scored by one protocol; its fields are the columns."""

    run: str
    folder: str
    """Name of the run folder, which tells runs apart."""
    gate: Gate
    model: str
    """The row of the evaluation that stands for the run."""
    nrmse: float | None
    nrmse_pooled: float | None
    vrmse: float | None
    nrmse_one_step: float | None
    crps: float | None
    energy_score: float | None
    spread_skill: float | None
    nfe_per_step: float | None
    ms_per_step: float | None
    train_seconds: float | None
    parameters: float | None
    split: str
    task: str
    trajectories: int
    context: int
    frames: int
    members: int
    shape: str
    protocol: str
    """Hash of all that makes scores comparable."""
    data_hash: str
    config_hash: str
    weights_hash: str
    """Hash of the weights that were scored."""
    seed: int
    finished: str
    """When it was scored, UTC."""
    tags: str
    notes: str
    reason: str
    """The gate's decision in words."""

    def scores(self) -> dict[str, float | None]:
        """The scores that gates know."""
        return {name: getattr(self, name) for name in METRICS}


NUMBERS = {field.name for field in fields(Entry) if "float" in str(field.type)}
COUNTS = {field.name for field in fields(Entry) if field.type == "int"}
COLUMNS = ("rank", *(field.name for field in fields(Entry)))


def entry_of(scores: Scores, model: str, **about: Any) -> Entry:
    """The entry of the row `model` of an evaluation; a row that is not there has no scores."""
    protocol, row = scores.protocol, scores.row(model)
    costs = ("nfe_per_step", "ms_per_step", "train_seconds", "parameters")
    named = ("split", "task", "trajectories", "context", "frames", "members", "data_hash", "config_hash", "seed")
    columns: dict[str, Any] = {
        **scores_of(row),
        **{name: getattr(row, name, None) for name in costs},
        **{name: getattr(protocol, name) for name in named},
        "model": model,
        "shape": "x".join(str(n) for n in protocol.shape),
        "protocol": protocol_hash(protocol),
    }
    return Entry(**columns, **about)


def champion(entries: Sequence[Entry], protocol: str, metric: str, folder: str) -> Champion | None:
    """The best entry of a protocol that is another run's and did not fail its gate."""
    best = standing([e for e in entries if e.protocol == protocol and e.folder != folder], metric)
    return Champion(best.run, best.model, best.scores()) if best else None


def standing(entries: Sequence[Entry], metric: str) -> Entry | None:
    """The best of the entries of one protocol that have a score and did not fail their gate."""
    scored = (e for e in ranked(entries, metric) if e.gate != "failed" and cost(metric, e.scores()) is not None)
    return next(scored, None)


def ranked(entries: Sequence[Entry], metric: str) -> list[Entry]:
    """Protocol by protocol, those of the test split first, and best first in each; entries without a score last."""

    def key(entry: Entry) -> tuple[Any, ...]:
        value = cost(metric, entry.scores())
        group = (entry.split != "test", entry.task, entry.protocol)
        return (*group, value is None, value or 0.0, entry.run, entry.folder)

    return sorted(entries, key=key)


def read_entries(path: Path) -> list[Entry]:
    """The entries of a leaderboard, none where there is no file. Raises UserError if it is another file."""
    if not path.exists():
        return []
    try:
        rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline=""), strict=True)
        if tuple(rows.fieldnames or ()) != COLUMNS:
            raise ValueError("its columns are others")
        return [_parse(row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise UserError(
            f"{path} is not a leaderboard of this program ({type(error).__name__}: {error}); move it away"
        ) from error


def update(runs: Path, entries: Sequence[Entry], metric: str) -> list[Entry]:
    """Enters scores, writes both files, and returns all entries in their order.

    An entry takes the place of the one that its run folder had on the same protocol, and of those of other weights,
    which the folder no longer holds. Every other stays: what was not scored this time still stands.
    """
    new, held = {(entry.folder, entry.protocol) for entry in entries}, {e.folder: e.weights_hash for e in entries}

    def stands(entry: Entry) -> bool:
        same_weights = held.get(entry.folder, entry.weights_hash) == entry.weights_hash
        return same_weights and (entry.folder, entry.protocol) not in new

    return _rewrite(runs, stands, entries, metric)


def retire(runs: Path, folder: str, weights_hash: str, metric: str) -> None:
    """Drops the entries of a run folder that are of other weights than it holds now, and writes both files."""
    if (runs / "leaderboard.csv").exists():
        _rewrite(runs, lambda entry: entry.folder != folder or entry.weights_hash == weights_hash, (), metric)


def _rewrite(runs: Path, stands: Callable[[Entry], bool], entries: Sequence[Entry], metric: str) -> list[Entry]:
    """Both files, of what stands and of new entries; returns all in their order."""
    with claimed(runs, "the leaderboard belongs there", wait=True, name=".leaderboard.lock"):
        known = read_entries(runs / "leaderboard.csv")
        order = ranked([*filter(stands, known), *entries], metric)
        write_text(runs / "leaderboard.csv", _csv(order))
        write_text(runs / "leaderboard.html", page(_tables(order, metric), metric))
    return order


def _parse(row: dict[str, str]) -> Entry:
    values: dict[str, Any] = {name: row[name] for name in COLUMNS[1:]}
    values |= {name: float(row[name]) if row[name] else None for name in NUMBERS}
    values |= {name: int(row[name]) for name in COUNTS}
    if values["gate"] not in ("passed", "failed", "none") or None in row:
        raise ValueError(f"a row with gate {values['gate']!r}")
    return Entry(**values)


def _groups(order: Sequence[Entry]) -> list[list[Entry]]:
    return [list(group) for _, group in groupby(order, key=lambda entry: entry.protocol)]


def _csv(order: Sequence[Entry]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for group in _groups(order):
        for rank, entry in enumerate(group, start=1):
            writer.writerow([rank, *(_cell(value) for value in asdict(entry).values())])
    return text.getvalue()


def _cell(value: Any) -> Any:
    return "" if value is None else repr(value) if isinstance(value, float) else value


def _tables(order: Sequence[Entry], metric: str) -> list[Table]:
    tables = []
    for group in _groups(order):
        first = group[0]
        what = f"{first.split} split" + (f" of {first.task}" if first.task else "")
        given = f"{first.context} frame{'s' if first.context > 1 else ''} given"
        details = (
            f"{first.trajectories} trajectories of {first.frames} frames at {first.shape} points, {given}, "
            f"{first.members} members; protocol {first.protocol}, data {first.data_hash[:12]}"
        )
        best = standing(group, metric)
        tables.append(Table(what, details, [asdict(entry) for entry in group], group.index(best) if best else None))
    return tables
