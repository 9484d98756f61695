"""Stored forecasts small enough for a web page: fewer trajectories, frames and points, 16 bits a value.

Errors are stored instead of forecasts (`forecast = truth + error`), each array scaled by its own range, so that the
smallest errors keep their shape. NaN is 65535.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ups.evaluation.predictions import Predictions

BUDGET = 2_600_000
"""Bytes of all arrays of a page before base64, which makes 3.5 MB of them."""
MISSING = 65535


@dataclass(frozen=True)
class Thinning:
    """What of the stored forecasts is kept: so many trajectories, every `time`-th frame, every `space`-th point."""

    trajectories: int
    time: int
    space: int


def thinning(stored: int, frames: int, shape: Sequence[int], arrays: int, budget: int = BUDGET) -> Thinning:
    """The least thinning with which `arrays` of `(frames, *shape)` 16-bit values per trajectory fit into `budget` bytes.

    Trajectories go first, down to one; then frames, while 16 are left; then points, as long as it takes.
    """
    time = space = 1
    while True:
        size = 2 * arrays * -(-frames // time) * prod(-(-n // space) for n in shape)
        if size <= budget or (frames <= 2 * time and max(shape) <= space):
            return Thinning(max(1, min(stored, budget // size)), time, space)
        if frames // (time + 1) >= 16:
            time += 1
        else:
            space += 1


def quantised(values: np.ndarray) -> dict[str, Any]:
    """Values as `low + (high - low) · code / 65534` with 16-bit codes, little-endian, in base64."""
    finite = np.isfinite(values)
    low, high = (float(f(values[finite])) for f in (np.min, np.max)) if finite.any() else (0.0, 0.0)
    scaled = (np.where(finite, values, low).astype(np.float64) - low) / ((high - low) or 1.0)
    codes = np.where(finite, np.rint(scaled * (MISSING - 1)), MISSING).astype("<u2")
    return {"low": low, "high": high, "data": base64.b64encode(codes.tobytes()).decode()}


def restored(packed: Mapping[str, Any], shape: Sequence[int]) -> np.ndarray:
    """The inverse of `quantised`, as the page computes it."""
    codes = np.frombuffer(base64.b64decode(packed["data"]), "<u2").reshape(shape)
    values = packed["low"] + (packed["high"] - packed["low"]) * codes / (MISSING - 1)
    return np.where(codes == MISSING, np.nan, values)


def spread_evenly(scores: Sequence[float | None], n: int) -> list[int]:
    """`n` places between the lowest and the highest score, evenly spaced in rank; in ascending order of score."""
    order = np.argsort([np.inf if score is None else score for score in scores], kind="stable")
    return [int(order[i]) for i in np.unique(np.linspace(0, len(order) - 1, n).round().astype(int))]


def embedded_fields(
    predictions: Predictions, context: int, scores: Sequence[float | None], budget: int = BUDGET
) -> dict[str, Any] | None:
    """Truth, errors and spread of the stored rollouts from the last given frame on; None if nothing is stored.

    `scores` of the trajectories decide which are kept: from the lowest to the highest, evenly. Of 3D fields the middle
    of the last axis is kept. Errors larger than the range of the truth are cut there.
    """
    stored = min(len(predictions.truth), len(scores))
    if not stored:
        return None
    axes = len(predictions.coords)
    truth = _flat(predictions.truth[:, context - 1 :], axes)
    rows = {name: _flat(row.rollout, axes) for name, row in predictions.rows.items()}
    arrays = 1 + sum(3 if values.shape[1] > 1 else 1 for values in rows.values())
    frames, shape = truth.shape[1], truth.shape[3:]
    thin = thinning(stored, frames, shape, arrays * truth.shape[2], budget)
    kept = np.unique([*range(0, frames, thin.time), frames - 1])
    space = (slice(None, None, thin.space),) * len(shape)
    return {
        "times": predictions.times[context - 1 :][kept].tolist(),
        "steps": kept.tolist(),
        "coords": [axis[:: thin.space].tolist() for axis in predictions.coords[: len(shape)]],
        "members": {name: values.shape[1] for name, values in rows.items()},
        "stored": stored,
        "thinned": {"time": thin.time, "space": thin.space},
        "sliced": axes == 3,
        "trajectories": [
            {
                "index": i,
                "params": predictions.params[i].tolist(),
                "truth": [quantised(channel) for channel in _channels(truth[i][kept], space)],
                "rows": {name: _row(truth[i], values[i], kept, space) for name, values in rows.items()},
            }
            for i in spread_evenly(scores[:stored], thin.trajectories)
        ],
    }


def _row(truth: np.ndarray, members: np.ndarray, kept: np.ndarray, space: tuple[slice, ...]) -> dict[str, Any]:
    """Errors of the mean and of one member and the spread, a packed array per channel; the given frame has none.

    `truth (t + 1, C, *S)` starts at the given frame, `members (M, t, C, *S)` one later.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        parts = {"error": members.mean(axis=0) - truth[1:]}
        if len(members) > 1:
            parts |= {"member": members[0] - truth[1:], "spread": members.std(axis=0, ddof=1)}
    limit = float(np.ptp(truth)) or 1.0
    whole = {name: np.concatenate([np.zeros_like(v[:1]), np.clip(v, -limit, limit)]) for name, v in parts.items()}
    return {name: [quantised(channel) for channel in _channels(v[kept], space)] for name, v in whole.items()}


def _channels(values: np.ndarray, space: tuple[slice, ...]) -> list[np.ndarray]:
    """`(t, C, *S)` as one thinned array `(t, *S)` per channel."""
    return [values[:, c][(slice(None), *space)] for c in range(values.shape[1])]


def _flat(values: np.ndarray, axes: int) -> np.ndarray:
    """Fields on three axes at the middle of the last one; others as they are."""
    return values[..., values.shape[-1] // 2] if axes == 3 else values
