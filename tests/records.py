"""Rows and scores as an evaluation makes them, with numbers that are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ups.evaluation.ledger import ledger_entries
from ups.evaluation.row import Row
from ups.evaluation.scores import Scores, ScoringProtocol, Spectra

POINT = ("nrmse", "nrmse_pooled", "rmse", "mae", "max", "crmse", "brmse", "frmse_low", "frmse_mid", "frmse_high")
POINT = (*POINT, "vrmse", "nrmse_pdebench", "vrmse_well")
CHANNEL = ("nrmse", "nrmse_pooled", "nrmse_one_step", "vrmse", "rmse", "mae", "max", "crmse", "crps", "energy_score")
ENSEMBLE = ("crps", "spread_skill", "coverage_50", "coverage_90", "interval_50", "interval_90", "reliability_distance")
ENSEMBLE = (*ENSEMBLE, "energy_score", "spectrum_error")
STEPS = 3
"""Scored frames."""


def row(
    model: str, values: Sequence[float], nrmse: float | None = None, *, error: str | None = None, **changes: Any
) -> Row:
    """A row whose CRPS and nRMSE are `values` trajectory by trajectory; `nrmse` where its mean is given."""
    mean = None if error else float(np.mean(values)) if nrmse is None else nrmse
    curve = [mean] * STEPS
    point, bands = dict.fromkeys(POINT, mean), dict.fromkeys(("low", "mid", "high"), curve)
    total = dict.fromkeys(("ratio", "share"), dict.fromkeys(("low", "mid", "high"), mean))
    ensemble = {**dict.fromkeys(ENSEMBLE, mean), "spread_skill": 1.0}
    curves = {"nrmse_per_frame": curve, "correlation_per_frame": curve}
    rollout = {**point, "vrmse_windows": {}, "correlation_time": 1.0, "correlation_lost": False, **curves}
    members = changes.get("members", 1)
    probabilistic = {
        **{name: [mean] for name in ENSEMBLE},
        "members": members,
        "lead_times": [1],
        "overall": ensemble,
        "spread_skill_per_channel": [1.0],
        "rank_histogram": None if members == 1 else [1 / (members + 1)] * (members + 1),
        "rank_histograms": None,
        "nominal": dict.fromkeys(("spread_skill", "coverage_50", "coverage_90", "interval_50", "interval_90"), 1.0),
        "per_frame": dict.fromkeys(ENSEMBLE, curve),
    }
    content = {
        "model": model,
        "members": members,
        "rollout": rollout,
        "member": rollout,
        "one_step": point,
        "probabilistic": probabilistic,
        "bands": {"lead_times": [1], "ratio": bands, "share": bands, "overall": total},
        "channels": {"u": {**dict.fromkeys(CHANNEL, mean), "std": 1.0, "spread_skill": 1.0}},
        "true_ensemble": None,
        "per_trajectory": {"crps": list(values), "nrmse": list(values), "energy": list(values)},
        "error": error,
        "role": "model",
        "built_on": None,
        "nfe_per_step": 1.0,
        "ms_per_step": 0.5,
        "train_seconds": 600.0,
        "parameters": 10,
    }
    return Row.model_validate(content | changes)


def protocol(**changes: Any) -> ScoringProtocol:
    """How they were scored."""
    content = {
        "context": 1,
        "members": 8,
        "one_step_members": 8,
        "trajectories": 4,
        "frames": STEPS + 1,
        "dt": 0.5,
        "channels": ["u"],
        "std": [1.0],
        "shape": [32],
        "lead_times": [1],
        "correlation_threshold": 0.8,
        "bootstrap": 100,
        "seed": 0,
        "batch": 64,
        "device": "cpu",
        "threads": 1,
        "torch": "2",
        "times": [0.5 * i for i in range(STEPS + 1)],
        "task": "burgers1d",
        "stride": {"space": 1, "time": 1},
        "data_hash": "ab" * 32,
        "split_hash": "cd" * 32,
        "config_hash": "c",
    }
    return ScoringProtocol.model_validate(content | changes)


def scores(rows: Sequence[Row], **changes: Any) -> Scores:
    """An evaluation with these rows."""
    scored = protocol(trajectories=len(rows[0].per_trajectory.crps), **changes)
    return Scores(
        protocol=scored,
        errors=[row.error for row in rows if row.error],
        rows=list(rows),
        ledger=ledger_entries(rows, scored.bootstrap, scored.seed),
        spectra=Spectra.model_validate({"lead_times": [], "truth": []}),
        pictures=[],
    )
