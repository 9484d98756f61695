"""Writing PDEBench's HDF5 layout in one piece: a reader sees the finished file or none."""

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ups.core.errors import UserError

AXES = "xyz"


def write_hdf5(
    path: Path,
    name: str,
    shape: tuple[int, ...],
    blocks: Iterable[tuple[Any, np.ndarray]],
    axes: Mapping[str, np.ndarray],
    params: Mapping[str, np.ndarray],
    attributes: Mapping[str, Any],
) -> Path:
    """Write the dataset `name` of `shape`, float32 and contiguous, from `blocks` of (index, values).

    `axes` are the coordinate datasets, `params` the values `(n,)` in the group `params`. Raises `UserError` if the
    folder cannot be written or the disk is full; an older file then stays as it was.
    """
    with atomic_hdf5(path) as file:
        dataset = file.create_dataset(name, shape, dtype=np.float32)
        for key, values in axes.items():
            file[key] = values.astype(np.float32)
        for key, values in params.items():
            file[f"params/{key}"] = values.astype(np.float64)
        file.attrs.update(attributes)
        for index, values in blocks:
            dataset[index] = values
    return path


@contextmanager
def atomic_hdf5(path: Path) -> Iterator[h5py.File]:
    """A new HDF5 file that takes the place of `path` when the block ends without an error.

    It is written beside `path`, synced and renamed. Raises `UserError` for what the operating system refuses.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        with h5py.File(temporary, "w") as file:
            yield file
        _sync(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise UserError(f"expected to write {path}, found: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def coordinates(length: float, points: int, stride: int, axes: int, times: np.ndarray) -> dict[str, np.ndarray]:
    """The datasets `x-coordinate (X,)`, ..., `t-coordinate (T,)` of a periodic grid on [0, length) per axis."""
    x = length * np.arange(0, points, stride) / points
    return {**{f"{letter}-coordinate": x for letter in AXES[:axes]}, "t-coordinate": times}


def channels_last(values: np.ndarray, channels: Sequence[str]) -> np.ndarray:
    """`(B, T, C, *S)` as PDEBench stores it: `(B, T, *S)` of a single channel, `(B, T, *S, C)` of several."""
    return values[:, :, 0] if len(channels) == 1 else np.moveaxis(values, 2, -1)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
