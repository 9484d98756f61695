"""The clock, and the most memory that this process held since a moment."""

from __future__ import annotations

import resource
import sys
import time
from contextlib import suppress
from pathlib import Path

import torch

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def clock() -> float:
    """Wall-clock seconds; waits for a GPU first."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def reset_peak() -> None:
    """Starts a new measurement; where the system has no way to, the peak stays that of the whole process."""
    with suppress(OSError):
        CLEAR.write_text("5")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def host_peak() -> int:
    """Largest resident set since `reset_peak`, in bytes."""
    with suppress(OSError, StopIteration):
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return 1024 * int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def device_peak() -> int | None:
    """Largest memory that torch held on the GPU since `reset_peak`, in bytes; None without one."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
