"""What timings were measured on."""

from __future__ import annotations

from typing import Protocol


class Timed(Protocol):
    """What names the hardware of its times: the protocol of scores, and the comparison of strategies."""

    @property
    def device(self) -> str: ...
    @property
    def threads(self) -> int: ...


def hardware(timed: Timed) -> str:
    """`cpu, 2 threads`, or the name of a GPU."""
    if timed.device != "cpu":
        return timed.device
    return f"cpu, {timed.threads} thread{'s' if timed.threads != 1 else ''}"
