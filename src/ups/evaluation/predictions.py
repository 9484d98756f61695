"""`predictions.h5`: forecasts written once and scored any number of times.

Layout, all float32 in physical units, one trajectory per chunk:

    truth (n, T, C, *S)   params (n, P)   times (T,)   coords/<axis> (S_i,)   attribute `protocol` (JSON)
    rows/<nn>  attribute `model`   rollout (n, M, T - context, C, *S)   one_step (n, M, T - 1, C, *S)
"""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from ups.core.errors import UserError
from ups.core.files import replacing


class PredictionWriter:
    """Context manager that fills the file batch by batch under a temporary name and renames it when all is written."""

    def __init__(self, path: Path, trajectories: int, protocol: dict[str, Any]) -> None:
        """Keep the first `trajectories` of everything that is written; `protocol` says how it came about."""
        self.path, self.trajectories = path, trajectories
        self._stack = ExitStack()
        self._file = h5py.File(self._stack.enter_context(replacing(path, "predictions")), "w")
        self._stack.callback(self._file.close)
        self._file.attrs["protocol"] = json.dumps(protocol)
        self._models: list[str] = []

    def axes(self, coords: Sequence[Sequence[float]], times: np.ndarray) -> None:
        """Write the coordinates of every axis and the times `(T,)` of the frames."""
        for axis, values in enumerate(coords):
            self._file[f"coords/{axis}"] = np.asarray(values, dtype=np.float64)
        self._file["times"] = np.asarray(times, dtype=np.float64)

    def truth(self, first: int, values: np.ndarray, params: np.ndarray) -> None:
        """Write trajectories from `first` on, `(b, T, C, *S)`, and their parameters `(b, P)`."""
        self._write("truth", first, values)
        self._write("params", first, params)

    def forecast(self, model: str, kind: str, first: int, values: np.ndarray) -> None:
        """Write forecasts `(b, M, t, C, *S)` of trajectories from `first` on; kind is `rollout` or `one_step`."""
        if model not in self._models:
            self._models.append(model)
            self._file.create_group(f"rows/{len(self._models) - 1:02d}").attrs["model"] = model
        self._write(f"rows/{self._models.index(model):02d}/{kind}", first, values)

    def _write(self, name: str, first: int, values: np.ndarray) -> None:
        values = values[: max(self.trajectories - first, 0)]
        if name not in self._file:
            shape = (self.trajectories, *values.shape[1:])
            chunks = (1, *shape[1:]) if all(shape) else None
            self._file.create_dataset(name, shape, dtype=np.float32, chunks=chunks)
        if len(values):
            dataset = self._file[name]
            assert isinstance(dataset, h5py.Dataset)
            dataset[first : first + len(values)] = values

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: Any) -> None:
        self._stack.__exit__(*raised)


@dataclass(frozen=True)
class StoredForecast:
    """Forecasts of one model."""

    rollout: np.ndarray
    """`(n, M, T - context, C, *S)` free rollout, physical units."""
    one_step: np.ndarray
    """`(n, M, T - 1, C, *S)` every frame from the true frame before it, physical units."""


@dataclass(frozen=True)
class Predictions:
    """Contents of `predictions.h5`."""

    truth: np.ndarray
    """`(n, T, C, *S)`"""
    params: np.ndarray
    """`(n, P)`"""
    times: np.ndarray
    """`(T,)`"""
    coords: tuple[np.ndarray, ...]
    """Per axis `(S_i,)`"""
    protocol: dict[str, Any]
    rows: dict[str, StoredForecast]
    """Model to its forecasts, in the order of the ledger."""


def read_predictions(path: Path, which: slice = slice(None)) -> Predictions:
    """Read the trajectories `which` of a file that `PredictionWriter` wrote. Raises UserError if there is none."""
    if not path.is_file():
        raise UserError(f"stored forecasts expected at {path}, found no file: run the evaluation first")
    with h5py.File(path, "r") as file:
        rows = {
            str(_group(file, f"rows/{key}").attrs["model"]): StoredForecast(
                _array(file, f"rows/{key}/rollout", which), _array(file, f"rows/{key}/one_step", which)
            )
            for key in sorted(_group(file, "rows"))
        }
        coords = tuple(_array(file, f"coords/{axis}", slice(None)) for axis in range(len(_group(file, "coords"))))
        protocol = json.loads(str(file.attrs["protocol"]))
        truth, params = _array(file, "truth", which), _array(file, "params", which)
        return Predictions(truth, params, _array(file, "times", slice(None)), coords, protocol, rows)


def _group(file: h5py.File, name: str) -> h5py.Group:
    group = file[name]
    assert isinstance(group, h5py.Group)
    return group


def _array(file: h5py.File, name: str, which: slice) -> np.ndarray:
    dataset = file[name]
    assert isinstance(dataset, h5py.Dataset)
    return dataset[which]
