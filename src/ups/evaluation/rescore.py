"""Stored forecasts scored again under other settings, without the model that made them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import torch

from ups.core.errors import UserError
from ups.evaluation.evaluate import moments_of, spectra_of
from ups.evaluation.ledger import ledger_entries
from ups.evaluation.predictions import Predictions, read_predictions
from ups.evaluation.row import Role
from ups.evaluation.rows import ForecastErrors, score_row
from ups.evaluation.scores import S, ScoringProtocol, Spectra, write_scores
from ups.evaluation.settings import EvaluationSettings
from ups.metrics import FieldErrors, compare

FREE = ("lead_times", "correlation_threshold", "bootstrap")
"""Settings of an evaluation that change nothing about the forecasts."""

Statistics = tuple[ForecastErrors, FieldErrors]
"""Of the free rollout, and of the mean of the one-step forecasts."""


def rescore(folder: Path, before: S, settings: EvaluationSettings, config_hash: str) -> S:
    """Scores `folder/predictions.h5` again, and writes `metrics.json` anew.

    All that is no score of a stored forecast stays as it is: costs, rollouts from further contexts, the jump to the
    steady state, whatever stands beside the rows. Under the settings of the first time nothing changes.

    Args:
        folder: Where an evaluation wrote both files.
        before: What its `metrics.json` holds.
        settings: Those of the evaluation; the ones in `FREE` may be others than the first time.
        config_hash: Hash of the config that they are part of.

    Returns:
        What `metrics.json` holds.

    Raises:
        UserError: The forecasts are missing, of another evaluation, or not those of all scored trajectories.
    """
    path, last = folder / "predictions.h5", before.protocol.trajectories - 1
    stored = read_predictions(path, slice(last, last + 1))
    _require_same_forecasts(path, stored, before.protocol)
    free = settings.model_dump(mode="json", include=set(FREE))
    protocol = before.protocol.model_copy(update={**free, "config_hash": config_hash})
    found = _statistics(path, protocol, {row.model: row.role for row in before.rows})
    leads, threshold = torch.tensor(protocol.leads, dtype=torch.float64), settings.correlation_threshold
    rows, spectra, sigma = list(before.rows), {}, dict(zip(protocol.channels, protocol.std, strict=True))
    for i, row in enumerate(rows):
        if row.model in found:
            scores = score_row(row.model, *found[row.model], leads, settings.lead_times, sigma, threshold)
            rows[i] = row.model_copy(update=dict(scores))
            spectra |= spectra_of(row.model, found[row.model][0], settings)
    of_rows = {row.error for row in before.rows}
    scores = before.model_copy(
        update={
            "protocol": protocol,
            "errors": [row.error for row in rows if row.error] + [e for e in before.errors if e not in of_rows],
            "rows": rows,
            "ledger": ledger_entries(rows, settings.bootstrap, protocol.seed),
            "spectra": Spectra.model_validate(spectra),
            "pictures": [],
        }
    )
    write_scores(folder / "metrics.json", scores)
    return scores


def _require_same_forecasts(path: Path, stored: Predictions, protocol: ScoringProtocol) -> None:
    """Raises UserError unless the file `path`, of which `stored` is the last scored trajectory, is of this protocol."""
    theirs, changed = dict(stored.protocol), {*FREE, "config_hash"}
    other = [key for key, value in protocol if key not in changed and theirs.get(key) != value]
    if other:
        raise UserError(f"{path} is of another evaluation than metrics.json beside it ({other[0]} differs)")
    if not len(stored.truth):
        raise UserError(
            f"{path} holds only some of the {protocol.trajectories} scored trajectories; "
            "evaluate once with --set evaluation.store=null, which keeps all"
        )


def _statistics(path: Path, protocol: ScoringProtocol, roles: Mapping[str, Role]) -> dict[str, Statistics]:
    """Statistics of every stored row, in the order, batches and with the seeds of the evaluation."""
    rollouts, one_steps, std = defaultdict(list), defaultdict(list), protocol.std
    for first in range(0, protocol.trajectories, protocol.batch):
        part = read_predictions(path, slice(first, min(first + protocol.batch, protocol.trajectories)))
        truth, moments = torch.from_numpy(part.truth), None
        for name in (name for name in roles if name in part.rows):
            rollout, one_step = (torch.from_numpy(x) for x in (part.rows[name].rollout, part.rows[name].one_step))
            errors = ForecastErrors.of(truth[:, protocol.context :], rollout, std, protocol.seed + first, moments)
            rollouts[name].append(errors)
            one_steps[name].append(compare(truth[:, 1:], one_step.mean(dim=1), std))
            moments = moments_of(roles[name], rollout, std) or moments
    return {name: (ForecastErrors.join(rollouts[name]), FieldErrors.join(one_steps[name])) for name in rollouts}
