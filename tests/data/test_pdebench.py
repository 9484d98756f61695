import shutil

import h5py
import numpy as np
import pytest

from ups.core.errors import UserError
from ups.core.tasks import TASKS
from ups.data.pdebench import find_published, open_pdebench, task_of
from ups.data.settings import SubsampleSettings
from ups.simulate.generate import GenerateSettings, published_path


def test_the_file_is_read_as_it_was_written_without_the_extra_time(write_pdebench, contents):
    path = write_pdebench()
    source = open_pdebench(path)
    np.testing.assert_array_equal(source.read(slice(None))[:, :, 0], contents(path))
    assert len(contents(path, "t-coordinate")) == source.frames + 1
    np.testing.assert_allclose(source.times, np.arange(11) * 0.1, rtol=1e-6)
    np.testing.assert_allclose(source.coords[0], (np.arange(16) + 0.5) / 16)
    assert (source.channels, source.boundary, source.n) == (("u",), ("periodic",), 10)


def test_strides_thin_out_points_and_frames_and_their_coordinates(write_pdebench):
    path = write_pdebench()
    source, whole = open_pdebench(path, subsample=SubsampleSettings(space=4, time=5)), open_pdebench(path)
    np.testing.assert_array_equal(source.read(slice(2, 4)), whole.read(slice(2, 4))[:, ::5, :, ::4])
    np.testing.assert_array_equal(source.coords[0], whole.coords[0][::4])
    np.testing.assert_array_equal(source.times, whole.times[::5])


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("1D_Burgers_Sols_Nu0.001.hdf5", {"Nu": 0.001}),
        ("1D_Advection_Sols_beta4.0.hdf5", {"beta": 4.0}),
        ("ReacDiff_Nu0.5_Rho10.0.hdf5", {"Nu": 0.5, "Rho": 10.0}),
        ("1D_Burgers_Sols_Nu1.e-8.hdf5", {"Nu": 1e-8}),
    ],
)
def test_parameters_are_read_from_the_published_name(write_pdebench, name, params):
    found = open_pdebench(write_pdebench(name)).params
    assert {key: value.tolist() for key, value in found.items()} == {key: [value] * 10 for key, value in params.items()}


def test_a_drawn_parameter_goes_before_the_attribute_and_the_name(write_pdebench):
    path = write_pdebench("1D_Burgers_Sols_Nu0.01-0.1.hdf5")
    drawn = np.linspace(0.01, 0.1, 10)
    with h5py.File(path, "a") as file:
        file["params/Nu"] = drawn
    np.testing.assert_array_equal(open_pdebench(path).params["Nu"], drawn)


def test_a_name_that_contradicts_the_attribute_is_refused(write_pdebench):
    with pytest.raises(UserError, match=r"the name says Nu = 0\.01, its attribute 0\.1"):
        open_pdebench(write_pdebench(Nu=0.1))


def test_several_channels_lie_last_and_are_named_by_the_task(write_pdebench, replace_array):
    path = write_pdebench("1D_Diffusion_Sols_Nu0.01.hdf5")
    values = np.random.default_rng(0).random((3, 11, 16, 2)).astype(np.float32)
    replace_array(path, "tensor", values)
    source = open_pdebench(path)
    assert source.channels == ("u", "source")
    np.testing.assert_array_equal(source.read(slice(None)), np.moveaxis(values, -1, 2))


def test_one_array_per_channel_is_read_as_channels(write_pdebench, contents):
    path = write_pdebench("1D_CFD_Rand.hdf5")
    velocity = contents(path)
    with h5py.File(path, "a") as file:
        file["Vx"], file["density"] = velocity, 2 * velocity
        del file["tensor"]
    source = open_pdebench(path, boundary=("periodic",))
    assert source.channels == ("Vx", "density")
    np.testing.assert_array_equal(source.read(slice(None)), np.stack((velocity, 2 * velocity), axis=2))


def test_two_dimensions_are_read_by_their_coordinates(write_pdebench, replace_array):
    path = write_pdebench("2D_Kolmogorov_Sols_Nu0.01.hdf5")
    values = np.random.default_rng(0).random((2, 11, 16, 8)).astype(np.float32)
    replace_array(path, "tensor", values)
    replace_array(path, "y-coordinate", np.arange(8) / 8)
    source = open_pdebench(path, subsample=SubsampleSettings(space=2))
    assert (source.shape, source.boundary) == ((8, 4), ("periodic", "periodic"))
    np.testing.assert_array_equal(source.read(slice(None))[:, :, 0], values[:, :, ::2, ::2])


@pytest.mark.parametrize(
    ("key", "values", "sentence"),
    [
        ("x-coordinate", None, r"x-coordinate and t-coordinate expected, found t-coordinate, tensor.*data\.mapping"),
        ("tensor", None, "no 'tensor'"),
        ("tensor", np.zeros((10, 16)), r"rank 3 .* found shape \(10, 16\)"),
        ("t-coordinate", np.arange(5.0), "11 or 12 entries expected, found 5"),
        ("x-coordinate", np.arange(8.0), r"grid \(16,\) found, but coordinates for \(8,\)"),
    ],
)
def test_a_file_of_another_layout_is_one_sentence(write_pdebench, key, values, sentence):
    path = write_pdebench()
    with h5py.File(path, "a") as file:
        del file[key]
        if values is not None:
            file[key] = values
    with pytest.raises(UserError, match=sentence):
        open_pdebench(path)


def test_an_unknown_boundary_is_asked_for(write_pdebench):
    path = write_pdebench("mine.hdf5")
    with pytest.raises(UserError, match=r"set data\.boundary"):
        open_pdebench(path)
    assert open_pdebench(path, boundary=("dirichlet",)).boundary == ("dirichlet",)


def test_files_are_found_in_the_published_folders_through_links_and_by_task_only(write_pdebench, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    first = write_pdebench("elsewhere/1D/Burgers/Train/1D_Burgers_Sols_Nu0.01.hdf5")
    (root / "1D").symlink_to(tmp_path / "elsewhere/1D")
    second = write_pdebench("root/1D_Burgers_Sols_Nu0.001.hdf5")
    write_pdebench("root/1D_Advection_Sols_beta0.1.hdf5")
    write_pdebench("root/1D_Burgers_Sols_Nu0.01_ensemble.hdf5")
    write_pdebench("root/.1D_Burgers_Sols_Nu0.02.hdf5.123.part")
    found = find_published(root, "burgers1d")
    assert [path.name for path in found] == [second.name, first.name]
    assert find_published(tmp_path / "nowhere", "burgers1d") == []


def test_the_same_file_twice_under_the_root_is_refused(write_pdebench, tmp_path):
    path = write_pdebench("a/1D_Burgers_Sols_Nu0.01.hdf5")
    (tmp_path / "b").mkdir()
    shutil.copy(path, tmp_path / "b")
    with pytest.raises(UserError, match="same name"):
        find_published(tmp_path, "burgers1d")


@pytest.mark.parametrize("task", TASKS)
def test_every_generated_file_is_found_again_by_its_task(tmp_path, task):
    variants = [{}, {"observe_every": 2}]
    for name in TASKS[task].params:
        variants += [{"params": {name: value}} for value in (1e-5, 3.0, (0.5, 0.75))]
    for variant in variants:
        path = published_path(tmp_path, GenerateSettings.model_validate({"pde": task, **variant}))
        path.touch()
        assert task_of(path) == task
        assert path in find_published(tmp_path, task)
