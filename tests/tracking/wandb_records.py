"""Reads what the wandb client wrote offline: a LevelDB log of protocol buffers."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK, HEADER, FILE_HEADER = 32768, 7, 7


def records(path: Path) -> list[Any]:
    """All records of one `.wandb` file, in their order."""
    from wandb.proto import wandb_internal_pb2

    record: Any = wandb_internal_pb2.Record  # pyright: ignore[reportAttributeAccessIssue]
    return [record.FromString(data) for data in _payloads(path.read_bytes())]


def _payloads(data: bytes) -> Iterator[bytes]:
    """Chunks of type full (1), or first, middle and last (2, 3, 4), none across the end of a block."""
    assert data[:4] == b":W&B"
    at, parts = FILE_HEADER, b""
    while at + HEADER <= len(data):
        left = BLOCK - at % BLOCK
        if left < HEADER:
            at += left
            continue
        size, kind = struct.unpack("<HB", data[at + 4 : at + HEADER])
        if kind == 0:
            break
        parts += data[at + HEADER : at + HEADER + size]
        at += HEADER + size
        if kind in (1, 4):
            yield parts
            parts = b""


def offline_files(folder: Path) -> list[Path]:
    """The `.wandb` files below a run folder, oldest first."""
    return sorted(folder.glob("wandb/offline-run-*/*.wandb"), key=lambda p: p.stat().st_mtime_ns)


def history(path: Path) -> list[dict[str, Any]]:
    """The logged rows, without the client's own keys."""
    rows = [_items(r.history.item) for r in records(path) if r.WhichOneof("record_type") == "history"]
    return [{k: v for k, v in row.items() if not k.startswith("_")} for row in rows]


def summary(path: Path) -> dict[str, Any]:
    """The last value of every key that was put into the summary."""
    found: dict[str, Any] = {}
    for r in records(path):
        if r.WhichOneof("record_type") == "summary":
            found |= _items(r.summary.update)
    return found


def axes(path: Path) -> dict[str, str]:
    """Which metric is drawn over which."""
    metrics = [r.metric for r in records(path) if r.WhichOneof("record_type") == "metric"]
    return {m.glob_name or m.name: m.step_metric for m in metrics if m.step_metric}


def run_ids(path: Path) -> set[str]:
    """Ids of the runs in a file."""
    return {r.run.run_id for r in records(path) if r.WhichOneof("record_type") == "run"}


def exit_codes(path: Path) -> list[int]:
    """How the run ended."""
    return [r.exit.exit_code for r in records(path) if r.WhichOneof("record_type") == "exit"]


def _items(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}
