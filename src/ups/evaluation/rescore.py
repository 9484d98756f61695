"""Stored forecasts scored again under other settings, without the model that made them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ups.core.errors import UserError
from ups.evaluation.evaluate import moments_of, read_metrics, spectra_of, write_metrics
from ups.evaluation.ledger import ledger_entries
from ups.evaluation.predictions import Predictions, read_predictions
from ups.evaluation.rows import ForecastErrors, score_row
from ups.evaluation.settings import EvaluationSettings
from ups.metrics import FieldErrors, compare

FREE = ("lead_times", "correlation_threshold", "bootstrap")
"""Settings of an evaluation that change nothing about the forecasts."""

Statistics = tuple[ForecastErrors, FieldErrors]
"""Of the free rollout, and of the mean of the one-step forecasts."""


def rescore(folder: Path, settings: EvaluationSettings, config_hash: str) -> dict[str, Any]:
    """Scores `folder/predictions.h5` again, and writes `metrics.json` anew.

    All that is no score of a stored forecast stays as it is in `metrics.json`: costs, rollouts from further contexts,
    the jump to the steady state, the comparison of test-time conditioning. Under the settings of the first time
    nothing changes.

    Args:
        folder: Where an evaluation wrote both files.
        settings: Those of the evaluation; the ones in `FREE` may be others than the first time.
        config_hash: Hash of the config that they are part of.

    Returns:
        What `metrics.json` holds.

    Raises:
        UserError: A file is missing or of another evaluation, or holds only some of the scored trajectories.
    """
    metrics, path = read_metrics(folder / "metrics.json"), folder / "predictions.h5"
    last = metrics["protocol"]["trajectories"] - 1
    stored = read_predictions(path, slice(last, last + 1))
    _require_same_forecasts(path, stored, metrics["protocol"])
    free = settings.model_dump(mode="json", include=set(FREE))
    protocol = {**metrics["protocol"], **free, "config_hash": config_hash}
    order = [row["model"] for row in metrics["rows"]]
    found, times = _statistics(path, protocol, order), torch.from_numpy(stored.times)
    leads = times[protocol["context"] :] - times[protocol["context"] - 1]
    new = {
        name: score_row(name, rollout, one_step, leads, settings.lead_times, settings.correlation_threshold)
        for name, (rollout, one_step) in found.items()
    }
    rows = [{**row, **new.get(row["model"], {})} for row in metrics["rows"]]
    spectra: dict[str, Any] = {}
    for name, (rollout, _) in found.items():
        spectra |= spectra_of(name, rollout, settings)
    of_rows = {row["error"] for row in metrics["rows"]}
    metrics |= {
        "protocol": protocol,
        "errors": [row["error"] for row in rows if row["error"]]
        + [error for error in metrics["errors"] if error not in of_rows],
        "rows": rows,
        "ledger": [entry.record() for entry in ledger_entries(rows, settings.bootstrap, protocol["seed"])],
        "spectra": spectra,
        "pictures": [],
    }
    write_metrics(folder / "metrics.json", metrics)
    return metrics


def _require_same_forecasts(path: Path, stored: Predictions, protocol: dict[str, Any]) -> None:
    """Raises UserError unless the file `path`, of which `stored` is the last scored trajectory, is of this protocol."""
    changed = {*FREE, "config_hash"}
    other = [key for key in protocol if key not in changed and stored.protocol.get(key) != protocol[key]]
    if other:
        raise UserError(f"{path} is of another evaluation than metrics.json beside it ({other[0]} differs)")
    if not len(stored.truth):
        raise UserError(
            f"{path} holds only some of the {protocol['trajectories']} scored trajectories; "
            "evaluate once with --set evaluation.store=null, which keeps all"
        )


def _statistics(path: Path, protocol: dict[str, Any], order: Sequence[str]) -> dict[str, Statistics]:
    """Statistics of every stored row, in the order, batches and with the seeds of the evaluation."""
    n, batch, context, seed = (protocol[key] for key in ("trajectories", "batch", "context", "seed"))
    rollouts, one_steps = defaultdict(list), defaultdict(list)
    for first in range(0, n, batch):
        part = read_predictions(path, slice(first, min(first + batch, n)))
        truth, moments = torch.from_numpy(part.truth), None
        for name in (name for name in order if name in part.rows):
            rollout, one_step = (torch.from_numpy(x) for x in (part.rows[name].rollout, part.rows[name].one_step))
            rollouts[name].append(ForecastErrors.of(truth[:, context:], rollout, seed + first, moments))
            one_steps[name].append(compare(truth[:, 1:], one_step.mean(dim=1)))
            moments = moments_of(name, rollout) or moments
    return {name: (ForecastErrors.join(rollouts[name]), FieldErrors.join(one_steps[name])) for name in rollouts}
