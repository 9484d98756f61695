"""Threads of the numerical libraries, beside other work on the same cores."""

import os
import time
from pathlib import Path

SPINS = {"GOMP_SPINCOUNT": "3000", "KMP_BLOCKTIME": "1"}
"""How long an idle thread spins before it sleeps, in rounds (GNU's OpenMP) and in ms (Intel's and LLVM's)."""


STAT = Path("/proc/stat")
"""Where Linux counts what its processors do."""


def idle_cores(seconds: float = 0.2) -> int | None:
    """About how many processors have nothing to do, seen over a short while; None where the system does not say."""
    try:
        before = _ticks()
        time.sleep(seconds)
        after = _ticks()
    except (OSError, ValueError):
        return None
    spent = [late - early for late, early in zip(after, before, strict=True)]
    idle = spent[3] + spent[4]  # with nothing to do, and waiting for a disk
    return round((os.cpu_count() or 1) * idle / max(sum(spent), 1))


def _ticks() -> list[int]:
    """What all processors together spent their time on."""
    found = [int(word) for word in STAT.read_text().splitlines()[0].split()[1:9]]
    if len(found) < 5:
        raise ValueError
    return found


def spin_briefly() -> None:
    """Lets idle OpenMP threads sleep after microseconds, in this process and its children.

    By default they spin for so long that one other busy process on two cores makes an epoch ten times as long. It
    must be called before torch is loaded; what the environment says already, `OMP_WAIT_POLICY` too, stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        for name, value in SPINS.items():
            os.environ.setdefault(name, value)
