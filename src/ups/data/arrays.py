"""Files of the user's own, `.npz`, `.npy`, `.h5`, `.hdf5` or `.pt`, read through a mapping of their keys and axes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ups.core.errors import UserError
from ups.core.spacing import as_marks
from ups.core.system import Boundary
from ups.data.axes import Axes
from ups.data.boundary import BoundarySettings, along
from ups.data.settings import MappingSettings, SubsampleSettings
from ups.data.storage import StoredArray, stored_array
from ups.data.thinning import frame_stride
from ups.data.trajectories import StoredTrajectories


def open_mapped(
    path: Path,
    mapping: MappingSettings,
    boundary: BoundarySettings | Sequence[Boundary] | None,
    subsample: SubsampleSettings | None = None,
    single: bool = False,
) -> StoredTrajectories:
    """Open a file through `mapping` without reading its values (`.npz`: they are read whole, once).

    `boundary` is one for all axes or one for each; `single` lets one frame do, to start from. Raises UserError if the
    file is damaged or does not fit the mapping.
    """
    if boundary is None:
        raise UserError(f"{path}: boundary condition of each axis unknown; set data.boundary")
    subsample = subsample or SubsampleSettings()
    arrays = _value_arrays(path, mapping)
    sizes = dict(zip(mapping.letters, arrays[0].shape, strict=True))
    times = _times(path, mapping, sizes["t"])
    conditions = along(boundary, mapping.space, path)
    axes = Axes(
        coords=_coords(path, mapping, [sizes[letter] for letter in mapping.space], conditions),
        times=times,
        boundary=conditions,
        space=subsample.space,
        time=frame_stride(subsample, times, path),
        single=single,
    )
    n = sizes.get("n", 1)
    params = {name: _param(path, name, value, n) for name, value in mapping.params.items()}
    return StoredTrajectories(path, arrays, mapping.letters, axes, _channels(mapping, arrays), params)


def _value_arrays(path: Path, mapping: MappingSettings) -> tuple[StoredArray, ...]:
    arrays = tuple(stored_array(path, "" if path.suffix == ".npy" else key) for key in mapping.values)
    for array in arrays:
        if array.ndim != len(mapping.letters):
            raise UserError(
                f"{path}: {array.key or 'the array'} has shape {array.shape}, but data.mapping.axes names "
                f"{len(mapping.letters)} axes, {mapping.axes!r}"
            )
    return arrays


def _channels(mapping: MappingSettings, arrays: Sequence[StoredArray]) -> tuple[str, ...]:
    """Return the names given, else the keys of the arrays, numbered where an array holds several channels."""
    if mapping.channels:
        return mapping.channels
    names: list[str] = []
    for key, array in zip(mapping.values, arrays, strict=True):
        count = array.shape[mapping.letters.index("c")] if "c" in mapping.letters else 1
        names += [key] if count == 1 else [f"{key}{i}" for i in range(count)]
    return tuple(names)


def _coords(
    path: Path, mapping: MappingSettings, sizes: Sequence[int], boundary: tuple[Boundary, ...]
) -> tuple[np.ndarray, ...]:
    if mapping.coords is not None:
        return tuple(_axis(path, entry) for entry in mapping.coords)
    assert mapping.length is not None  # the settings ask for one of both
    lengths = mapping.length * (len(sizes) if len(mapping.length) == 1 else 1)
    intervals = [n if axis == "periodic" else max(n - 1, 1) for n, axis in zip(sizes, boundary, strict=True)]
    return tuple(np.arange(n) * (length / m) for n, length, m in zip(sizes, lengths, intervals, strict=True))


def _times(path: Path, mapping: MappingSettings, frames: int) -> np.ndarray:
    if mapping.times is not None:
        return _axis(path, mapping.times)
    assert mapping.dt is not None  # the settings ask for one of both
    return np.arange(frames) * mapping.dt


def _axis(path: Path, entry: str | tuple[float, ...]) -> np.ndarray:
    """Return the times or coordinates under a key, or those given; one for each trajectory are one if all are equal."""
    values = np.atleast_1d(stored_array(path, entry).all() if isinstance(entry, str) else np.asarray(entry, np.float64))
    rows = values.reshape(-1, values.shape[-1])
    flat = values.size == max(values.shape)
    return as_marks(rows[0] if not flat and (rows == rows[0]).all() else values.reshape(-1) if flat else values)


def _param(path: Path, name: str, value: str | float, n: int) -> np.ndarray:
    numbers = np.asarray(stored_array(path, value).all() if isinstance(value, str) else value, np.float64).reshape(-1)
    if numbers.size not in (1, n):
        raise UserError(f"{path}: parameter {name} needs 1 or {n} values, found {numbers.size} under {value!r}")
    return np.broadcast_to(numbers, (n,))
