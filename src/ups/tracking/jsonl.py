"""The training log: one JSON object a line, appended with one write each, so that a kill costs at most the line being
written."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ups.core.errors import UserError
from ups.core.files import write_text


def plain(value: Any) -> Any:
    """JSON has no infinity and no NaN: both become null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_lines(path: Path, counts: Sequence[str] = ()) -> list[dict[str, Any]]:
    """All whole lines of a log; a last line that was cut off by a kill is left out.

    Raises UserError at a line that is no object with a whole number under each of `counts`.
    """
    if not path.exists():
        return []
    entries = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        if not isinstance(entry, dict) or not all(isinstance(entry.get(name), int) for name in counts):
            with_counts = f" with whole numbers {' and '.join(counts)}" if counts else ""
            raise UserError(f"{path}:{number}: expected an epoch{with_counts}, found `{line[:60]}`; remove the line")
        entries.append(entry)
    return entries


def append_line(path: Path, entry: dict[str, Any]) -> None:
    """Appends one entry in one write."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab", buffering=0) as file:
            file.write((json.dumps({k: plain(v) for k, v in entry.items()}) + "\n").encode())
    except OSError as error:
        raise UserError(f"cannot write the training log {path}: {error.strerror}") from error


def rewrite_lines(path: Path, entries: list[dict[str, Any]]) -> None:
    """Replaces the log as a whole, atomically."""
    write_text(path, "".join(json.dumps(entry) + "\n" for entry in entries), "training log")
