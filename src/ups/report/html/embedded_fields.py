"""Stored forecasts small enough for a web page: fewer trajectories, frames and points, few bits a value.

Errors are stored instead of forecasts (`forecast = truth + error`), each array scaled by its own range, so that the
smallest errors keep their shape. 1D fields, drawn as lines, have 16 bits a value; others, drawn in 256 colours, have 8.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ups.evaluation.predictions import Predictions

BUDGET = 2_600_000
"""Bytes of all arrays of a page before base64, which makes 3.5 MB of them."""


@dataclass(frozen=True)
class Thinning:
    """What of the stored forecasts is kept: so many trajectories, every `time`-th frame, every `space`-th point."""

    trajectories: int
    time: int
    space: int


def thinning(stored: int, frames: int, shape: Sequence[int], arrays: int, budget: int = BUDGET) -> Thinning:
    """The least thinning with which `arrays` of `(frames, *shape)` bytes per trajectory fit into `budget` bytes.

    Trajectories go first, down to one; then frames, while 16 are left; then points, as long as it takes.
    """
    time = space = 1
    while True:
        size = arrays * -(-frames // time) * prod(-(-n // space) for n in shape)
        if size <= budget or max(shape) <= space:
            return Thinning(max(1, min(stored, budget // size)), time, space)
        if frames // (time + 1) >= 16:
            time += 1
        else:
            space += 1


def quantised(values: np.ndarray, bits: int) -> dict[str, Any]:
    """Values as `low + (high - low) · code / (2^bits - 2)` with little-endian codes in base64; the last code is NaN."""
    finite = np.isfinite(values)
    low, high = (float(f(values[finite])) for f in (np.min, np.max)) if finite.any() else (0.0, 0.0)
    scaled = (np.where(finite, values, low).astype(np.float64) - low) / ((high - low) or 1.0)
    codes = np.where(finite, np.rint(scaled * (2**bits - 2)), 2**bits - 1).astype(f"<u{bits // 8}")
    return {"low": low, "high": high, "data": base64.b64encode(codes.tobytes()).decode()}


def spread_evenly(scores: Sequence[float | None], n: int) -> list[int]:
    """`n` places from the lowest to the highest score, evenly spaced in rank and ascending; the median for n = 1."""
    order = np.argsort([np.inf if score is None else score for score in scores], kind="stable")
    last = len(order) - 1
    return [int(order[i]) for i in (np.unique(np.linspace(0, last, n).round().astype(int)) if n > 1 else [last // 2])]


@dataclass(frozen=True)
class _Packing:
    """Which frames and points of an array are kept, and in how many bits."""

    frames: np.ndarray
    space: int
    bits: int

    def channels(self, values: np.ndarray) -> list[dict[str, Any]]:
        """`(t, C, *S)` as one packed array `(frames, *S)` per channel."""
        points = (slice(None), *(slice(None, None, self.space),) * (values.ndim - 2))
        return [quantised(values[self.frames, c][points], self.bits) for c in range(values.shape[1])]


def embedded_fields(
    predictions: Predictions, context: int, scores: Sequence[float | None], budget: int = BUDGET
) -> dict[str, Any] | None:
    """Truth, errors and spread of the stored rollouts from the last given frame on; None if nothing is stored.

    `scores` of the trajectories decide which are kept: from the lowest to the highest, evenly. Of 3D fields the middle
    of the last axis is kept. Errors larger than the range of the truth are cut there.
    """
    stored, axes = min(len(predictions.truth), len(scores)), len(predictions.coords)
    if not stored:
        return None
    truth = _flat(predictions.truth[:, context - 1 :], axes)
    rows = {name: _flat(row.rollout, axes) for name, row in predictions.rows.items()}
    bits, frames, shape = 16 if axes == 1 else 8, truth.shape[1], truth.shape[3:]
    arrays = (1 + sum(3 if members.shape[1] > 1 else 1 for members in rows.values())) * truth.shape[2] * bits // 8
    thin = thinning(stored, frames, shape, arrays, budget)
    packing = _Packing(np.unique([*range(0, frames, thin.time), frames - 1]), thin.space, bits)
    return {
        "bits": bits,
        "times": predictions.times[context - 1 :][packing.frames].tolist(),
        "steps": packing.frames.tolist(),
        "coords": [axis[:: thin.space].tolist() for axis in predictions.coords[: len(shape)]],
        "axes": predictions.protocol.axes[: len(shape)],
        "members": {name: members.shape[1] for name, members in rows.items()},
        "stored": stored,
        "thinned": {"time": thin.time, "space": thin.space},
        "sliced": axes == 3,
        "trajectories": [
            {
                "index": i,
                "params": predictions.params[i].tolist(),
                "truth": packing.channels(truth[i]),
                "rows": {name: _row(truth[i], members[i], packing) for name, members in rows.items()},
            }
            for i in spread_evenly(scores[:stored], thin.trajectories)
        ],
    }


def _row(truth: np.ndarray, members: np.ndarray, packing: _Packing) -> dict[str, Any]:
    """Errors of the mean and of one member, the spread, and the nRMSE `(C, frames)` of the mean, None where undefined.

    `truth (t + 1, C, *S)` starts at the given frame, which has no error, `members (M, t, C, *S)` one later.
    """
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        parts = {"error": members.mean(axis=0) - truth[1:]}
        if len(members) > 1:
            parts |= {"member": members[0] - truth[1:], "spread": members.std(axis=0, ddof=1)}
        parts = {name: np.concatenate([np.zeros_like(part[:1]), part]) for name, part in parts.items()}
        ratios = _norm(parts["error"]) / _norm(truth)
    limit = float(np.ptp(truth)) or 1.0
    curves = [[float(f"{v:.4g}") if np.isfinite(v) else None for v in curve] for curve in ratios[packing.frames].T]
    return {name: packing.channels(np.clip(part, -limit, limit)) for name, part in parts.items()} | {"nrmse": curves}


def _norm(values: np.ndarray) -> np.ndarray:
    """Root mean square over space: `(t, C, *S) -> (t, C)`."""
    return np.sqrt(np.square(values.astype(np.float64)).reshape(*values.shape[:2], -1).mean(axis=-1))


def _flat(values: np.ndarray, axes: int) -> np.ndarray:
    """Fields on three axes at the middle of the last one; others as they are."""
    return values[..., values.shape[-1] // 2] if axes == 3 else values
