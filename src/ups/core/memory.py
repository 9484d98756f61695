"""How much memory a process may still take, asked before a large result is allocated."""

from __future__ import annotations

import os
from math import prod
from pathlib import Path

from ups.core.errors import UserError

GIB = 2**30
_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


def require_room(shape: tuple[int, ...], what: str, cure: str) -> None:
    """Raises UserError unless single-precision numbers of this shape, twice over, fit into free memory.

    Args:
        shape: Of the result, whose parts are in memory beside it while it is put together.
        what: What needs the room, for the sentence.
        cure: What the user can do.
    """
    needed, free = 2 * 4 * prod(shape), free_memory()
    if needed > free:
        raise UserError(f"{what} takes {needed / GIB:.3g} GiB of memory, but {free / GIB:.3g} GiB are free: {cure}")


def free_memory() -> int:
    """Bytes that can still be taken: what the machine has available, within the limit of this process's container."""
    return min(_available_on_machine(), _left_in_container())


def _available_on_machine() -> int:
    """Linux's own estimate; elsewhere all there is, which at least bounds what is asked for."""
    if _MEMINFO.exists():
        lines = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
        return 1024 * int(lines["MemAvailable"].split()[0])
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _left_in_container() -> int:
    """What the limit of the control group (version 2) leaves; file pages count as free, since they can be dropped."""
    limit, used, details = (_CGROUP / f"memory.{name}" for name in ("max", "current", "stat"))
    if not limit.exists() or (text := limit.read_text().strip()) == "max":
        return 2**63
    pages = dict(line.split() for line in details.read_text().splitlines())
    return max(0, int(text) - int(used.read_text()) + int(pages["inactive_file"]))
