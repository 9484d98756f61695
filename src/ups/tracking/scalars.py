"""The numbers in nested results, under flat names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def scalars(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The finite numbers of a nested mapping as `prefix/key/key`; texts, lists, truth values and None are left out."""
    found: dict[str, float] = {}
    for key, value in metrics.items():
        name = f"{prefix}/{key}" if prefix else str(key)
        if isinstance(value, Mapping):
            found |= scalars(value, name)
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            found[name] = value
    return found
