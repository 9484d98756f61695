"""`predictions.h5`: forecasts written once and scored any number of times.

Layout, all float32 in physical units, one trajectory per chunk:

    truth (n, T, C, *S)   params (n, P)   times (T,)   coords/<axis> (S_i,)   attribute `protocol` (JSON)
    rows/<nn>  attribute `model`   rollout (n, M, T - context, C, *S)   one_step (n, M, T - 1, C, *S)

Attributes of the file name `run`, `channels`, `axes`, `param_names`, `data_hash`, `seed` and `dt`, and every array
names its axes; the name of a model says which sampler it draws from and with how many evaluations.
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
from ups.core.record import parse_json, record_of
from ups.evaluation.scores import AGAIN, ScoringProtocol

MEMBERS = ("trajectory", "member", "time", "channel")
LABELS = {
    "truth": ("trajectory", "time", "channel"),
    "params": ("trajectory", "parameter"),
    "rollout": MEMBERS,
    "one_step": MEMBERS,
}
"""Names of the axes of each array before those of space."""


class PredictionWriter:
    """Context manager that fills the file batch by batch under a temporary name and renames it when all is written."""

    def __init__(self, path: Path, trajectories: int, protocol: dict[str, Any]) -> None:
        """Keep the first `trajectories` of everything that is written; `protocol` says how it came about."""
        self.path, self.trajectories = path, trajectories
        self._stack = ExitStack()
        self._file = h5py.File(self._stack.enter_context(replacing(path, "predictions")), "w")
        self._stack.callback(self._file.close)
        self._file.attrs["protocol"] = json.dumps(protocol)
        self._axes = [str(name) for name in protocol.get("axes", "xyz")]
        names = {"channels": "channels", "axes": "axes", "param_names": "params"}
        for name, key in names.items():
            self._file.attrs[name] = np.array(protocol.get(key, []), h5py.string_dtype())
        known = {key: protocol[key] for key in ("data_hash", "seed", "dt") if protocol.get(key) is not None}
        self._file.attrs.update({"run": str(path.parent), **known})
        self._models: list[str] = []

    def axes(self, coords: Sequence[Sequence[float]], times: np.ndarray) -> None:
        """Write the coordinates of every axis and the times `(T,)` of the frames."""
        for name, values in zip(self._axes, coords, strict=False):
            self._file[f"coords/{name}"] = np.asarray(values, dtype=np.float64)
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
            created = self._file.create_dataset(name, shape, dtype=np.float32, chunks=chunks)
            labels = LABELS[name.rsplit("/", 1)[-1]] + tuple(self._axes)
            for dim, label in zip(created.dims, labels, strict=False):
                dim.label = label
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
    protocol: ScoringProtocol
    rows: dict[str, StoredForecast]
    """Model to its forecasts, in the order of the ledger."""


def read_predictions(path: Path, which: slice = slice(None)) -> Predictions:
    """Read the trajectories `which` of a file that `PredictionWriter` wrote.

    Raises:
        UserError: There is none, or something in it is missing, of the wrong type or shape, or not stored whole.
    """
    if not path.is_file():
        raise UserError(f"stored forecasts expected at {path}, found no file: run the evaluation first")
    try:
        with h5py.File(path, "r") as file:
            return _Reader(path, file).read(which)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}); {AGAIN}") from error


@dataclass(frozen=True)
class _Reader:
    """An open file, everything in it checked against its own protocol before it is read."""

    path: Path
    file: h5py.File

    def read(self, which: slice) -> Predictions:
        text = self.file.attrs.get("protocol")
        if not isinstance(text, str):
            raise self.wrong("the attribute protocol", "text", text)
        content = parse_json(text, f"{self.path}: protocol", AGAIN)
        protocol = record_of(ScoringProtocol, content, f"{self.path}: protocol", AGAIN)
        fields, frames = (len(protocol.channels), *protocol.shape), protocol.frames
        truth = self.array("truth", (None, frames, *fields))
        n = truth.shape[0]
        rows = {}
        for key in sorted(self.group("rows")):
            model = self.group(f"rows/{key}").attrs.get("model")
            if not isinstance(model, str):
                raise self.wrong(f"the attribute model of rows/{key}", "text", model)
            rollout = self.array(f"rows/{key}/rollout", (n, None, frames - protocol.context, *fields))
            one_step = self.array(f"rows/{key}/one_step", (n, None, frames - 1, *fields))
            rows[model] = StoredForecast(rollout[which], one_step[which])
        sizes = zip(protocol.axes, protocol.shape, strict=False)
        coords = tuple(self.array(f"coords/{name}", (size,))[:] for name, size in sizes)
        params, times = self.array("params", (n, None)), self.array("times", (frames,))
        return Predictions(truth[which], params[which], times[:], coords, protocol, rows)

    def group(self, name: str) -> h5py.Group:
        found = self.file.get(name)
        if not isinstance(found, h5py.Group):
            raise self.wrong(name, "a group", found)
        return found

    def array(self, name: str, shape: tuple[int | None, ...]) -> h5py.Dataset:
        """A dataset of real numbers of a shape, None for any length, all of which is in the file."""
        found = self.file.get(name)
        if not isinstance(found, h5py.Dataset) or found.dtype.kind != "f" or found.shape is None:
            raise self.wrong(name, "an array of real numbers", found)
        if len(found.shape) != len(shape) or any(w not in (None, s) for w, s in zip(shape, found.shape, strict=True)):
            wanted = ", ".join("any" if size is None else str(size) for size in shape)
            raise UserError(f"{self.path}: {name} has the shape {found.shape}, expected ({wanted}); {AGAIN}")
        if found.id.get_storage_size() < found.nbytes:
            raise UserError(f"{self.path}: {name} declares more than the file holds; {AGAIN}")
        return found

    def wrong(self, name: str, expected: str, found: Any) -> UserError:
        if found is None:
            return UserError(f"{self.path}: {name} is missing; {AGAIN}")
        return UserError(f"{self.path}: {name}: expected {expected}, found {type(found).__name__}; {AGAIN}")
