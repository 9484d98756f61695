"""What stands still in a file: channels, trajectories, frames and tails that are zero or repeat themselves.

A field that is zero has no relative error, and a simulation that has stopped teaches a model to stop. Nothing is said
of a static field, constant in time in every trajectory, nor of a solution that comes to rest by and by. Trajectories
that all start from rest, as waves do whose velocity is zero at first, are worth no more than a note.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Level = Literal["error", "warning", "note"]
"""`error`: training on the data is refused or misleading; `warning`: it may be meant; `note`: nothing is wrong."""

ZERO = 1e-6
"""Largest value of a field that counts as zero, relative to the largest of its channel."""
ABRUPT = 1e-3
"""Least last change of a solution that has stopped, relative to its largest: one that comes to rest changes less."""
RANGES = 8
"""Ranges of frames that a sentence spells out."""


class Course:
    """Range and change of each channel in each frame of one trajectory, gathered block by block."""

    def __init__(self) -> None:
        self._parts: list[np.ndarray] = []
        self._last: np.ndarray | None = None

    def add(self, values: np.ndarray) -> None:
        """Take the next frames `(t, C, *S)`."""
        space = tuple(range(2, values.ndim))
        before = values[:1] if self._last is None else self._last
        change = np.abs(np.diff(values, axis=0, prepend=before)).max(axis=space)
        self._parts.append(np.stack((values.min(axis=space), values.max(axis=space), change)))
        self._last = values[-1:].copy()

    def end(self, row: int) -> "Behaviour":
        """What the trajectory `row` of the file does."""
        low, high, change = np.concatenate(self._parts, axis=1)
        size = np.maximum(np.abs(low), np.abs(high))
        zero = size <= ZERO * size.max(axis=0)
        tails = [_stop(moves) for moves in change.T]
        return Behaviour(
            row,
            low.min(axis=0),
            high.max(axis=0),
            ~change.any(axis=0),
            tuple(np.flatnonzero(frames) for frames in zero.T),
            tuple(np.arange(len(size) if zero[-1, c] else start, len(size)) for c, start in enumerate(tails)),
            len(size),
        )


@dataclass(frozen=True)
class Behaviour:
    """What one trajectory of C channels and T frames does."""

    row: int
    """Trajectory in the file, from 0."""
    low: np.ndarray
    """Least value `(C,)`."""
    high: np.ndarray
    """Largest value `(C,)`."""
    static: np.ndarray
    """Whether each channel `(C,)` never changes."""
    zero: tuple[np.ndarray, ...]
    """Frames that are zero, for each channel."""
    tail: tuple[np.ndarray, ...]
    """Last frames that repeat the one before them, for each channel."""
    frames: int
    """Number of frames T."""


def remarks(trajectories: Sequence[Behaviour], channels: Sequence[str]) -> Iterator[tuple[Level, int | None, str]]:
    """Yield (level; trajectory, or None for the whole file; what stands still) for what is worth a look."""
    if not trajectories:
        return
    low, high = np.min([t.low for t in trajectories], axis=0), np.max([t.high for t in trajectories], axis=0)
    size, static = np.maximum(np.abs(low), np.abs(high)), np.all([t.static for t in trajectories], axis=0)
    for c in np.flatnonzero(low == high).tolist():
        yield "warning", None, f"{channels[c]} is {'zero' if low[c] == 0 else f'{low[c]:g}'} everywhere"
    if static.all() and (low < high).any():
        yield "warning", None, "nothing changes in time, in any trajectory"
    moving = np.flatnonzero(~static).tolist()
    told: dict[str, dict[int, list[int]]] = {}
    for trajectory in trajectories:
        for c in moving:
            for text in _said(trajectory, c, float(ZERO * size[c])):
                told.setdefault(text, {}).setdefault(trajectory.row, []).append(c)
    for text, rows in told.items():
        shared = list(rows.values())
        common = len(rows) == len(trajectories) and shared.count(shared[0]) == len(shared)
        rest = common and len(shared[0]) < len(moving)
        rest = rest and all(_starts_at_rest(t, c) for t in trajectories for c in shared[0])
        level: Level = "note" if rest else "warning"
        after = ", a start from rest" if rest else ""
        if common and len(rows) > 1:
            yield level, None, f"{_named(shared[0], moving, channels)}{text}, in all {len(rows)} trajectories{after}"
        else:
            for row, which in rows.items():
                yield level, row, f"{_named(which, moving, channels)}{text}{after}"


def _said(trajectory: Behaviour, c: int, tiny: float) -> Iterator[str]:
    """What there is to say of a channel of a trajectory, where values up to `tiny` are zero."""
    if max(-trajectory.low[c], trajectory.high[c]) <= tiny:
        yield f"zero in all {trajectory.frames} frames"
    elif trajectory.static[c]:
        yield "never changes"
    else:
        if len(zero := trajectory.zero[c]):
            yield f"zero in {_spelled(zero)}"
        if len(tail := trajectory.tail[c]):
            yield f"{_spelled(tail)} repeat{'s' if len(tail) == 1 else ''} frame {tail[0] - 1}"


def _starts_at_rest(trajectory: Behaviour, c: int) -> bool:
    """Whether a channel is zero at first, then for no two frames on end, and moves to the end."""
    zero = trajectory.zero[c]
    return bool(len(zero) and zero[0] == 0 and (np.diff(zero) > 1).all() and not len(trajectory.tail[c]))


def _stop(change: np.ndarray) -> int:
    """The first frame from which on nothing changes any more, of changes `(T,)` from the frame before; T if something
    does to the end, or if it comes to rest by and by."""
    moving = np.flatnonzero(change)
    if not len(moving) or change[moving[-1]] < ABRUPT * change.max():
        return len(change)
    return int(moving[-1]) + 1


def _named(which: Sequence[int], moving: Sequence[int], channels: Sequence[str]) -> str:
    return (
        ""
        if list(which) == list(moving) == list(range(len(channels)))
        else f"{', '.join(channels[c] for c in which)}: "
    )


def _spelled(frames: np.ndarray) -> str:
    """`frame 3`, or `frames 0, 4 to 9`."""
    runs = np.split(frames, np.flatnonzero(np.diff(frames) > 1) + 1)
    spelled = [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs[:RANGES]]
    more = [f"and {sum(map(len, runs[RANGES:]))} more"] if len(runs) > RANGES else []
    return f"frame{'s' if len(frames) > 1 else ''} {', '.join(spelled + more)}"
