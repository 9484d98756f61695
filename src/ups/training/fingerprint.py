"""What must not change when a stage goes on: dotted names of settings and their plain values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

UNTRACKED = {
    "num_workers",
    "pin_memory",
    "persistent_workers",
    "prefetch_factor",
    "checkpoint_seconds",
    "checkpoint_interval",
    "log_path",
}
"""Settings that do not change what is learnt."""


def fingerprint_of(sections: Mapping[str, BaseModel]) -> dict[str, Any]:
    """Dotted names and plain values of settings by the names of their sections."""
    return {
        name: value
        for prefix, section in sections.items()
        for name, value in flatten(section.model_dump(mode="json"), prefix)
    }


def flatten(value: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Dotted names and plain values of nested settings."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in UNTRACKED:
                yield from flatten(inner, f"{prefix}.{key}")
    else:
        yield prefix, value
