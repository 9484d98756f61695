"""All that the page draws as curves, taken from `metrics.json` and the training log, in five digits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ups.evaluation.row import Row
from ups.evaluation.scores import Scores
from ups.report.health import by_stage

CURVES = ("crps", "spread_skill", "coverage_50", "coverage_90")
"""Probabilistic curves against lead time."""
TRAINING = ("score", "grad_norm", "lr")
"""Keys of the training log that are drawn beside all kinds of loss."""


def curves(scores: Scores) -> dict[str, Any]:
    """Rows with their curves against lead time, spectra, and costs; rows that jump to a steady state have no curves."""
    spectra = scores.spectra.model_dump()
    return {
        "channels": scores.protocol.channels,
        "leads": short(scores.protocol.leads),
        "threshold": scores.protocol.correlation_threshold,
        "rows": [_row(row) for row in scores.rows if row.marching],
        "spectra": {
            "steps": spectra.pop("lead_times"),
            "powers": {name: short(powers) for name, powers in spectra.items()},
        },
    }


def training(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Per stage its epochs, its losses by name, and the curves of `TRAINING`."""
    stages = []
    for name, epochs in by_stage(entries).items():
        losses = dict.fromkeys(key for entry in epochs for key in entry if key == "loss" or key.startswith("L_"))
        if len(losses) == 2:
            losses = {"loss": None}
        stages.append(
            {
                "name": name,
                "epochs": [entry.get("epoch", i + 1) for i, entry in enumerate(epochs)],
                "losses": {key: short([entry.get(key) for entry in epochs]) for key in losses},
                **{key: short([entry.get(key) for entry in epochs]) for key in TRAINING},
            }
        )
    return stages


def _row(row: Row) -> dict[str, Any]:
    scores = row.probabilistic
    ensemble = row.members > 1
    return {
        "name": row.model,
        "model": row.of_stack,
        "members": row.members,
        "nrmse": short(row.rollout.nrmse_per_frame),
        "correlation": short(row.rollout.correlation_per_frame),
        **{key: short(getattr(scores.per_frame, key)) for key in CURVES if ensemble or key == "crps"},
        "ranks": short([scores.rank_histogram, *(scores.rank_histograms or [])]) if ensemble else None,
        "nominal": short(scores.nominal.model_dump()),
        "ms": row.ms_per_step,
        "error": short(row.rollout.nrmse),
    }


def short(value: Any) -> Any:
    """Numbers in five significant digits, also inside lists and dicts."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, Mapping):
        return {key: short(item) for key, item in value.items()}
    return [short(item) for item in value] if isinstance(value, list | tuple) else value
