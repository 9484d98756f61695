"""What is in a data file, and what is wrong with it: plain records for `ups data info` and `ups data check`."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ups.core.spacing import is_even, mean_step
from ups.core.system import Boundary
from ups.data.arrays import open_mapped
from ups.data.boundary import BoundarySettings
from ups.data.hashes import content_hash
from ups.data.pdebench import TIMES, open_pdebench, task_of
from ups.data.settings import MappingSettings
from ups.data.still import Behaviour, Course, Level, remarks
from ups.data.storage import HDF5_SUFFIXES, array_names, files_closed, stored_array
from ups.data.trajectories import Trajectories, blocks


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, looks wrong or is worth a note in a file."""

    level: Level
    file: str
    message: str
    trajectory: int | None = None
    """Trajectory in the file, from 0."""
    frame: int | None = None
    """Frame of that trajectory, from 0."""

    def __str__(self) -> str:
        place = [f"{name} {i}" for name, i in (("trajectory", self.trajectory), ("frame", self.frame)) if i is not None]
        return f"{self.level}: {self.file}: {' '.join((*place, self.message))}"


def describe_file(
    path: Path, mapping: MappingSettings | None = None, boundary: BoundarySettings | Sequence[Boundary] | None = None
) -> dict[str, Any]:
    """Describe a file in plain numbers, strings and lists; the whole file is read, piece by piece.

    A file in PDEBench's layout or with a `mapping`: sizes, axes, parameters, and per channel the range, mean, standard
    deviation and number of NaN or Inf values. Any other: the shape and type of its arrays. Raises UserError if the file
    is damaged or does not fit the mapping.
    """
    with files_closed():
        record: dict[str, Any] = {"file": str(path), "arrays": _arrays(path), "bytes": path.stat().st_size}
        if mapping is None and not _is_pdebench(path):
            return record
        source = _open(path, mapping, boundary)
        return record | {
            "task": task_of(path),
            "trajectories": source.n,
            "frames": source.frames,
            "shape": list(source.shape),
            "channels": list(source.channels),
            "boundary": list(source.boundary) if boundary or task_of(path) else None,
            "times": {"first": float(source.times[0]), "last": float(source.times[-1]), "dt": mean_step(source.times)},
            "coords": [{"first": float(axis[0]), "last": float(axis[-1])} for axis in source.coords],
            "params": {name: [float(v.min()), float(v.max())] for name, v in source.params.items()},
            "values": _ranges(source),
            "hash": content_hash(source),
        }


def check_files(
    paths: Sequence[Path],
    mapping: MappingSettings | None = None,
    boundary: BoundarySettings | Sequence[Boundary] | None = None,
) -> list[Finding]:
    """Return what is wrong in files, read piece by piece: NaN or Inf, copies, what stands still, uneven axes.

    Equal trajectories, in one file or in two, can end up on both sides of a split. Raises UserError if a file is
    damaged.
    """
    seen: dict[str, tuple[str, int]] = {}
    findings: list[Finding] = []
    with files_closed():
        for path in paths:
            source = _open(path, mapping, boundary)
            findings += _check_axes(source)
            findings += sorted(_check_values(source, seen), key=lambda f: -1 if f.trajectory is None else f.trajectory)
    return findings


def _open(
    path: Path, mapping: MappingSettings | None, boundary: BoundarySettings | Sequence[Boundary] | None
) -> Trajectories:
    """Open a file; where nothing tells its boundary it is read as periodic, which no value depends on."""
    if mapping is not None:
        return open_mapped(path, mapping, boundary or ("periodic",))
    return open_pdebench(path, boundary=boundary or (None if task_of(path) else ("periodic",)))


def _is_pdebench(path: Path) -> bool:
    return path.suffix in HDF5_SUFFIXES and TIMES in array_names(path)


def _arrays(path: Path) -> dict[str, dict[str, Any]]:
    """Return shape and type of every array that holds numbers."""
    found = {}
    for name in array_names(path):
        array = stored_array(path, name)
        found[name] = {"shape": list(array.shape), "dtype": array.dtype}
    return found


