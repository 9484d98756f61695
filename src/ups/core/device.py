"""Which device a name means, and the name of a device."""

import os
from contextlib import suppress
from pathlib import Path

import torch

from ups.core.errors import UserError


def device_of(name: str) -> torch.device:
    """The device of `run.device`; `auto` takes a GPU where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda"):
            raise UserError(f"run.device: expected auto, cpu, cuda or cuda:N, found {name}")
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"run.device: {name} is not available here ({str(error).splitlines()[0]})") from error
    return device


def device_name(device: torch.device) -> str:
    """`cpu`, or the product name of a GPU, such as `NVIDIA H200`."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def total_memory(device: torch.device) -> int:
    """Bytes of memory of a GPU, or of the machine as far as this process may use it."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    with suppress(OSError, ValueError):  # no such file, or "max"
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(limits)


def processors() -> int:
    """Processors that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
