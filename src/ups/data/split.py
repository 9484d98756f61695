"""One split of a data set: windows and whole trajectories by index, from memory or from the files."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ups.core.errors import UserError
from ups.core.spacing import without_rounding
from ups.data.splits import evenly
from ups.data.trajectories import BLOCK_BYTES, Trajectories, blocks, require_finite


class Gather(Protocol):
    """What is told every value of a split while it is read."""

    def add(self, values: np.ndarray) -> None:
        """Merge a block of values `(b, t, C, *S)`."""
        ...


class Split:
    """Trajectories `(n, T, C, *S)` in physical units, float32.

    A split in memory is one tensor, read and checked when the split is made, and holds no file. Any other keeps the
    files and reads, from their files, the frames it is asked for; then memory does not grow with the files.
    """

    n: int
    """Number of trajectories."""
    frames: int
    """Number of frames T of each."""
    times: np.ndarray
    """Times `(T,)` of the frames."""
    params: Tensor
    """PDE parameters `(n, P)` float32, physical, in the order of `System.param_names`."""
    indices: np.ndarray
    """Origin `(n, 2)` of each trajectory: (file, trajectory in the file)."""
    hash: str
    """Hash of the trajectories and their order."""

    def __init__(
        self,
        files: Sequence[Trajectories],
        indices: np.ndarray,
        content: str,
        in_memory_bytes: float,
        *gather: Gather,
    ) -> None:
        """Take the trajectories `indices` `(n, 2)`, of hash `content`, out of `files`; `gather` is given all values.

        Raises UserError if values that are read (all that go to memory or into `gather`) hold NaN or Inf.
        """
        first = files[0]
        self.n, self.frames, self.times = len(indices), first.frames, without_rounding(first.times)
        self.indices = indices
        self.hash = content
        self.params = _params(files, indices)
        self._shape = (len(first.channels), *first.shape)
        self._in_memory = 4 * self.n * self.frames * int(np.prod(self._shape)) <= in_memory_bytes
        self._values = torch.empty((self.n, self.frames, *self._shape) if self._in_memory else (0,))
        if self._in_memory or gather:
            self._read_all(files, gather)
        self._files: tuple[Trajectories, ...] = () if self._in_memory else tuple(files)

    def __len__(self) -> int:
        return self.n

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels and grid points `(C, *S)` of a frame."""
        return self._shape

    @property
    def in_memory(self) -> bool:
        """Whether the values are held in memory."""
        return self._in_memory

    def windows(self, trajectory: np.ndarray, start: np.ndarray, length: int, stride: np.ndarray | int = 1) -> Tensor:
        """Return `length` frames of each trajectory from `start` on, `stride` apart, `(B, length, C, *S)`.

        `trajectory (B,)`, `start (B,)` and `stride (B,)` are integers. Raises UserError if a window leaves the
        trajectory, or holds NaN or Inf.
        """
        trajectory, start = np.asarray(trajectory, np.int64), np.asarray(start, np.int64)
        stride = np.broadcast_to(np.asarray(stride, np.int64), start.shape)
        if trajectory.size and (start.min() < 0 or (start + (length - 1) * stride).max() >= self.frames):
            raise UserError(
                f"windows of {length} frames within the {self.frames} of a trajectory expected, "
                f"found starts from {start.min()} to {start.max()}"
            )
        if self._in_memory:
            place = (trajectory * self.frames + start)[:, None] + stride[:, None] * np.arange(length)
            picked = self._values.flatten(0, 1).index_select(0, torch.from_numpy(place.reshape(-1)))
            return picked.view(len(trajectory), length, *self._shape)
        values = np.empty((len(trajectory), length, *self._shape), np.float32)
        for target, row, first, step in zip(values, trajectory.tolist(), start.tolist(), stride.tolist(), strict=True):
            target[:] = self._read(row, slice(first, first + (length - 1) * step + 1, step))
        return torch.from_numpy(values)

    def trajectories(self, start: int, stop: int) -> Tensor:
        """Return the whole trajectories `start .. stop - 1`, `(b, T, C, *S)`. Raises UserError for NaN or Inf."""
        if self._in_memory:
            return self._values[start:stop]
        rows = np.arange(self.n)[start:stop]
        return self.windows(rows, np.zeros_like(rows), self.frames)

    def spread(self, count: int) -> tuple[Tensor, Tensor]:
        """Return at most `count` whole trajectories, evenly spread, `(m, T, C, *S)`, and their parameters `(m, P)`."""
        rows = evenly(self.n, count)
        return self.windows(rows, np.zeros_like(rows), self.frames), self.params[rows]

    def one_by_one(self, count: int) -> Iterator[Tensor]:
        """The trajectories of `spread`, `(T, C, *S)` each, of which one at a time need be in memory."""
        for row in evenly(self.n, count):
            yield self.windows(np.array([row]), np.zeros(1, dtype=int), self.frames)[0]

    def _read(self, row: int, frames: slice) -> np.ndarray:
        """Read `(t, C, *S)` of one trajectory from its file."""
        file, place = self.indices[row].tolist()
        values = self._files[file].read(slice(place, place + 1), frames)
        require_finite(values, self._files[file], [place], frames.start, frames.step)
        return values[0]

    def _read_all(self, files: Sequence[Trajectories], gather: Sequence[Gather]) -> None:
        """Read every trajectory once, in pieces, into memory and into `gather`."""
        for index in np.unique(self.indices[:, 0]):
            rows = np.flatnonzero(self.indices[:, 0] == index)
            places, done = self.indices[rows, 1], 0
            for piece, start, values in blocks(files[index], places, BLOCK_BYTES):
                require_finite(values, files[index], piece, start)
                for each in gather:
                    each.add(values)
                if self._in_memory:
                    target = torch.from_numpy(rows[done : done + len(piece)])
                    self._values[target, start : start + values.shape[1]] = torch.from_numpy(values)
                done += len(piece) if start + values.shape[1] == self.frames else 0


def _params(files: Sequence[Trajectories], indices: np.ndarray) -> Tensor:
    names = tuple(files[0].params)
    values = np.empty((len(indices), len(names)), np.float32)
    for row, (file, place) in enumerate(indices.tolist()):
        values[row] = [files[file].params[name][place] for name in names]
    return torch.from_numpy(values)
