"""What is known of a data set before any value of it is read or generated."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ups.core.system import Boundary
from ups.core.tasks import TASKS
from ups.data.dataset import open_files
from ups.data.locate import locate, to_be_generated
from ups.data.pdebench import task_of
from ups.data.settings import DataSettings
from ups.data.splits import Parts, split_rows
from ups.data.storage import files_closed
from ups.data.thinning import generated_frames


@dataclass(frozen=True)
class Header:
    """Sizes and names, after the strides.

    Attributes:
        channels: Names of the channels.
        shape: Grid points along each axis.
        boundary: Boundary condition of each axis.
        task: Name of the data set, empty where it is not known.
        frames: Frames of a trajectory.
        train, validation, test: Trajectories of each split.
        planned_bytes: Size of the file that is to be generated, 0 where the files are there.
    """

    channels: tuple[str, ...]
    shape: tuple[int, ...]
    boundary: tuple[Boundary, ...]
    task: str
    frames: int
    train: int
    validation: int
    test: int
    planned_bytes: int = 0

    @property
    def points(self) -> int:
        """Grid points in all."""
        return math.prod(self.shape)

    @property
    def frame_bytes(self) -> int:
        """Size of a frame in float32."""
        return 4 * len(self.channels) * self.points


def read_header(settings: DataSettings) -> Header:
    """Read the headers of the files that `settings` name, or say what will be generated.

    Raises UserError if files are missing, damaged or unlike each other, or have too few trajectories.
    """
    if to_be_generated(settings):
        return _planned(settings)
    with files_closed():
        files, parts, _ = open_files(settings, locate(settings, allow_generate=False))
    first, task = files[0], settings.task or task_of(files[0].path)
    return Header(first.channels, first.shape, first.boundary, task, first.frames, **_counts(parts))


def _planned(settings: DataSettings) -> Header:
    wanted = settings.generate
    assert wanted is not None
    task = TASKS[wanted.pde]
    stored = (wanted.resolution or task.resolution) // wanted.observe_every
    shape = (-(-stored // settings.subsample.space),) * len(task.boundary)
    frames = wanted.frames or task.frames
    rows = np.arange(min(wanted.trajectories, settings.limit or wanted.trajectories))
    parts = split_rows([rows], settings.validation, settings.test)
    size = 4 * wanted.trajectories * (1 + wanted.members) * frames * len(task.channels) * stored ** len(shape)
    kept = generated_frames(settings)
    return Header(task.channels, shape, task.boundary, wanted.pde, kept, planned_bytes=size, **_counts(parts))


def _counts(parts: Parts) -> dict[str, int]:
    """Trajectories of each split."""
    return {name: len(part) for name, part in parts._asdict().items()}
