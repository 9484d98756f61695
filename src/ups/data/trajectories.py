"""The trajectories of one file: read lazily, thinned out by explicit strides, always as `(b, T, C, *S)` float32.

Notation as in `ups.core.system`; n is the number of trajectories in the file, b of those read. Frames and grid points
are counted after the strides.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from ups.core.errors import UserError
from ups.core.system import Boundary
from ups.data.axes import Axes, decrease
from ups.data.storage import StoredArray

BLOCK_BYTES = 16 * 2**20


class Trajectories(Protocol):
    """What the data set asks of a file, whatever its format."""

    @property
    def path(self) -> Path:
        """The file."""
        ...

    @property
    def n(self) -> int:
        """Number of trajectories."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Grid points S."""
        ...

    @property
    def axis_names(self) -> tuple[str, ...]:
        """Names of the spatial axes."""
        ...

    @property
    def coords(self) -> tuple[np.ndarray, ...]:
        """Coordinates `(S_i,)` per axis, increasing, in the type in which they are stored."""
        ...

    @property
    def times(self) -> np.ndarray:
        """Times `(T,)` of the frames, in the type in which they are stored."""
        ...

    @property
    def frames(self) -> int:
        """Number of frames T."""
        ...

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the C channels."""
        ...

    @property
    def boundary(self) -> tuple[Boundary, ...]:
        """Boundary condition per axis."""
        ...

    @property
    def params(self) -> dict[str, np.ndarray]:
        """PDE parameters, name to `(n,)`."""
        ...

    @property
    def stride(self) -> int:
        """Stored frames per frame, to name a place in the file."""
        ...

    def read(self, which: np.ndarray | slice, frames: slice = slice(None)) -> np.ndarray:
        """Return the trajectories `which` `(b,)` at `frames` as `(b, t, C, *S)` float32."""
        ...


@dataclass(frozen=True)
class StoredTrajectories:
    """Trajectories that lie in one array, or in one array per group of channels, with the axes in any order."""

    path: Path
    arrays: tuple[StoredArray, ...]
    """Stored arrays; their channels are put one after the other."""
    letters: tuple[str, ...]
    """Axes of each array: n trajectories (may be missing), t time, c channels (may be missing), the rest space."""
    axes: Axes
    channels: tuple[str, ...]
    params: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.axes.check(self.path)
        stored = tuple(len(values) for values in self.axes.coords)
        for array in self.arrays:
            if array.ndim != len(self.letters):
                raise UserError(
                    f"{self._place(array)}: axes ({' '.join(self.letters)}) expected, found shape {array.shape}"
                )
            space = tuple(array.shape[i] for i in self._space)
            if space != stored:
                raise UserError(f"{self._place(array)}: grid {space} found, but coordinates for {stored}")
            if self._length(array, "t") != len(self.axes.times):
                raise UserError(
                    f"{self._place(array)}: {self._length(array, 't')} frames found, but {len(self.axes.times)} times"
                )
            if self._length(array, "n") != self.n:
                raise UserError(
                    f"{self._place(array)}: {self.n} trajectories expected, found {self._length(array, 'n')}"
                )
        if self.n == 0:
            raise UserError(f"{self.path}: the file holds no trajectories")
        total = sum(self._length(array, "c") for array in self.arrays)
        if total != len(self.channels):
            raise UserError(
                f"{self.path}: {total} channels found, but {len(self.channels)} names {list(self.channels)}"
            )
        for name, values in self.params.items():
            if values.shape != (self.n,) or not np.isfinite(values).all():
                raise UserError(
                    f"{self.path}: parameter {name} needs one finite value for each of {self.n} trajectories"
                )

    @property
    def n(self) -> int:
        """Number of trajectories."""
        return self._length(self.arrays[0], "n")

    @property
    def shape(self) -> tuple[int, ...]:
        """Grid points S, after the stride."""
        return tuple(len(values) for values in self.coords)

    @property
    def axis_names(self) -> tuple[str, ...]:
        """Names of the spatial axes, in the order of `letters`."""
        return tuple(letter for letter in self.letters if letter not in "ntc")

    @property
    def coords(self) -> tuple[np.ndarray, ...]:
        """Coordinates `(S_i,)` per axis, increasing, after the stride."""
        turned = (values[::-1] if decrease(values) else values for values in self.axes.coords)
        return tuple(values[:: self.axes.space] for values in turned)

    @property
    def times(self) -> np.ndarray:
        """Times `(T,)` of the frames, after the stride."""
        return self.axes.times[:: self.axes.time]

    @property
    def frames(self) -> int:
        """Number of frames T, after the stride."""
        return len(self.times)

    @property
    def boundary(self) -> tuple[Boundary, ...]:
        """Boundary condition per axis."""
        return self.axes.boundary

    @property
    def stride(self) -> int:
        """Stored frames per frame."""
        return self.axes.time

    def read(self, which: np.ndarray | slice, frames: slice = slice(None)) -> np.ndarray:
        """Return the trajectories `which` `(b,)` at `frames` as `(b, t, C, *S)` float32.

        Raises UserError if the file cannot be read.
        """
        rows = np.arange(self.n)[which]
        start, stop, step = frames.indices(self.frames)
        stored = slice(start * self.axes.time, (stop - 1) * self.axes.time + 1, step * self.axes.time)
        values = np.empty((len(rows), len(range(start, stop, step)), len(self.channels), *self.shape), np.float32)
        if not values.size:
            return values
        done = 0
        for run in np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1) if len(rows) > 1 else [rows]:
            part, channel = values[done : done + len(run)], 0
            for array in self.arrays:
                block = self._read_run(array, slice(run[0], run[-1] + 1), stored)
                with np.errstate(over="ignore"):  # beyond float32 becomes Inf, which is refused with its place
                    part[:, :, channel : channel + block.shape[2]] = block
                channel += block.shape[2]
            done += len(run)
        return values

    def _read_run(self, array: StoredArray, rows: slice, frames: slice) -> np.ndarray:
        """Read one hyperslab and bring its axes into the order `(b, t, C, *S)`, each spatial one increasing."""
        taken, space = {"n": rows, "t": frames, "c": slice(None)}, self.axes.space
        turned = [i for i, values in zip(self._space, self.axes.coords, strict=True) if decrease(values)]
        for i, letter in enumerate(self.letters):
            first = (array.shape[i] - 1) % space if i in turned else 0
            taken.setdefault(letter, slice(first, None, space))
        block = np.flip(array[tuple(taken[letter] for letter in self.letters)], tuple(turned))
        leading = [self.letters.index(letter) for letter in "ntc" if letter in self.letters]
        block = block.transpose(*leading, *self._space)
        missing = tuple(position for position, letter in enumerate("ntc") if letter not in self.letters)
        return np.expand_dims(block, missing)

    @property
    def _space(self) -> list[int]:
        return [i for i, letter in enumerate(self.letters) if letter not in "ntc"]

    def _length(self, array: StoredArray, letter: str) -> int:
        return array.shape[self.letters.index(letter)] if letter in self.letters else 1

    def _place(self, array: StoredArray) -> str:
        return f"{self.path}: {array.key}" if array.key else str(self.path)


def blocks(
    source: Trajectories, rows: np.ndarray, budget: int = BLOCK_BYTES
) -> Iterator[tuple[np.ndarray, int, np.ndarray]]:
    """Read `rows` `(b,)` of a file piece by piece: yields the rows, the first frame and values `(b', t', C, *S)`.

    No piece is larger than `budget` bytes, unless a single frame is.
    """
    frame = 4 * len(source.channels) * int(np.prod(source.shape))
    frames = max(1, min(source.frames, budget // frame))
    count = max(1, budget // (frame * frames))
    for i in range(0, len(rows), count):
        for start in range(0, source.frames, frames):
            yield rows[i : i + count], start, source.read(rows[i : i + count], slice(start, start + frames))


def require_finite(
    values: np.ndarray, source: Trajectories, rows: Sequence[int] | np.ndarray, start: int, step: int = 1
) -> None:
    """Raise UserError naming file, trajectory and stored frame if `values` `(b, t, C, *S)` hold NaN or Inf."""
    if np.isfinite(values.sum(dtype=np.float64)):  # one pass without a temporary; float32 cannot overflow this sum
        return
    bad = np.argwhere(~np.isfinite(values))[0]
    frame = (start + int(bad[1]) * step) * source.stride
    raise UserError(
        f"{source.path}: trajectory {int(rows[bad[0]])} holds NaN or Inf in frame {frame}; "
        "finite values expected (see `ups data check`)"
    )
