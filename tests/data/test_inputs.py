from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ups.core.errors import UserError
from ups.core.system import System
from ups.data.inputs import load_input
from ups.data.settings import DataSettings

LINE = System(("u",), (8,), (tuple((np.arange(8) / 8).tolist()),), ("periodic",), ("Nu",), 0.1)
PAIR = replace(LINE, channels=("u", "v"))
PLANE = System(("u",), (4, 6), (tuple(range(4)), tuple(range(6))), ("periodic", "periodic"), (), 0.1)


@pytest.mark.parametrize(
    ("system", "shape", "expected"),
    [
        (LINE, (8,), lambda v: v[None, None]),
        (LINE, (3, 8), lambda v: v[:, None]),
        (LINE, (3, 1, 8), lambda v: v),
        (LINE, (3, 5, 8), lambda v: v[:, 2:3]),
        (LINE, (3, 5, 1, 8), lambda v: v[:, 2]),
        (PAIR, (2, 8), lambda v: v[None]),
        (PAIR, (3, 2, 8), lambda v: v),
        (PAIR, (3, 5, 2, 8), lambda v: v[:, 2]),
        (PLANE, (4, 6), lambda v: v[None, None]),
        (PLANE, (3, 4, 6), lambda v: v[:, None]),
        (PLANE, (3, 5, 4, 6), lambda v: v[:, 2:3]),
    ],
)
def test_states_and_trajectories_are_told_apart_by_the_system(tmp_path, system, shape, expected):
    values = np.random.default_rng(0).random(shape)
    np.save(tmp_path / "a.npy", values)
    found = load_input(
        tmp_path / "a.npy", system, frame=2 if len(shape) > len(system.shape) + 1 and 5 in shape else None
    )
    np.testing.assert_array_equal(found.values, expected(values).astype(np.float32))
    assert found.values.dtype == np.float32 and found.params == {}


def test_parameters_beside_the_states_are_read_by_name(tmp_path):
    np.savez(tmp_path / "a.npz", values=np.ones((3, 1, 8)), Nu=[0.1, 0.2, 0.3], other=1.0)
    params = load_input(tmp_path / "a.npz", LINE).params
    assert {name: values.tolist() for name, values in params.items()} == {"Nu": [0.1, 0.2, 0.3]}


def test_a_finer_published_file_gives_the_frame_at_the_points_of_the_system(write_pdebench, contents):
    path = write_pdebench()  # 16 points
    system = replace(LINE, coords=(tuple((np.arange(16) + 0.5)[::2] / 16),), task="burgers1d")
    found = load_input(path, system, frame=3)
    np.testing.assert_array_equal(found.values[:, 0], contents(path)[:, 3, ::2])
    assert found.params["Nu"].tolist() == [0.01] * 10


@pytest.mark.parametrize(
    ("system", "sentence"),
    [
        (
            replace(LINE, shape=(5,), coords=(tuple(np.arange(5) / 5),)),
            r"grid \(5,\) or a multiple expected, found \(16,\)",
        ),
        (LINE, "points along x from 0 to 0.875 expected"),
        (PLANE, r"grid \(4, 6\) or a multiple expected"),
    ],
)
def test_a_published_file_on_another_grid_is_refused(write_pdebench, system, sentence):
    with pytest.raises(UserError, match=sentence):
        load_input(write_pdebench(), system)


@pytest.mark.parametrize(
    ("values", "system", "frame", "sentence"),
    [
        (np.ones((3, 1, 9)), LINE, 0, r"states of shape \(B, 1, 8\) expected, found \(3, 1, 9\)"),
        (np.ones((3, 8)), PAIR, 0, r"states of shape \(B, 2, 8\) expected, found \(3, 8\)"),
        (np.ones((3, 5, 8)), LINE, 5, "frame 5 asked for, but the trajectories have 5"),
        (np.ones((3, 8)), LINE, 1, r"frame 1 asked for, but \(3, 8\) are states without frames"),
        (np.full((3, 1, 8), np.nan), LINE, 0, "state 0 holds NaN or Inf"),
        (np.full((3, 1, 8), 1e300), LINE, 0, "state 0 holds NaN or Inf"),
    ],
)
def test_an_input_that_does_not_fit_the_system_is_one_sentence(tmp_path, values, system, frame, sentence):
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(UserError, match=sentence):
        load_input(tmp_path / "a.npy", system, frame)


WAVES = np.random.default_rng(1).random((6, 5, 8, 12))
"""(n, T, X, Y) of one channel."""
GRID = (tuple(np.arange(8) / 8), tuple(np.arange(12) / 12))
STORED = replace(PLANE, shape=(8, 12), coords=GRID, param_names=("k",))


