from dataclasses import replace

import numpy as np
import pytest

from ups.core.errors import UserError
from ups.core.system import System
from ups.data.inputs import load_input

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
    found, params = load_input(tmp_path / "a.npy", system, frame=2)
    np.testing.assert_array_equal(found, expected(values).astype(np.float32))
    assert found.dtype == np.float32 and params == {}


def test_parameters_beside_the_states_are_read_by_name(tmp_path):
    np.savez(tmp_path / "a.npz", values=np.ones((3, 1, 8)), Nu=[0.1, 0.2, 0.3], other=1.0)
    _, params = load_input(tmp_path / "a.npz", LINE)
    assert {name: values.tolist() for name, values in params.items()} == {"Nu": [0.1, 0.2, 0.3]}


def test_a_finer_published_file_gives_the_frame_at_the_points_of_the_system(write_pdebench, contents):
    path = write_pdebench()  # 16 points
    system = replace(LINE, coords=(tuple((np.arange(16) + 0.5)[::2] / 16),), task="burgers1d")
    found, params = load_input(path, system, frame=3)
    np.testing.assert_array_equal(found[:, 0], contents(path)[:, 3, ::2])
    assert params["Nu"].tolist() == [0.01] * 10


@pytest.mark.parametrize(
    ("system", "sentence"),
    [
        (
            replace(LINE, shape=(5,), coords=(tuple(np.arange(5) / 5),)),
            r"grid \(5,\) or a multiple expected, found \(16,\)",
        ),
        (LINE, "points of spatial axis 0 from 0 to 0.875 expected"),
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
        (np.full((3, 1, 8), np.nan), LINE, 0, "state 0 holds NaN or Inf"),
    ],
)
def test_an_input_that_does_not_fit_the_system_is_one_sentence(tmp_path, values, system, frame, sentence):
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(UserError, match=sentence):
        load_input(tmp_path / "a.npy", system, frame)
