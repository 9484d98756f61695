"""The axes of stored trajectories: their order, their boundary conditions, and the strides that are taken."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ups.core.errors import UserError
from ups.core.system import Boundary


@dataclass(frozen=True)
class Axes:
    """Coordinates and strides of a file: the stored axes, before any stride is taken, as `as_marks` returns them."""

    coords: tuple[np.ndarray, ...]
    """`(S_i,)` per spatial axis, in units of length; where they decrease, values are turned as they are read."""
    times: np.ndarray
    """`(T,)`, in units of time."""
    boundary: tuple[Boundary, ...]
    """Boundary condition per spatial axis."""
    space: int = 1
    """Keep every so many-th grid point of each axis."""
    time: int = 1
    """Keep every so many-th frame."""
    single: bool = False
    """Whether one frame is enough, as a state to start from."""

    def check(self, path: Path) -> None:
        """Raise UserError unless the times increase, each spatial axis has an order, and the strides fit them."""
        if len(self.boundary) != len(self.coords):
            given = ", ".join(self.boundary)
            raise UserError(f"{path}: data.boundary for {len(self.coords)} spatial axes expected, found [{given}]")
        for axis, (values, kind) in enumerate(zip(self.coords, self.boundary, strict=True)):
            _check_order(path, f"coordinates of spatial axis {axis}", "point", values)
            _check_stride(self.space, len(values), f"{path}: data.subsample.space", f"points of spatial axis {axis}")
            if kind == "periodic" and len(values) % self.space:
                raise UserError(
                    f"{path}: data.subsample.space = {self.space} does not divide the {len(values)} points "
                    f"of periodic axis {axis}, so the grid would not close"
                )
        if self.single and len(self.times) == 1:
            return
        _check_order(path, "times", "frame", self.times)
        if decrease(self.times):
            raise UserError(
                f"{path}: times: rising values expected, found falling ones; store the frames in their order"
            )
        _check_stride(self.time, len(self.times), f"{path}: data.subsample.time", "frames")


def decrease(values: np.ndarray) -> bool:
    """Whether all of `values (n,)` stand in falling order."""
    return bool((np.diff(values) < 0).all())


def _check_order(path: Path, what: str, place: str, values: np.ndarray) -> None:
    """Raise UserError, naming the first bad place, unless `values (n,)` are finite and all rise or all fall."""
    if values.ndim != 1 or len(values) < 2:
        raise UserError(f"{path}: {what}: at least 2 values along one axis expected, found shape {values.shape}")
    if len(bad := np.flatnonzero(~np.isfinite(values))):
        raise UserError(f"{path}: {what}: finite values expected, found {values[bad[0]]} at {place} {bad[0]}")
    steps = np.diff(values) * (1 if values[-1] >= values[0] else -1)
    if not len(bad := np.flatnonzero(steps <= 0)):
        return
    first, found = int(bad[0]), f"{values[bad[0]]:g}"
    if steps[first] < 0:
        raise UserError(
            f"{path}: {what}: {'rising' if values[-1] >= values[0] else 'falling'} values expected, found {found} and "
            f"then {values[first + 1]:g} at {place} {first + 1}"
        )
    advice = (
        "leave one out" if values.dtype == np.float64 else f"leave one out, or store more digits than {values.dtype}"
    )
    raise UserError(f"{path}: {what}: {found} stands at {place} {first} and {first + 1}; {advice}")


def _check_stride(stride: int, length: int, key: str, what: str) -> None:
    if (length - 1) // stride < 1:
        raise UserError(f"{key} = {stride} leaves fewer than 2 of the {length} {what}")
