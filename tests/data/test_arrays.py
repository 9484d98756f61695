import h5py
import numpy as np
import pytest
import torch

from ups.core.errors import UserError
from ups.data.arrays import open_mapped
from ups.data.settings import MappingSettings

VALUES = np.random.default_rng(0).random((4, 3, 8))
LINE = {"values": "u", "axes": "n t x", "length": 2.0, "dt": 0.5}


def mapping(**changes) -> MappingSettings:
    return MappingSettings.model_validate(LINE | changes)


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "mine.npz"
    axes = {"x": np.linspace(0, 1, 8), "t": [0.0, 0.1, 0.2]}
    np.savez(path, u=VALUES, v=2 * VALUES, nu=np.arange(4.0), k=[[0.5]], **axes)
    return path


def test_axes_without_coordinates_follow_from_length_step_and_boundary(archive):
    periodic, open_ended = (open_mapped(archive, mapping(), (kind,)) for kind in ("periodic", "neumann"))
    np.testing.assert_allclose(periodic.coords[0], np.arange(8) * 0.25)
    np.testing.assert_allclose(open_ended.coords[0], np.linspace(0, 2, 8))
    np.testing.assert_allclose(periodic.times, [0.0, 0.5, 1.0])


def test_coordinates_and_times_come_from_keys_or_values(archive):
    given = mapping(length=None, dt=None, coords=["x"], times=[3.0, 4.0, 6.0])
    source = open_mapped(archive, given, ("neumann",))
    np.testing.assert_array_equal(source.coords[0], np.linspace(0, 1, 8))
    np.testing.assert_array_equal(source.times, [3.0, 4.0, 6.0])


def test_times_of_each_trajectory_are_one_axis_if_they_are_equal(tmp_path):
    times = np.tile([0.0, 0.5, 1.0], (4, 1))
    np.savez(tmp_path / "a.npz", u=VALUES, t=times, own=times * np.arange(1, 5)[:, None], column=times[:1].T)
    for key in ("t", "column"):
        assert open_mapped(tmp_path / "a.npz", mapping(dt=None, times=key), ("periodic",)).times.tolist() == [0, 0.5, 1]
    with pytest.raises(UserError, match=r"times: at least 2 values along one axis expected, found shape \(4, 3\)"):
        open_mapped(tmp_path / "a.npz", mapping(dt=None, times="own"), ("periodic",))


def test_parameters_come_from_keys_of_one_or_n_values_or_are_values(archive):
    source = open_mapped(archive, mapping(params={"nu": "nu", "k": "k", "c": 7}), ("periodic",))
    assert {name: values.tolist() for name, values in source.params.items()} == {
        "nu": [0.0, 1.0, 2.0, 3.0],
        "k": [0.5] * 4,
        "c": [7.0] * 4,
    }


def test_several_keys_are_channels_called_by_them_unless_named(archive):
    source = open_mapped(archive, mapping(values=["u", "v"]), ("periodic",))
    assert source.channels == ("u", "v")
    np.testing.assert_array_equal(source.read(slice(None)), np.stack((VALUES, 2 * VALUES), 2).astype(np.float32))
    assert open_mapped(archive, mapping(channels="height"), ("periodic",)).channels == ("height",)


def test_channels_of_one_array_are_numbered(tmp_path):
    np.save(tmp_path / "a.npy", VALUES.reshape(4, 3, 2, 4))
    source = open_mapped(tmp_path / "a.npy", mapping(axes="n t c x"), ("periodic",))
    assert source.channels == ("u0", "u1")


def test_a_file_of_one_trajectory_needs_no_n(tmp_path):
    np.save(tmp_path / "a.npy", VALUES[0].T)
    source = open_mapped(tmp_path / "a.npy", mapping(axes="x t"), ("periodic",))
    assert source.n == 1
    np.testing.assert_array_equal(source.read(slice(None))[0, :, 0], VALUES[0].astype(np.float32))


def test_three_spatial_axes_are_read(tmp_path):
    values = np.random.default_rng(0).random((2, 3, 4, 5, 6)).astype(np.float32)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["runs/u"] = values
    given = mapping(values="runs/u", axes="n t x y z", length=[1.0, 2.0, 3.0])
    source = open_mapped(tmp_path / "a.h5", given, ("periodic", "dirichlet", "neumann"))
    np.testing.assert_array_equal(source.read(slice(None))[:, :, 0], values)
    assert [float(axis[-1]) for axis in source.coords] == [0.75, 2.0, 3.0]


def test_only_the_visible_rows_of_a_tensor_are_read_in_single_precision(tmp_path):
    storage = torch.rand(6, 3, 8, dtype=torch.float64)
    torch.save({"u": storage[:4]}, tmp_path / "a.pt")
    source = open_mapped(tmp_path / "a.pt", mapping(), ("periodic",))
    assert source.n == 4
    np.testing.assert_array_equal(source.read(slice(None))[:, :, 0], storage[:4].numpy().astype(np.float32))


@pytest.mark.parametrize(
    ("changes", "boundary", "sentence"),
    [
        ({"values": "w"}, ("periodic",), "no array 'w'; the file holds u, v"),
        ({"axes": "t x"}, ("periodic",), r"shape \(4, 3, 8\), but data\.mapping\.axes names 2 axes"),
        ({}, None, r"set data\.boundary"),
        ({}, ("periodic", "periodic"), "for 1 spatial axes expected"),
        ({"length": None, "coords": [[0.0, 1.0]]}, ("periodic",), r"grid \(8,\) found, but coordinates for \(2,\)"),
        ({"dt": None, "times": "x"}, ("periodic",), "3 frames found, but 8 times"),
        ({"params": {"nu": "x"}}, ("periodic",), "parameter nu needs 1 or 4 values, found 8"),
        ({"channels": ["a", "b"]}, ("periodic",), "1 channels found, but 2 names"),
    ],
)
def test_a_mapping_that_does_not_fit_the_file_is_one_sentence(archive, changes, boundary, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        open_mapped(archive, mapping(**changes), boundary)
    assert str(archive) in str(caught.value)
