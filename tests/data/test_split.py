import pickle
import tracemalloc

import numpy as np
import pytest
import torch

from ups.core.errors import UserError
from ups.data.pdebench import open_pdebench
from ups.data.split import Split
from ups.data.statistics import RunningMoments
from ups.data.storage import files_closed

INDICES = np.array([[0, 3], [1, 0], [0, 1], [1, 2]])


@pytest.fixture
def files(write_pdebench):
    random = np.random.default_rng(0)
    names = ("1D_Burgers_Sols_Nu0.01.hdf5", "1D_Burgers_Sols_Nu0.1.hdf5")
    return [open_pdebench(write_pdebench(name, random.standard_normal((4, 9, 8), np.float32))) for name in names]


@pytest.fixture(params=["memory", "file"])
def split(request, files):
    return Split(files, INDICES, "", 1e9 if request.param == "memory" else 0)


def test_windows_are_the_frames_of_the_file_from_the_start(split, files):
    trajectory, start = np.array([1, 0, 0, 3, 2]), np.array([6, 0, 5, 2, 1])
    windows = split.windows(trajectory, start, 3)
    for window, row, first in zip(windows, trajectory, start, strict=True):
        file, place = INDICES[row]
        expected = files[file].read(slice(place, place + 1), slice(first, first + 3))[0]
        np.testing.assert_array_equal(window.numpy(), expected)


def test_windows_of_several_strides_are_frames_that_far_apart(split, files):
    trajectory, start, stride = np.array([1, 0, 3]), np.array([0, 2, 6]), np.array([4, 3, 1])
    windows = split.windows(trajectory, start, 3, stride)
    for window, row, first, step in zip(windows, trajectory, start, stride, strict=True):
        file, place = INDICES[row]
        whole = files[file].read(slice(place, place + 1))[0]
        np.testing.assert_array_equal(window.numpy(), whole[[first, first + step, first + 2 * step]])
    with pytest.raises(UserError, match="within the 9 of a trajectory"):
        split.windows(trajectory, start, 3, stride + 1)


def test_trajectories_are_windows_of_full_length(split):
    assert torch.equal(split.trajectories(1, 3), split.windows(np.array([1, 2]), np.zeros(2, int), 9))


def test_parameters_are_those_of_the_file_of_each_trajectory(split):
    np.testing.assert_allclose(split.params.numpy(), [[0.01], [0.1], [0.01], [0.1]], rtol=1e-6)


def test_a_pickled_split_gives_the_same_windows(split):
    copy = pickle.loads(pickle.dumps(split))
    rows = np.arange(4)
    assert torch.equal(copy.windows(rows, rows, 2), split.windows(rows, rows, 2))


@pytest.mark.parametrize("start", [-1, 7])
def test_a_window_beyond_the_trajectory_is_refused(split, start):
    with pytest.raises(UserError, match="windows of 3 frames within the 9"):
        split.windows(np.array([0]), np.array([start]), 3)


def test_a_split_read_in_pieces_of_trajectories_is_held_whole(files, monkeypatch):
    whole = Split(files, INDICES, "", 1e9).trajectories(0, 4)
    monkeypatch.setattr("ups.data.split.BLOCK_BYTES", 4 * 32)  # 4 of 9 frames
    assert torch.equal(Split(files, INDICES, "", 1e9).trajectories(0, 4), whole)


@pytest.mark.parametrize("limit", [0, 1e9])
def test_moments_are_gathered_from_every_value_of_the_split(files, limit):
    moments = RunningMoments(1)
    Split(files, INDICES, "", limit, moments)
    exact = Split(files, INDICES, "", 1e9).trajectories(0, 4).double()
    np.testing.assert_allclose(moments.mean, exact.mean(), rtol=1e-6)
    np.testing.assert_allclose(moments.std(), exact.std(correction=0), rtol=1e-6)


def test_a_window_with_nan_is_refused_when_it_is_read(write_pdebench):
    values = np.random.default_rng(0).random((3, 9, 8)).astype(np.float32)
    values[2, 5, 0] = np.nan
    file = open_pdebench(write_pdebench(values=values))
    rows = np.array([[0, 1], [0, 2]])
    with pytest.raises(UserError, match="trajectory 2 holds NaN or Inf in frame 5"):
        Split([file], rows, "", 1e9)
    lazy = Split([file], rows, "", 0)
    assert torch.isfinite(lazy.windows(np.array([0, 1]), np.array([0, 0]), 5)).all()
    with pytest.raises(UserError, match="trajectory 2 holds NaN or Inf in frame 5"):
        lazy.windows(np.array([1]), np.array([4]), 3)


def peak(path) -> int:
    """Bytes allocated at most while a file is opened, its statistics taken and windows read, without holding it."""
    tracemalloc.start()
    try:
        with files_closed():
            file = open_pdebench(path)
            split = Split([file], np.stack((np.zeros(file.n, int), np.arange(file.n)), 1), "", 0, RunningMoments(1))
            for row in range(split.n):
                split.windows(np.array([row]), np.array([0]), 2)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_file(write_pdebench):
    values = np.random.default_rng(0).random((32, 256, 4096), np.float32)  # 128 MiB
    small, large = write_pdebench("1D_Burgers_Sols_Nu0.1.hdf5", values[:8]), write_pdebench(values=values)
    del values
    assert peak(large) < 1.05 * peak(small)
