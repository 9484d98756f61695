"""PDEBench's HDF5 layout, one file per set of PDE parameters (Takamoto et al., "PDEBench", arXiv 2210.07182).

A file holds `tensor (n, T, *S)`, or `(n, T, *S, C)` for several channels, or one array `(n, T, *S)` per channel; with
`x-coordinate (S_1,)`, ... and `t-coordinate`, which in the published files has one entry more than there are frames.
A PDE parameter is a dataset `(n,)` of that name, an attribute of the file, or part of the file's name. Files that
`ups data generate` writes also state `channels` and `boundary` as attributes.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ups.core.domain import Boundary, read_boundary
from ups.core.errors import UserError
from ups.core.spacing import as_marks
from ups.core.tasks import TASKS, Task, find_task
from ups.data.axes import Axes
from ups.data.boundary import BoundarySettings, along
from ups.data.settings import SubsampleSettings
from ups.data.storage import StoredArray, array_names, hdf5_attributes, stored_array
from ups.data.thinning import frame_stride
from ups.data.trajectories import StoredTrajectories

VALUES, TIMES = "tensor", "t-coordinate"
SPACE = ("x", "y", "z")
_NUMBER = r"[0-9][0-9.eE+-]*?"
_PARAMETER = re.compile(rf"([A-Za-z]+)({_NUMBER})(?=_|\.[a-z0-9]+$)")


def find_published(root: Path, task: str) -> list[Path]:
    """Return the files of `task` anywhere under `root`, by their published names, in the order of these names.

    Raises UserError for an unknown task, or if one file is there twice (it would be both trained and tested on).
    """
    pattern = _name_pattern(find_task(task).pattern)
    found: dict[str, Path] = {}
    for path in _files_under(root):
        if pattern.fullmatch(path.name):
            if path.name in found:
                raise UserError(f"{found[path.name]} and {path} have the same name; keep one of them under {root}")
            found[path.name] = path
    return [found[name] for name in sorted(found)]


def task_of(path: Path) -> str:
    """Return the task to which a file belongs by its published name, or "" if it has no such name."""
    return next((name for name, task in TASKS.items() if _name_pattern(task.pattern).fullmatch(path.name)), "")


def open_pdebench(
    path: Path,
    task: str = "",
    boundary: BoundarySettings | Sequence[Boundary] | None = None,
    subsample: SubsampleSettings | None = None,
) -> StoredTrajectories:
    """Open a file in PDEBench's layout without reading its values.

    Without `task` it follows from the file's name; `boundary` (one for all axes or one for each) overrides the task's.
    Raises UserError if the file is damaged or laid out otherwise, or if nothing tells its boundary condition.
    """
    subsample = subsample or SubsampleSettings()
    names, attributes = array_names(path), hdf5_attributes(path)
    known = TASKS.get(task or task_of(path))
    space = tuple(letter for letter in SPACE if f"{letter}-coordinate" in names)
    if not space or TIMES not in names:
        raise UserError(
            f"{path}: PDEBench's x-coordinate and {TIMES} expected, found {', '.join(names)}; "
            "a file of another layout needs data.mapping"
        )
    arrays, several = _value_arrays(path, names, len(space))
    letters = ("n", "t", *space, "c") if several else ("n", "t", *space)
    count = arrays[0].shape[-1] if several else len(arrays)
    boundary = boundary or _boundary(path, attributes) or (known.boundary if known else None)
    if boundary is None:
        raise UserError(f"{path}: boundary condition of each axis unknown; set data.boundary or data.task")
    times = _times(path, arrays[0].shape[1])
    axes = Axes(
        coords=tuple(as_marks(stored_array(path, f"{letter}-coordinate").all()) for letter in space),
        times=times,
        boundary=along(boundary, space, path),
        space=subsample.space,
        time=frame_stride(subsample, times, path),
    )
    params = file_params(path, arrays[0].shape[0], tuple(known.params) if known else ())
    return StoredTrajectories(path, arrays, letters, axes, _channels(arrays, count, attributes, known), params)


def file_params(path: Path, n: int, expected: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the PDE parameters of a file, name to `(n,)`: those of the `expected` that it holds.

    A dataset, `params/<name>` or `<name>`, goes before an attribute, an attribute before the name. Raises UserError if
    attribute and name differ.
    """
    datasets, attributes, spelled = array_names(path), hdf5_attributes(path), _spelled(path)
    params: dict[str, np.ndarray] = {}
    for name in expected:
        if drawn := {name, f"params/{name}"}.intersection(datasets):
            values = stored_array(path, drawn.pop()).all().astype(np.float64)
            params[name] = np.broadcast_to(values.reshape(-1), (n,)) if values.size in (1, n) else values
        elif isinstance(stored := attributes.get(name), int | float | np.number):
            if name in spelled and not np.isclose(float(stored), spelled[name], rtol=1e-5, atol=0.0):
                raise UserError(
                    f"{path}: the name says {name} = {spelled[name]}, its attribute {float(stored)}; repair one"
                )
            params[name] = np.full(n, float(stored))
        elif name in spelled:
            params[name] = np.full(n, spelled[name])
    return params


