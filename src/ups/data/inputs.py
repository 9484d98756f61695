"""A single input to predict from: initial states in physical units, out of a file that need not be a data set."""

from pathlib import Path

import numpy as np

from ups.core.errors import UserError
from ups.core.spacing import are_alike
from ups.core.system import System
from ups.data.pdebench import TIMES, open_pdebench
from ups.data.settings import SubsampleSettings
from ups.data.storage import array_names, files_closed, stored_array
from ups.data.trajectories import Trajectories


def load_input(path: Path, system: System, frame: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Read initial states `(B, C, *S)` float32 for `system`, and the PDE parameters `(B,)` that the file holds.

    A file in PDEBench's layout gives the stored `frame` of each trajectory, of a finer grid at the system's points.
    Any other file holds its only array, or one called `values` or `u0`, in one of the shapes

        (*S), (B, *S), (C, *S), (B, C, *S)      states
        (B, T, *S), (B, T, C, *S)               trajectories, of which `frame` is taken

    where (B, *S) and (B, T, *S) have one channel, and parameters `()` or `(B,)` under their names. Raises UserError if
    the file does not fit the system, holds NaN or Inf, or has no such frame.
    """
    with files_closed():
        names = array_names(path)
        if TIMES in names:
            source = _on_grid(path, system)
            _check_frame(path, frame, source.frames)
            values = source.read(slice(None), slice(frame, frame + 1))[:, 0]
            params = {name: source.params[name] for name in system.param_names if name in source.params}
        else:
            key = next((name for name in ("values", "u0") if name in names), "")
            values = _states(stored_array(path, key).all(), path, system, frame)
            params = {name: _param(path, name, len(values)) for name in system.param_names if name in names}
    if not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0][0])
        raise UserError(f"{path}: state {row} holds NaN or Inf; finite values expected")
    return values, params


def _on_grid(path: Path, system: System) -> Trajectories:
    """Open a file in PDEBench's layout with the stride that leads to the grid of the system."""
    stored = open_pdebench(path, system.task, system.boundary[:1]).shape
    stride = _stride(stored, system)
    if stride is None:
        raise UserError(f"{path}: grid {system.shape} or a multiple expected, found {stored}")
    source = open_pdebench(path, system.task, system.boundary, SubsampleSettings(space=stride))
    for axis, (mine, theirs) in enumerate(zip(source.coords, system.coords, strict=True)):
        if not are_alike(mine, np.array(theirs)):
            raise UserError(
                f"{path}: points of spatial axis {axis} from {theirs[0]:g} to {theirs[-1]:g} expected, "
                f"found {mine[0]:g} to {mine[-1]:g}"
            )
    if source.channels != system.channels:
        raise UserError(f"{path}: channels {list(system.channels)} expected, found {list(source.channels)}")
    return source


def _stride(stored: tuple[int, ...], system: System) -> int | None:
    """Return the stride that leads from a stored grid to the system's, or None if there is none for all axes."""
    stride = -(-stored[0] // system.shape[0])
    reached = tuple(-(-n // stride) for n in stored)
    closed = all(n % stride == 0 for n, kind in zip(stored, system.boundary, strict=False) if kind == "periodic")
    return stride if reached == system.shape and closed else None


def _states(values: np.ndarray, path: Path, system: System, frame: int) -> np.ndarray:
    """Bring an array into the shape `(B, C, *S)`; its trailing axes tell what the leading ones are."""
    channels, leading = len(system.channels), values.shape[: -len(system.shape)]
    if values.shape[len(leading) :] == system.shape:
        match len(leading):
            case 0 if channels == 1:
                return _shaped(values, (1, 1), system)
            case 1 if channels == 1:
                return _shaped(values, (leading[0], 1), system)
            case 1 if leading[0] == channels:
                return _shaped(values, (1, channels), system)
            case 2 if leading[1] == channels:
                return _shaped(values, leading, system)
            case 2 if channels == 1:
                _check_frame(path, frame, leading[1])
                return _shaped(values[:, frame], (leading[0], 1), system)
            case 3 if leading[2] == channels:
                _check_frame(path, frame, leading[1])
                return _shaped(values[:, frame], (leading[0], channels), system)
    expected = ", ".join(map(str, (channels, *system.shape)))
    raise UserError(f"{path}: states of shape (B, {expected}) expected, found {values.shape}")


def _shaped(values: np.ndarray, leading: tuple[int, ...], system: System) -> np.ndarray:
    return np.ascontiguousarray(values.reshape(*leading, *system.shape), np.float32)


def _check_frame(path: Path, frame: int, frames: int) -> None:
    if not 0 <= frame < frames:
        raise UserError(f"{path}: frame {frame} asked for, but the trajectories have {frames} frames, counted from 0")


def _param(path: Path, name: str, n: int) -> np.ndarray:
    values = stored_array(path, name).all().astype(np.float64).reshape(-1)
    if values.size not in (1, n):
        raise UserError(f"{path}: parameter {name} with 1 or {n} values expected, found {values.size}")
    return np.broadcast_to(values, (n,))
