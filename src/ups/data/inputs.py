"""A file to predict from: initial states in physical units, out of a file that need not be a data set.

Notation as in `ups.core.system`; B is the number of initial states. Which layout is read follows from names: the keys
of the run's own mapping, PDEBench's coordinates, or else one array of states. No axes are swapped to make a shape fit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ups.core.errors import UserError
from ups.core.memory import require_room
from ups.core.spacing import are_alike
from ups.core.system import System
from ups.data.arrays import open_mapped
from ups.data.pdebench import TIMES, open_pdebench
from ups.data.settings import DataSettings, MappingSettings, SubsampleSettings
from ups.data.storage import StoredArray, array_names, files_closed, stored_array
from ups.data.trajectories import Trajectories


@dataclass(frozen=True)
class InputStates:
    """Initial states of a file."""

    values: np.ndarray
    """`(B, C, *S)` float32, physical."""
    params: dict[str, np.ndarray]
    """PDE parameters that the file holds, name to `(B,)`."""
    read_as: str
    """What was read, for a sentence."""


def load_input(path: Path, system: System, frame: int | None = None, data: DataSettings | None = None) -> InputStates:
    """Read initial states for `system`, and the PDE parameters that the file holds.

    A file that holds the arrays which `data.mapping` names, with as many axes, is read through it, and a file in
    PDEBench's layout as such: both give the stored `frame` (0 unless given) of each trajectory, of a finer grid at the
    system's points. Any other file holds its only array, or one called `values`, `u0` or as in the mapping, in one of
    the shapes

        (*S), (B, *S), (C, *S), (B, C, *S)      states
        (B, T, *S), (B, T, C, *S)               trajectories, of which `frame` is taken

    where (*S), (B, *S) and (B, T, *S) have one channel, and parameters `()` or `(B,)` under their names.

    Raises:
        UserError: The file does not fit the system, fits it in two ways that differ, holds NaN or Inf, has no such
            frame, or does not fit into memory.
    """
    with files_closed():
        found = _read(path, system, frame, data)
    if not np.isfinite(found.values).all():
        row = int(np.argwhere(~np.isfinite(found.values))[0][0])
        raise UserError(f"{path}: state {row} holds NaN or Inf; finite values expected")
    return found


def _read(path: Path, system: System, frame: int | None, data: DataSettings | None) -> InputStates:
    names, mapping = array_names(path), data.mapping if data else None
    if data and mapping and _names_arrays(path, names, mapping, data):
        return _mapped(path, system, frame, data, mapping)
    if TIMES in names:
        return _trajectories(_on_grid(_pdebench_at(path, system), path, system), system, frame, "PDEBench's layout")
    array = stored_array(path, next((key for key in _keys(mapping) if key in names), ""))
    if not data or not mapping or len(mapping.values) > 1 or array.ndim != len(mapping.letters):
        return _plain(path, array, system, frame, mapping)
    unnamed = mapping.model_copy(update={"values": (array.key,), "channels": system.channels})
    return _either(
        path,
        lambda: _mapped(path, system, frame, data, unnamed),
        lambda: _plain(path, array, system, frame, mapping),
        f"axes ({mapping.axes}) of data.mapping",
    )


def _names_arrays(path: Path, names: Sequence[str], mapping: MappingSettings, data: DataSettings) -> bool:
    """Whether a file holds what a mapping names; an array without a name counts where the run's own have none."""
    if path.suffix == ".npy":
        own = data.files.train if data.files else ()
        return any(file.endswith(".npy") for file in own) and stored_array(path).ndim == len(mapping.letters)
    if not set(mapping.values) <= set(names):
        return False
    several = len(mapping.values) > 1
    return several or all(stored_array(path, key).ndim == len(mapping.letters) for key in mapping.values)


def _keys(mapping: MappingSettings | None) -> tuple[str, ...]:
    """Names under which a single array of states is looked for."""
    return ("values", "u0", *(mapping.values if mapping and len(mapping.values) == 1 else ()))


def _mapped(path: Path, system: System, frame: int | None, data: DataSettings, mapping: MappingSettings) -> InputStates:
    """Read through a mapping; coordinates and parameters that the file lacks are left out, and its times are not read:
    a state has none."""
    names = array_names(path)
    known: dict[str, object] = {"times": None, "dt": system.dt}
    known["params"] = {name: key for name, key in mapping.params.items() if not isinstance(key, str) or key in names}
    if mapping.coords is not None:
        pairs = zip(mapping.coords, system.coords, strict=True)
        known["coords"] = tuple(own if isinstance(key, str) and key not in names else key for key, own in pairs)
    fitted = mapping.model_copy(update=known)

    def at(stride: int) -> Trajectories:
        return open_mapped(path, fitted, data.boundary, SubsampleSettings(space=stride), single=True)

    return _trajectories(_on_grid(at, path, system), system, frame, f"axes ({mapping.axes}) by data.mapping")


def _pdebench_at(path: Path, system: System) -> Callable[[int], Trajectories]:
    def at(stride: int) -> Trajectories:
        boundary = system.boundary[:1] if stride == 1 else system.boundary
        return open_pdebench(path, system.task, boundary, SubsampleSettings(space=stride))

    return at


def _on_grid(at: Callable[[int], Trajectories], path: Path, system: System) -> Trajectories:
    """The trajectories with the stride that leads to the grid of the system; `at` opens them with a stride."""
    stored = at(1).shape
    stride = _stride(stored, system)
    if stride is None:
        raise UserError(f"{path}: grid {system.shape} or a multiple expected, found {stored}")
    source = at(stride)
    require_grid(path, source.axis_names, source.coords, system)
    if source.channels != system.channels:
        raise UserError(f"{path}: channels {list(system.channels)} expected, found {list(source.channels)}")
    return source