def _value_arrays(path: Path, names: Sequence[str], axes: int) -> tuple[tuple[StoredArray, ...], bool]:
    """Return the arrays of values, and whether they have an axis of channels at their end."""
    if VALUES in names:
        values = stored_array(path, VALUES)
        if values.ndim not in (axes + 2, axes + 3):
            raise UserError(
                f"{path}: {VALUES} of rank {axes + 2} (n, T, *S) or {axes + 3} (n, T, *S, C) expected, "
                f"found shape {values.shape}"
            )
        return (values,), values.ndim == axes + 3
    arrays = [stored_array(path, name) for name in names if not name.endswith("-coordinate")]
    arrays = [array for array in arrays if array.ndim == axes + 2]
    if not arrays:
        raise UserError(f"{path}: no {VALUES!r} and no arrays (n, T, *S), found {', '.join(names)}; use data.mapping")
    return tuple(arrays), False


def _channels(
    arrays: Sequence[StoredArray], count: int, attributes: Mapping[str, Any], known: Task | None
) -> tuple[str, ...]:
    """Return the keys of several arrays; the channels of one are named by the file, else by the task, else numbered."""
    if len(arrays) > 1 or arrays[0].key != VALUES:
        return tuple(array.key for array in arrays)
    for names in (tuple(map(str, attributes.get("channels", ()))), known.channels if known else ()):
        if len(names) == count:
            return names
    return ("u",) if count == 1 else tuple(f"u{i}" for i in range(count))


def _boundary(path: Path, attributes: Mapping[str, Any]) -> tuple[Boundary, ...] | None:
    """Return the boundary conditions that the file itself states, as generated files do."""
    if "boundary" not in attributes:
        return None
    stated = tuple(map(str, attributes["boundary"]))
    try:
        return tuple(read_boundary(word) for word in stated)
    except ValueError as error:
        raise UserError(f"{path}: attribute boundary: {error}") from error


def _times(path: Path, frames: int) -> np.ndarray:
    """Return the times of the frames; the published files name the end of the last step too."""
    times = as_marks(stored_array(path, TIMES).all())
    if len(times) not in (frames, frames + 1):
        raise UserError(f"{path}: {TIMES} of {frames} or {frames + 1} entries expected, found {len(times)}")
    return times[:frames]


def _name_pattern(published: str) -> re.Pattern[str]:
    """Turn `1D_Burgers_Sols_Nu{Nu}.hdf5` into a pattern that also takes further parameters, `..._k2.0.hdf5`."""
    stem, suffix = published.rsplit(".", 1)
    fixed = [re.escape(part) for part in re.split(r"\{\w+\}", stem)]
    return re.compile(_NUMBER.join(fixed) + rf"(?:_[A-Za-z]+{_NUMBER})*\.{suffix}")


def _spelled(path: Path) -> dict[str, float]:
    """Return the parameters in a file's name; a range such as `Nu0.01-0.1` varies and is left to the datasets."""
    numbers: dict[str, float] = {}
    for name, value in _PARAMETER.findall(path.name):
        try:
            numbers[name] = float(value)
        except ValueError:
            continue
    return numbers


def _files_under(root: Path) -> Iterator[Path]:
    """Walk a folder, following links to folders, each folder once."""
    seen: set[str] = set()
    for folder, below, files in os.walk(root, followlinks=True):
        if (real := os.path.realpath(folder)) in seen:
            below.clear()
            continue
        seen.add(real)
        yield from (Path(folder, name) for name in sorted(files))
