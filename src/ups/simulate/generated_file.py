"""Writing PDEBench's HDF5 layout in one piece: a reader sees the finished file or none."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ups.core.files import replacing

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

    Raises `UserError` for what the operating system refuses.
    """
    with replacing(path, "data file", shared=True) as part, h5py.File(part, "w") as file:
        yield file


def coordinates(length: float, points: int, stride: int, axes: int, times: np.ndarray) -> dict[str, np.ndarray]:
    """The datasets `x-coordinate (X,)`, ..., `t-coordinate (T,)` of a periodic grid on [0, length) per axis."""
    x = length * np.arange(0, points, stride) / points
    return {**{f"{letter}-coordinate": x for letter in AXES[:axes]}, "t-coordinate": times}


def channels_last(values: np.ndarray, channels: Sequence[str]) -> np.ndarray:
    """`(B, T, C, *S)` as PDEBench stores it: `(B, T, *S)` of a single channel, `(B, T, *S, C)` of several."""
    return values[:, :, 0] if len(channels) == 1 else np.moveaxis(values, 2, -1)
