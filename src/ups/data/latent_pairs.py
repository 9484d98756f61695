"""Training batches whose content is a function of the step.

A pass visits all (trajectory, first frame) windows, or as many drawn by the weights of their first frames, in an order
drawn from the seed and its number; an epoch is a part of one pass, or several. Strides in time and shifts along
periodic axes are drawn from (seed, step), so that starting at any step gives the batches that an uninterrupted run
would have seen there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ups.core.errors import UserError
from ups.data.split import Split


@dataclass(frozen=True)
class Windows:
    """Short pieces of trajectories.

    Attributes:
        frames: Frames `dt` apart: fields (B, K + 1, C, *S), or latents (B, K + 1, N, D).
        params: PDE parameters, physical, (B, P).
        dt: Time between frames, (B,).
    """

    frames: Tensor
    params: Tensor
    dt: Tensor

    @property
    def size(self) -> int:
        """Number of windows."""
        return len(self.frames)

    def to(self, device: torch.device) -> Windows:
        """The same on another device, without waiting for the copy."""
        move = [x.to(device, non_blocking=True) for x in (self.frames, self.params, self.dt)]
        return Windows(*move)

    def pinned(self) -> Windows:
        """The same in pinned memory."""
        return Windows(self.frames.pin_memory(), self.params.pin_memory(), self.dt.pin_memory())

    def __getitem__(self, part: slice) -> Windows:
        return Windows(self.frames[part], self.params[part], self.dt[part])


EVEN = 0.2
"""Share of the windows of a pass that is drawn evenly where the others follow the weights of their first frames."""


def order(seed: int, number: int, n: int, weights: np.ndarray | None = None) -> np.ndarray:
    """The n windows that pass `number` visits: a permutation of all, or with weights (n,) as many drawn by them, each
    as often as its weight says, up to one."""
    draws = np.random.Generator(np.random.Philox(key=[seed, number]))
    if weights is None:
        return draws.permutation(n)
    mixed = draws.permutation(n)  # the frames of trajectories have a rhythm, with which even steps would agree
    ends = np.cumsum(EVEN + (1 - EVEN) * n * weights[mixed] / weights.sum())
    drawn = np.searchsorted(ends, np.arange(n) + draws.random(), side="right").clip(max=n - 1)
    return draws.permutation(mixed[drawn])


def shift(frames: Tensor, offsets: np.ndarray, axis: int) -> Tensor:
    """Rolls sample b of frames (B, ...) by offsets[b] points along `axis`."""
    n = frames.shape[axis]
    index = (torch.arange(n) - torch.from_numpy(offsets)[:, None]) % n
    shape = [len(frames), *[1] * (frames.ndim - 1)]
    shape[axis] = n
    return frames.gather(axis, index.view(shape).expand_as(frames))


class WindowBatches:
    """Batches of windows from a step on.

    Args:
        windows: (trajectory (B,), first frame (B,), length, stride (B,)) -> frames.
        params: Parameters of all trajectories, (n, P).
        frames: Frames in a trajectory.
        length: Frames in a window, K + 1.
        batch_size: Windows in a batch; the last batch of a pass may be smaller.
        dt: Time between frames of a trajectory.
        weights: How often windows are visited by their first frame, relative to each other, (frames - 1,); all once
            in every pass unless given.
        strides: Frames of a trajectory from one frame of a window to the next: each window has one of these.
        seed: Fixes order, shifts and strides.
        shift_axes: Axes of a window that are shifted at random, or none.
        steps_per_epoch: Batches in an epoch; those of one pass over all windows unless given. Each begins a pass.
        workers: Threads that read ahead; 0 reads on demand.
        prefetch: Batches that each of them reads ahead.
        pin: Whether batches lie in pinned memory, from which copies to a GPU do not block.
    """

    def __init__(
        self,
        windows: Callable[[np.ndarray, np.ndarray, int, np.ndarray], Tensor],
        params: Tensor,
        frames: int,
        length: int,
        batch_size: int,
        dt: float,
        *,
        weights: np.ndarray | None = None,
        strides: Sequence[int] = (1,),
        seed: int = 0,
        shift_axes: Sequence[int] = (),
        steps_per_epoch: int | None = None,
        workers: int = 0,
        prefetch: int = 2,
        pin: bool = False,
    ):
        if frames <= (length - 1) * max(strides):
            apart = f", {max(strides)} apart (data.strides)," if max(strides) > 1 else ""
            raise UserError(
                f"windows of {length} frames{apart} are needed (training.rollout_horizon + 1), but trajectories have "
                f"{frames}"
            )
        self.windows, self.params, self.length, self.batch_size, self.dt = windows, params, length, batch_size, dt
        self.seed, self.shift_axes, self.strides = seed, tuple(shift_axes), tuple(strides)
        self.workers, self.prefetch, self.pin = workers, prefetch, pin
        self.frames, self.starts = frames, frames - length + 1
        self.total = len(params) * self.starts
        self.weights = None if weights is None else np.tile(weights[: self.starts], len(params))
        self.steps_per_pass = math.ceil(self.total / batch_size)
        self.steps_per_epoch = steps_per_epoch or self.steps_per_pass

    def batch(self, step: int, visit: np.ndarray) -> Windows:
        """The batch of a step, given its pass's order."""
        first = step % self.steps_per_epoch % self.steps_per_pass * self.batch_size
        chosen = visit[first : first + self.batch_size]
        trajectory, stride = chosen // self.starts, self.draw_strides(step, len(chosen))
        starts = self.frames - (self.length - 1) * stride
        start = chosen % self.starts * starts // self.starts  # the first frames of longer windows lie closer together
        frames = self.windows(trajectory, start, self.length, stride)
        draws = np.random.Generator(np.random.Philox(key=[self.seed + 1, step]))
        for axis in self.shift_axes:
            frames = shift(frames, draws.integers(0, frames.shape[axis], len(frames)), axis)
        windows = Windows(frames, self.params[trajectory], torch.from_numpy(self.dt * stride).float())
        return windows.pinned() if self.pin else windows

    def draw_strides(self, step: int, n: int) -> np.ndarray:
        """The strides of the n windows of a step, each as likely as the others."""
        return np.random.Generator(np.random.Philox(key=[self.seed + 2, step])).choice(self.strides, n)

    def steps(self, step: int) -> Iterator[tuple[int, np.ndarray]]:
        """(step, order of its pass) from `step` on."""
        passes, known, visit = math.ceil(self.steps_per_epoch / self.steps_per_pass), -1, np.empty(0, dtype=int)
        for now in count(step):
            epoch, within = divmod(now, self.steps_per_epoch)
            if (number := epoch * passes + within // self.steps_per_pass) != known:
                known, visit = number, order(self.seed, number, self.total, self.weights)
            yield now, visit

    def __call__(self, step: int) -> Iterator[Windows]:
        """Endless batches from micro-step `step` on."""
        if not self.workers:
            yield from (self.batch(*job) for job in self.steps(step))
            return
        jobs = self.steps(step)
        with ThreadPoolExecutor(self.workers) as pool:
            waiting = [pool.submit(self.batch, *next(jobs)) for _ in range(self.workers * self.prefetch)]
            while True:
                yield waiting.pop(0).result()
                waiting.append(pool.submit(self.batch, *next(jobs)))


def build_field_loader(
    split: Split, rows: np.ndarray, dt: float, length: int, batch_size: int, **options: Any
) -> WindowBatches:
    """Windows of physical fields from the trajectories `rows` of a split; options as in `WindowBatches`."""

    def windows(trajectory: np.ndarray, start: np.ndarray, length: int, stride: np.ndarray) -> Tensor:
        return split.windows(rows[trajectory], start, length, stride)

    return WindowBatches(windows, split.params[rows], split.frames, length, batch_size, dt, **options)


def build_latent_pair_loader(
    latents: np.ndarray, params: Tensor, dt: float, batch_size: int, **options: Any
) -> WindowBatches:
    """Pairs (z_t, z_t+dt) as windows of two frames from cached latents (n, T, N, D), which may be memory-mapped."""

    def windows(trajectory: np.ndarray, start: np.ndarray, length: int, stride: np.ndarray) -> Tensor:
        frames = start[:, None] + stride[:, None] * np.arange(length)
        return torch.from_numpy(np.ascontiguousarray(latents[trajectory[:, None], frames]))

    return WindowBatches(windows, params, latents.shape[1], 2, batch_size, dt, **options)