def require_grid(
    path: Path, axes: tuple[str, ...], coords: Sequence[np.ndarray | Sequence[float]], system: System
) -> None:
    """Raise UserError unless `coords`, along the named `axes`, are the points of the system."""
    shape = tuple(map(len, coords))
    if axes != system.axes or shape != system.shape:
        wanted = f"{system.shape} along {' '.join(system.axes)}"
        raise UserError(f"{path}: grid {wanted} expected, found {shape} along {' '.join(axes)}")
    for name, mine, theirs in zip(axes, coords, system.coords, strict=True):
        if not are_alike(np.asarray(mine), np.array(theirs)):
            raise UserError(
                f"{path}: points along {name} from {theirs[0]:g} to {theirs[-1]:g} expected, "
                f"found {mine[0]:g} to {mine[-1]:g}"
            )


def _stride(stored: tuple[int, ...], system: System) -> int | None:
    """Return the stride that leads from a stored grid to the system's, or None if there is none for all axes."""
    stride = -(-stored[0] // system.shape[0])
    reached = tuple(-(-n // stride) for n in stored)
    closed = all(n % stride == 0 for n, kind in zip(stored, system.boundary, strict=False) if kind == "periodic")
    return stride if reached == system.shape and closed else None


def _trajectories(source: Trajectories, system: System, frame: int | None, layout: str) -> InputStates:
    frame = _frame(source.path, frame, source.frames)
    require_room(
        (source.n, len(system.channels), *system.shape), f"{source.path}: reading all states", "store fewer of them"
    )
    values = source.read(slice(None), slice(frame, frame + 1))[:, 0]
    params = {name: source.params[name] for name in system.param_names if name in source.params}
    return InputStates(values, params, f"frame {frame} of {source.n} trajectories, {layout}")


def _plain(
    path: Path, array: StoredArray, system: System, frame: int | None, mapping: MappingSettings | None
) -> InputStates:
    """Read one array in a shape of `load_input`; its trailing axes tell what the leading ones are."""
    channels = len(system.channels)
    leading = array.shape[: max(array.ndim - len(system.shape), 0)]
    letters = _leading_letters(leading, channels) if array.shape[len(leading) :] == system.shape else None
    if letters is None:
        sizes = ", ".join(map(str, (channels, *system.shape)))
        raise UserError(f"{path}: states of shape (B, {sizes}) expected, found {array.shape}")
    taken = [slice(None)] * array.ndim
    if "T" in letters:
        frame = _frame(path, frame, leading[1])
        taken[1] = slice(frame, frame + 1)
    elif frame:
        raise UserError(f"{path}: frame {frame} asked for, but {array.shape} are states without frames")
    count = leading[0] if letters.startswith("B") else 1
    shape = (count, channels, *system.shape)
    require_room(shape, f"{path}: reading all states", "store fewer of them")
    with np.errstate(over="ignore"):  # beyond float32 becomes Inf, which is refused
        values = np.ascontiguousarray(array[tuple(taken)].reshape(shape), np.float32)
    what = f"{array.key or 'the array'} as ({', '.join([*letters, *system.axes])})"
    said = f"frame {frame} of {what}" if "T" in letters else what
    return InputStates(values, _params(path, system, mapping, count), said)


def _leading_letters(leading: tuple[int, ...], channels: int) -> str | None:
    """What the axes before those of space are: B states, T frames, C channels."""
    match leading:
        case () if channels == 1:
            return ""
        case (_,) if channels == 1:
            return "B"
        case (c,) if c == channels:
            return "C"
        case (_, c) if c == channels:
            return "BC"
        case (_, _) if channels == 1:
            return "BT"
        case (_, _, c) if c == channels:
            return "BTC"
    return None


def _either(
    path: Path, by_mapping: Callable[[], InputStates], as_states: Callable[[], InputStates], mapped: str
) -> InputStates:
    """The one of two readings that fits; raises UserError where both fit and differ, or neither does."""
    found: list[InputStates] = []
    refused: list[UserError] = []
    for read in (by_mapping, as_states):
        try:
            found.append(read())
        except UserError as error:
            refused.append(error)
    if not found:
        raise refused[-1]
    if len(found) == 2 and not np.array_equal(found[0].values, found[1].values):
        raise UserError(
            f"{path}: the array fits the {mapped} and also {found[1].read_as}, which differ; store it under the name "
            "that data.mapping.values gives, or with all axes of (B, C, ...)"
        )
    return found[0]


def _frame(path: Path, frame: int | None, frames: int) -> int:
    """The frame asked for, the first unless given."""
    frame = frame or 0
    if not 0 <= frame < frames:
        raise UserError(f"{path}: frame {frame} asked for, but the trajectories have {frames} frames, counted from 0")
    return frame


def _params(path: Path, system: System, mapping: MappingSettings | None, n: int) -> dict[str, np.ndarray]:
    """Parameters beside the states, under the keys of the mapping or their own names."""
    names, found = array_names(path), {}
    for name in system.param_names:
        given = mapping.params.get(name, name) if mapping else name
        key = next((key for key in (given, name) if isinstance(key, str) and key in names), None)
        if key is not None:
            values = stored_array(path, key).all().astype(np.float64).reshape(-1)
            if values.size not in (1, n):
                raise UserError(f"{path}: parameter {name} with 1 or {n} values expected, found {values.size}")
            found[name] = np.broadcast_to(values, (n,))
    return found
