"""The stride in time: how many stored frames one kept frame stands for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ups.core.errors import UserError
from ups.core.spacing import UNEVEN, mean_step
from ups.core.tasks import TASKS

if TYPE_CHECKING:
    from ups.data.settings import DataSettings, SubsampleSettings


def frame_stride(subsample: SubsampleSettings, times: np.ndarray, path: Path) -> int:
    """Stored frames per frame, of a file with `times (T,)`: `time`, or the multiple of it that makes steps of `dt`.

    Raises UserError if there is none.
    """
    spacing = subsample.time * mean_step(times) if times.ndim == 1 and len(times) > 1 else 0.0
    if subsample.dt is None or not spacing > 0:  # what is wrong with the times is said where they are checked
        return subsample.time
    every = max(round(subsample.dt / spacing), 1)
    if abs(every * spacing - subsample.dt) > UNEVEN * subsample.dt or subsample.time * every >= len(times):
        longest = (len(times) - 1) // subsample.time
        raise UserError(
            f"{path}: training.dt (data.subsample.dt) has to be a whole multiple, up to {longest}, of {spacing:g}, the "
            f"time between frames, found {subsample.dt:g}; leave it out to take every frame"
        )
    return subsample.time * every


def generated_frames(settings: DataSettings) -> int:
    """Frames that are kept of a trajectory that `data.generate` makes. Raises UserError as `frame_stride` does."""
    wanted = settings.generate
    assert wanted is not None
    task = TASKS[wanted.pde]
    frames = wanted.frames or task.frames
    times = (wanted.dt or task.dt) * np.arange(frames)
    return -(-frames // frame_stride(settings.subsample, times, Path("data.generate")))
