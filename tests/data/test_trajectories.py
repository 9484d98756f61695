from itertools import permutations
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ups.core.errors import UserError
from ups.core.system import Boundary
from ups.data.axes import Axes
from ups.data.storage import stored_array
from ups.data.trajectories import StoredTrajectories, blocks, require_finite

SHARED_FOLDER = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def line(
    values: np.ndarray, path: Path, space: int = 1, time: int = 1, boundary: Boundary = "neumann"
) -> StoredTrajectories:
    """Open values `(n, T, X)` with unit spacing."""
    np.save(path, values)
    axes = Axes((np.arange(float(values.shape[2])),), np.arange(float(values.shape[1])), (boundary,), space, time)
    return StoredTrajectories(path, (stored_array(path),), ("n", "t", "x"), axes, ("u",))


@SHARED_FOLDER
@given(
    sizes=st.tuples(st.integers(1, 5), st.integers(2, 9), st.integers(2, 9)),
    strides=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    data=st.data(),
)
def test_reading_with_strides_equals_slicing_the_whole(tmp_path, sizes, strides, data):
    values = np.random.default_rng(0).random(sizes).astype(np.float32)
    space, time = min(strides[0], sizes[2] - 1), min(strides[1], sizes[1] - 1)
    source = line(values, tmp_path / "a.npy", space, time)
    whole = values[:, ::time, ::space]
    assert (source.n, source.frames, source.shape) == (whole.shape[0], whole.shape[1], whole.shape[2:])
    np.testing.assert_array_equal(source.times, np.arange(float(sizes[1]))[::time])
    np.testing.assert_array_equal(source.coords[0], np.arange(float(sizes[2]))[::space])
    rows = np.array(data.draw(st.lists(st.integers(0, sizes[0] - 1), max_size=6)), np.int64)
    start = data.draw(st.integers(0, source.frames))
    stop = data.draw(st.integers(start, source.frames))
    read = source.read(rows, slice(start, stop))
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read[:, :, 0], whole[rows, start:stop])


@pytest.mark.parametrize("letters", [" ".join(order) for order in permutations("ntcxy")][::7])
def test_axes_in_any_order_give_the_same_trajectories(tmp_path, letters):
    values = np.random.default_rng(0).random((2, 3, 2, 4, 6))  # n t c x y
    order = letters.split()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["u"] = values.transpose(["ntcxy".index(letter) for letter in order])
    space = [letter for letter in order if letter in "xy"]
    sizes = {"x": 4, "y": 6}
    coords = tuple(np.arange(float(sizes[letter])) for letter in space)
    axes = Axes(coords, np.arange(3.0), ("neumann", "neumann"))
    source = StoredTrajectories(tmp_path / "a.h5", (stored_array(tmp_path / "a.h5"),), tuple(order), axes, ("u", "v"))
    expected = values if space == ["x", "y"] else values.swapaxes(3, 4)
    np.testing.assert_array_equal(source.read(slice(None)), expected.astype(np.float32))


def test_channels_in_separate_arrays_are_put_one_after_the_other(tmp_path):
    u, v = np.random.default_rng(0).random((2, 3, 4, 5)).astype(np.float32)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["u"], file["v"] = u, v
    arrays = tuple(stored_array(tmp_path / "a.h5", key) for key in "uv")
    axes = Axes((np.arange(5.0),), np.arange(4.0), ("neumann",))
    source = StoredTrajectories(tmp_path / "a.h5", arrays, ("n", "t", "x"), axes, ("u", "v"))
    np.testing.assert_array_equal(source.read(np.array([2, 0])), np.stack((u, v), axis=2)[[2, 0]])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"space": 8}, r"data\.subsample\.space = 8 leaves fewer than 2 of the 8 points"),
        ({"time": 5}, r"data\.subsample\.time = 5 leaves fewer than 2 of the 5 frames"),
        ({"space": 3, "boundary": "periodic"}, "does not divide the 8 points of periodic axis 0"),
    ],
)
def test_strides_that_do_not_fit_are_refused(tmp_path, change, sentence):
    with pytest.raises(UserError, match=sentence):
        line(np.zeros((2, 5, 8)), tmp_path / "a.npy", **change)


