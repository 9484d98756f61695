"""Flat names for nested numbers."""

import math

from ups.tracking.scalars import scalars


def test_only_finite_numbers_remain_under_their_path() -> None:
    nested = {
        "a": {"b": 1, "c": {"d": 2.5}},
        "e": "text",
        "f": [1.0],
        "g": None,
        "h": True,
        "i": math.nan,
        "j": -math.inf,
    }
    assert scalars(nested) == {"a/b": 1, "a/c/d": 2.5}
    assert scalars(nested, "test") == {"test/a/b": 1, "test/a/c/d": 2.5}
