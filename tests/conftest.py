"""Fixtures of several folders: small files in the layouts that others use, a toy process, and no tracker but ours."""

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.toy_process import POINTS, ToySplit
from ups.core.system import System

for _name in ("WANDB_MODE", "WANDB_CONTEXT_FILE"):  # of the shell that the tests were started from
    os.environ.pop(_name, None)

WriteFile = Callable[..., Path]
ReadArray = Callable[..., np.ndarray]
ReplaceArray = Callable[[Path, str, np.ndarray], None]


@pytest.fixture(scope="session")
def split() -> ToySplit:
    return ToySplit(60)


@pytest.fixture(scope="session")
def system() -> System:
    return System(("u",), (POINTS,), (tuple(i / POINTS for i in range(POINTS)),), ("periodic",), (), 0.5, "toy")


def travelling_waves(n: int, frames: int, points: int, dt: float = 0.1, seed: int = 0) -> np.ndarray:
    """Periodic waves `(n, T, X)` on [0, 1), all different."""
    random = np.random.default_rng(seed)
    phase, speed, height = random.random((3, n, 1, 1))
    t, x = np.arange(frames)[:, None] * dt, np.arange(points) / points
    return ((0.5 + height) * np.sin(2 * np.pi * (x - speed * t + phase)) + 0.3).astype(np.float32)


@pytest.fixture
def contents() -> ReadArray:
    """Read a dataset of an HDF5 file whole, with nothing but h5py."""

    def read(path: Path, key: str = "tensor") -> np.ndarray:
        with h5py.File(path, "r") as file:
            return np.asarray(dataset(file, key))

    return read


@pytest.fixture
def replace_array() -> ReplaceArray:
    """Put another array in the place of a dataset of an HDF5 file."""

    def replace(path: Path, key: str, values: np.ndarray) -> None:
        with h5py.File(path, "a") as file:
            if key in file:
                del file[key]
            file[key] = values

    return replace


def dataset(file: h5py.File, key: str) -> h5py.Dataset:
    found = file[key]
    assert isinstance(found, h5py.Dataset)
    return found


@pytest.fixture
def write_pdebench(tmp_path: Path) -> WriteFile:
    """Write a file in PDEBench's layout: cell centres, and one time more than there are frames."""

    def write(name: str = "1D_Burgers_Sols_Nu0.01.hdf5", values: np.ndarray | None = None, **attributes: float) -> Path:
        values = travelling_waves(10, 11, 16) if values is None else values
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        frames, points = values.shape[1:3]
        with h5py.File(path, "w") as file:
            file["tensor"] = values
            file["x-coordinate"] = ((np.arange(points) + 0.5) / points).astype(np.float32)
            file["t-coordinate"] = (np.arange(frames + 1) * 0.1).astype(np.float32)
            file.attrs.update(attributes)
        return path

    return write
