"""What timings were measured on."""

from collections.abc import Mapping
from typing import Any


def hardware(measured: Mapping[str, Any]) -> str:
    """`cpu, 2 threads`, or the name of a GPU, from the `device` and `threads` of a protocol.

    Scores that were made before the device was recorded have `unknown device, 2 threads`.
    """
    device, threads = measured.get("device", "unknown device"), measured["threads"]
    known_gpu = device not in ("cpu", "unknown device")
    return device if known_gpu else f"{device}, {threads} thread{'s' if threads != 1 else ''}"
