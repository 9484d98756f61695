"""What a dry run estimated, as a table, and what the run then took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ups.orchestrate.state import State
from ups.report.numbers import duration

if TYPE_CHECKING:
    from ups.orchestrate.estimate import Estimate

MEGABYTE = 2**20


def estimate_table(estimate: Estimate) -> str:
    """The estimate in lines of text."""
    lines = [f"{'':<22}{'steps':>8}{'ms/step':>10}{'time':>10}{'memory':>12}"]
    for name, stage in estimate.stages.items():
        costs = f"{stage.steps:>8}{1e3 * stage.step_seconds:>10.1f}{duration(stage.seconds):>10}"
        lines.append(f"{name:<22}{costs}{_memory(stage.host_bytes, stage.device_bytes):>12}")
    for split, part in estimate.evaluations.items():
        space = _memory(part.host_bytes, part.device_bytes)
        lines.append(f"{'evaluation: ' + split:<22}{'':>18}{duration(part.seconds):>10}{space:>12}")
    if estimate.baseline_seconds:
        lines.append(f"{'baselines':<22}{'':>18}{duration(estimate.baseline_seconds):>10}")
    lines.append(
        f"{'in all, at most':<22}{'':>18}{duration(estimate.seconds):>10}{_memory(estimate.host_bytes, None):>12}"
    )
    return "\n".join(lines)


def measured(state: State, evaluations: Mapping[str, str]) -> dict[str, Any]:
    """The estimate beside what was measured; ratios are measured over estimated, where both are of the same whole.

    A training that was resumed has none, as its time is not that of the whole; one that stopped early lies below 1.
    """
    steps: dict[str, Any] = state.content["steps"]
    private = {name: step["outcome"]["private"] for name, step in steps.items()}
    seconds = {name: step["seconds"] for name, step in steps.items()}
    peaks = {name: found["host_bytes"] for name, found in private.items() if "host_bytes" in found}
    result = {"estimate": None, "measured": {"seconds": seconds, "host_bytes": peaks}}
    if "dry run" not in private:
        return result
    estimate = private["dry run"]["estimate"]
    pairs = {
        name: (seconds[name], estimate["evaluations"][split]["seconds"])
        for split, name in evaluations.items()
        if name in seconds and split in estimate["evaluations"]
    }
    if "train" in private and private["train"]["from_scratch"] and estimate["stages"]:
        pairs["train"] = (seconds["train"], estimate["training_seconds"])
    if len(pairs) == 1 + len(evaluations):
        opening = estimate["data_seconds"]
        pairs["all"] = (opening + sum(a for a, _ in pairs.values()), opening + sum(b for _, b in pairs.values()))
    if peaks:
        pairs["memory"] = (max(peaks.values()), estimate["host_bytes"])
    return result | {
        "estimate": estimate,
        "measured_over_estimated": {name: a / b for name, (a, b) in pairs.items() if b},
    }


def _memory(host: int, device: int | None) -> str:
    text = f"{host / MEGABYTE:,.0f} MB"
    return text if device is None else f"{text} + {device / MEGABYTE:,.0f} MB"