def settings(axes: str, **mapping: Any) -> DataSettings:
    """How a run read its data."""
    given = {"values": "w", "axes": axes, "coords": ["x", "y"], "times": "t", "params": {"k": "rate"}}
    whole = {**given, "channels": ["u"], **mapping}
    return DataSettings.model_validate({"files": "w.npz", "mapping": whole, "boundary": "periodic"})


def store(path: Path, values: np.ndarray) -> Path:
    """A file with axes and parameters, as `settings` name them."""
    axes = {"x": np.arange(8) / 8, "y": np.arange(12) / 12, "t": np.arange(5) * 0.1}
    np.savez(path, w=values, rate=np.arange(6), **axes)
    return path


@pytest.mark.parametrize(
    ("axes", "stored"),
    [
        ("n t x y", WAVES),
        ("n t x y c", WAVES[..., None]),
        ("n c t x y", WAVES[:, None]),
        ("x y t n", WAVES.transpose(2, 3, 1, 0)),
    ],
)
def test_a_file_is_read_through_the_mapping_of_the_run(tmp_path, axes, stored):
    path = store(tmp_path / "a.npz", stored)
    found = load_input(path, STORED, 3, settings(axes))
    np.testing.assert_array_equal(found.values[:, 0], WAVES[:, 3].astype(np.float32))
    assert found.params["k"].tolist() == [0, 1, 2, 3, 4, 5]
    assert found.read_as == f"frame 3 of 6 trajectories, axes ({axes}) by data.mapping"


def test_a_square_array_is_not_transposed(tmp_path):
    values = np.random.default_rng(0).random((3, 8, 8))
    np.savez(tmp_path / "a.npz", w=values)
    square = settings("n x t", coords=None, length=1.0, params={})
    line = replace(LINE, param_names=())
    found = load_input(tmp_path / "a.npz", line, 2, square)
    np.testing.assert_array_equal(found.values[:, 0], values[:, :, 2].astype(np.float32))
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(UserError, match=r"fits the axes \(n x t\) of data.mapping and also frame 2 of .* which differ"):
        load_input(tmp_path / "a.npy", line, 2, square)
    np.save(tmp_path / "b.npy", values[:, None])
    with pytest.raises(UserError, match=r"states of shape \(B, 1, 8\) expected, found \(3, 1, 8, 8\)"):
        load_input(tmp_path / "b.npy", line, 2, square)
    assert square.files is not None
    own = square.model_copy(update={"files": square.files.model_copy(update={"train": ("w.npy",)})})
    np.testing.assert_array_equal(load_input(tmp_path / "a.npy", line, 2, own).values, found.values)


def test_one_frame_without_axes_or_parameters_is_enough_to_start_from(tmp_path):
    np.savez(tmp_path / "a.npz", w=WAVES[:, :1].transpose(3, 2, 1, 0))
    turned = replace(STORED, shape=(12, 8), coords=GRID[::-1], axes=("y", "x"))
    found = load_input(tmp_path / "a.npz", turned, None, settings("y x t n", coords=["y", "x"]))
    np.testing.assert_array_equal(found.values[:, 0], WAVES[:, 0].transpose(0, 2, 1).astype(np.float32))
    assert found.params == {}


def test_states_beside_a_mapping_are_still_states(tmp_path):
    np.savez(tmp_path / "a.npz", w=WAVES[:, 0], rate=2.0)
    found = load_input(tmp_path / "a.npz", STORED, None, settings("n t x y c"))
    np.testing.assert_array_equal(found.values[:, 0], WAVES[:, 0].astype(np.float32))
    assert found.params["k"].tolist() == [2.0] * 6 and found.read_as == "w as (B, x, y)"


def test_a_file_with_other_axes_than_the_run_is_refused(tmp_path):
    path = store(tmp_path / "a.npz", WAVES)
    with pytest.raises(UserError, match=r"grid \(8, 12\) along y x expected, found \(8, 12\) along x y"):
        load_input(path, replace(STORED, axes=("y", "x")), 0, settings("n t x y"))
    with pytest.raises(UserError, match=r"channels \['u'\] expected, found \['w'\]"):
        load_input(path, STORED, 0, settings("n t x y", channels=[]))


def test_more_states_than_memory_holds_are_refused_before_they_are_read(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("u0", (2**40, 8), dtype="f4", chunks=(1024, 8))
    with pytest.raises(UserError, match=r"reading all states takes 6.55e\+04 GiB of memory, but .* free: store fewer"):
        load_input(tmp_path / "a.h5", LINE)