@pytest.mark.parametrize(
    ("coords", "times", "boundary", "letters", "sentence"),
    [
        (np.arange(7.0), np.arange(5.0), ("neumann",), "ntx", r"grid \(8,\) found, but coordinates for \(7,\)"),
        (np.arange(8.0), np.arange(6.0), ("neumann",), "ntx", "5 frames found, but 6 times"),
        (
            np.arange(8.0),
            np.arange(5.0)[::-1],
            ("neumann",),
            "ntx",
            "times: rising values expected, found falling ones",
        ),
        (np.arange(8.0) % 7, np.arange(5.0), ("neumann",), "ntx", "axis 0: 0 stands at point 0 and 7|rising.*point 7"),
        (
            np.arange(8.0),
            np.array([0, 1, 2, 2, 3.0]),
            ("neumann",),
            "ntx",
            "times: 2 stands at frame 2 and 3; leave one",
        ),
        (np.arange(8.0), np.array([0, 1, 3, 2, 4.0]), ("neumann",), "ntx", "found 3 and then 2 at frame 3"),
        (
            np.arange(8.0),
            np.full(5, np.nan),
            ("neumann",),
            "ntx",
            "times: finite values expected, found nan at frame 0",
        ),
        (
            np.arange(8.0),
            np.zeros((5, 2)),
            ("neumann",),
            "ntx",
            r"values along one axis expected, found shape \(5, 2\)",
        ),
        (np.arange(8.0), np.arange(5.0), ("neumann",) * 2, "ntx", "for 1 spatial axes expected"),
        (np.arange(8.0), np.arange(5.0), ("neumann",), "tx", r"axes \(t x\) expected, found shape \(2, 5, 8\)"),
    ],
)
def test_axes_that_do_not_fit_the_array_are_refused(tmp_path, coords, times, boundary, letters, sentence):
    np.save(tmp_path / "a.npy", np.zeros((2, 5, 8)))
    with pytest.raises(UserError, match=sentence):
        StoredTrajectories(
            tmp_path / "a.npy",
            (stored_array(tmp_path / "a.npy"),),
            tuple(letters),
            Axes((coords,), times, boundary),
            ("u",),
        )


@pytest.mark.parametrize("space", [1, 2, 3])
def test_a_falling_axis_is_turned_with_its_values(tmp_path, space):
    values = np.random.default_rng(0).random((2, 3, 8, 6)).astype(np.float32)
    x, y = np.arange(8.0), np.linspace(-1, 1, 6)

    def opened(name: str, stored: np.ndarray, x: np.ndarray) -> StoredTrajectories:
        np.save(tmp_path / name, stored)
        axes = Axes((x, y), np.arange(3.0), ("neumann", "neumann"), space)
        return StoredTrajectories(tmp_path / name, (stored_array(tmp_path / name),), tuple("ntxy"), axes, ("u",))

    rising, falling = opened("a.npy", values, x), opened("b.npy", values[:, :, ::-1], x[::-1])
    np.testing.assert_array_equal(falling.coords[0], rising.coords[0])
    np.testing.assert_array_equal(falling.read(slice(None)), rising.read(slice(None)))


@SHARED_FOLDER
@given(n=st.integers(1, 6), frames=st.integers(2, 6), budget=st.integers(1, 600))
def test_blocks_cover_every_value_once_and_stay_within_the_budget(tmp_path, n, frames, budget):
    values = np.arange(n * frames * 4, dtype=np.float32).reshape(n, frames, 4)
    source = line(values, tmp_path / "a.npy")
    found = np.full_like(values, -1)
    for rows, start, block in blocks(source, np.arange(n), budget):
        assert block.nbytes <= max(budget, 16)
        assert (found[rows, start : start + block.shape[1]] == -1).all()
        found[rows, start : start + block.shape[1]] = block[:, :, 0]
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_named_by_file_trajectory_and_stored_frame(tmp_path, bad):
    values = np.zeros((3, 9, 8))
    values[2, 4, 5] = bad
    source = line(values, tmp_path / "a.npy", time=2)
    with pytest.raises(UserError, match=r"a\.npy: trajectory 2 holds NaN or Inf in frame 4"):
        require_finite(source.read(np.array([0, 2]), slice(1, 4)), source, [0, 2], 1)


def test_large_finite_values_are_not_taken_for_infinite(tmp_path):
    source = line(np.full((2, 3, 8), 3e38), tmp_path / "a.npy")
    require_finite(source.read(slice(None)), source, [0, 1], 0)


def test_a_value_beyond_float32_is_refused_as_infinite(tmp_path):
    source = line(np.full((2, 3, 8), 1e300), tmp_path / "a.npy")
    with pytest.raises(UserError, match="trajectory 0 holds NaN or Inf in frame 0"):
        require_finite(source.read(slice(None)), source, [0, 1], 0)
