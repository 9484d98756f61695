"""Tables that depend on a grid alone (masks, waves, indices): made once for each grid and device."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

import torch

T = TypeVar("T")


def table(make: Callable[..., T]) -> Callable[..., T]:
    """Remembers the tensors that `make` returns for hashable arguments; to `torch.compile` they are of its graph."""

    @lru_cache(maxsize=1024)
    def remembered(*key: object) -> T:
        with torch.inference_mode(False), torch.no_grad():  # so that training may use what an evaluation made
            return make(*key)

    @wraps(make)
    def look_up(*key: object) -> T:
        return make(*key) if torch.compiler.is_compiling() else remembered(*key)

    return look_up