def _ranges(source: Trajectories) -> dict[str, dict[str, float]]:
    """Return range, mean and standard deviation of the finite values of each channel, and the count of all others."""
    size = len(source.channels)
    low, high = np.full(size, np.inf), np.full(size, -np.inf)
    count, total, squares, bad = (np.zeros(size) for _ in range(4))
    for _, _, values in blocks(source, np.arange(source.n)):
        channels = np.moveaxis(values, 2, 0).reshape(size, -1).astype(np.float64)
        finite = np.isfinite(channels)
        low = np.minimum(low, np.where(finite, channels, np.inf).min(axis=1))
        high = np.maximum(high, np.where(finite, channels, -np.inf).max(axis=1))
        channels[~finite] = 0.0
        count, bad = count + finite.sum(axis=1), bad + (~finite).sum(axis=1)
        total, squares = total + channels.sum(axis=1), squares + np.square(channels).sum(axis=1)
    mean = total / np.maximum(count, 1)
    std = np.sqrt(np.maximum(squares / np.maximum(count, 1) - mean**2, 0.0))
    names = ("min", "max", "mean", "std")
    return {
        channel: {name: float(v[i]) for name, v in zip(names, (low, high, mean, std), strict=True)}
        | {"nan": int(bad[i])}
        for i, channel in enumerate(source.channels)
    }


def _check_axes(source: Trajectories) -> list[Finding]:
    file, findings = str(source.path), list[Finding]()
    for what, values in (
        ("times", source.times),
        *((f"spatial axis {i}", axis) for i, axis in enumerate(source.coords)),
    ):
        if not is_even(values):
            steps = np.diff(values.astype(np.float64))
            findings.append(Finding("error", file, f"{what}: uneven steps from {steps.min():g} to {steps.max():g}"))
    return findings


def _check_values(source: Trajectories, seen: dict[str, tuple[str, int]]) -> list[Finding]:
    """Check one trajectory after another and what they have in common, and remember their hashes in `seen`."""
    findings, courses = list[Finding](), list[Behaviour]()
    for row in range(source.n):
        found, course = _check_trajectory(source, row, seen)
        findings += found
        courses += [course] if course else []
    still = (Finding(level, str(source.path), text, row) for level, row, text in remarks(courses, source.channels))
    return [*still, *findings]


def _check_trajectory(
    source: Trajectories, row: int, seen: dict[str, tuple[str, int]]
) -> tuple[list[Finding], Behaviour | None]:
    """Check one trajectory, frame block by frame block; also returns what it does, unless it is broken."""
    file, digest = str(source.path), hashlib.sha256()
    gathered, closes = Course(), [True] * len(source.shape)
    for _, start, values in blocks(source, np.array([row])):
        if not np.isfinite(values).all():
            frame = start + int(np.argwhere(~np.isfinite(values))[0][1])
            return [Finding("error", file, "holds NaN or Inf", row, frame)], None
        gathered.add(values[0])
        closes = [closed and _repeats(values, axis) for axis, closed in enumerate(closes)]
        digest.update(values.data)
    course, findings = gathered.end(row), list[Finding]()
    for axis, closed in enumerate(closes):
        if closed and not course.static.all() and source.boundary[axis] == "periodic":
            text = f"last point of periodic axis {axis} repeats the first: leave one out, or the period is too long"
            findings.append(Finding("warning", file, text, row))
    origin = seen.setdefault(digest.hexdigest(), (file, row))
    if origin != (file, row):
        findings.append(Finding("error", file, f"equals trajectory {origin[1]} of {origin[0]}", row))
    return findings, course


def _repeats(values: np.ndarray, axis: int) -> bool:
    """Whether the last grid points along a spatial axis of `(b, t, C, *S)` equal the first."""
    return bool(np.array_equal(values.take(0, axis=3 + axis), values.take(-1, axis=3 + axis)))
