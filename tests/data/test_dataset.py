import json
import shutil

import h5py
import numpy as np
import pytest
import torch

from ups.core.errors import UserError
from ups.data.dataset import open_dataset
from ups.data.settings import DataSettings


def data(**given) -> DataSettings:
    return DataSettings.model_validate(given)


@pytest.fixture
def burgers(write_pdebench, tmp_path) -> dict:
    write_pdebench()
    return {"task": "burgers1d", "root": str(tmp_path)}


def random_values(n: int = 10, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, 11, 16)).astype(np.float32)


def test_a_single_file_is_split_first_test_then_validation_then_train(burgers, contents, tmp_path):
    dataset = open_dataset(data(**burgers, validation=0.2))
    values = torch.from_numpy(contents(tmp_path / "1D_Burgers_Sols_Nu0.01.hdf5"))[:, :, None]
    assert torch.equal(dataset.test.trajectories(0, 1), values[:1])
    assert torch.equal(dataset.validation.trajectories(0, 2), values[1:3])
    assert torch.equal(dataset.train.trajectories(0, 7), values[3:])


def test_the_system_is_that_of_the_strided_data(burgers):
    system = open_dataset(data(**burgers, subsample={"space": 4, "time": 5})).system
    assert (system.shape, system.boundary, system.param_names, system.task) == (
        (4,),
        ("periodic",),
        ("Nu",),
        "burgers1d",
    )
    assert system.dt == pytest.approx(0.5)
    assert system.extent == pytest.approx((1.0,))


@pytest.mark.parametrize("in_memory_mb", [0.0, 100.0])
def test_statistics_know_the_training_split_only(write_pdebench, tmp_path, in_memory_mb):
    values = random_values()
    values[:2] += 1e6  # test and validation
    write_pdebench(values=values)
    statistics = open_dataset(data(task="burgers1d", root=str(tmp_path), in_memory_mb=in_memory_mb)).statistics
    np.testing.assert_allclose(statistics.mean[0], values[2:].mean(dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(statistics.std[0], values[2:].std(dtype=np.float64), rtol=1e-6)
    assert statistics.param_mean == pytest.approx((0.01,)) and statistics.param_std == (1.0,)


def test_reading_window_by_window_gives_the_same_data_set(burgers):
    held, lazy = open_dataset(data(**burgers)), open_dataset(data(**burgers, in_memory_mb=0.0))
    assert held.train.in_memory and not lazy.train.in_memory
    rows, starts = np.array([4, 0, 7]), np.array([1, 8, 3])
    assert torch.equal(held.train.windows(rows, starts, 3), lazy.train.windows(rows, starts, 3))
    assert held.hash == lazy.hash and held.statistics == lazy.statistics


def test_files_of_several_parameters_train_one_model_with_the_parameter_as_condition(write_pdebench, tmp_path):
    for seed, nu in enumerate((0.001, 0.01)):
        write_pdebench(f"1D/Burgers/Train/1D_Burgers_Sols_Nu{nu}.hdf5", random_values(seed=seed))
    dataset = open_dataset(data(task="burgers1d", root=str(tmp_path)))
    assert (dataset.train.n, dataset.validation.n, dataset.test.n) == (16, 2, 2)
    assert dataset.test.indices.tolist() == [[0, 9], [1, 9]]
    np.testing.assert_allclose(dataset.test.params.numpy(), [[0.001], [0.01]], rtol=1e-6)
    assert dataset.statistics.param_std == pytest.approx((0.0045,), rel=1e-5)


def test_one_value_of_a_parameter_is_chosen_and_split_as_the_single_file_it_is(write_pdebench, tmp_path):
    for seed, nu in enumerate((0.001, 0.01)):
        write_pdebench(f"1D_Burgers_Sols_Nu{nu}.hdf5", random_values(seed=seed))
    chosen = open_dataset(data(task="burgers1d", root=str(tmp_path), params={"Nu": 0.01}))
    assert [name for name, _ in chosen.files] == ["1D_Burgers_Sols_Nu0.01.hdf5"]
    assert chosen.test.indices.tolist() == [[0, 0]]


def test_trajectories_of_one_file_are_chosen_by_their_own_parameter(write_pdebench, tmp_path):
    path = write_pdebench("1D_Burgers_Sols_Nu0.1-0.2.hdf5")
    with h5py.File(path, "a") as file:
        file["params/Nu"] = np.array([0.1, 0.2] * 5)
    dataset = open_dataset(data(task="burgers1d", root=str(tmp_path), params={"Nu": 0.2}))
    assert np.concatenate((dataset.test.indices, dataset.validation.indices, dataset.train.indices))[:, 1].tolist() == [
        1,
        3,
        5,
        7,
        9,
    ]


def test_the_limit_takes_the_first_trajectories_of_each_file(burgers):
    dataset = open_dataset(data(**burgers, limit=5))
    assert (dataset.train.n, dataset.validation.n, dataset.test.n) == (3, 1, 1)


MAPPING = {"values": "y", "axes": "n t x", "dt": 0.0625, "length": 1.0}


def test_given_test_files_are_tested_on_whole_and_validation_comes_from_training(tmp_path):
    train, test = random_values(20), random_values(7, seed=1)
    torch.save({"y": torch.from_numpy(train).double()}, tmp_path / "train.pt")
    torch.save({"y": torch.from_numpy(test).double()}, tmp_path / "test.pt")
    files = {"train": [str(tmp_path / "train.pt")], "test": [str(tmp_path / "test.pt")]}
    dataset = open_dataset(data(files=files, mapping=MAPPING, boundary=["periodic"]))
    np.testing.assert_array_equal(dataset.test.trajectories(0, 7)[:, :, 0], test)
    np.testing.assert_array_equal(dataset.validation.trajectories(0, 2)[:, :, 0], train[:2])
    np.testing.assert_array_equal(dataset.train.trajectories(0, 18)[:, :, 0], train[2:])
    assert dataset.system.dt == 0.0625 and dataset.system.task == ""


def test_every_split_can_have_files_of_its_own(tmp_path):
    files = {}
    for seed, part in enumerate(("train", "validation", "test")):
        np.savez(tmp_path / f"{part}.npz", y=random_values(1, seed))
        files[part] = str(tmp_path / f"{part}.npz")
    dataset = open_dataset(data(files=files, mapping=MAPPING, boundary="periodic"))
    assert (dataset.train.n, dataset.validation.n, dataset.test.n) == (1, 1, 1)


def test_a_pattern_names_many_files_of_one_trajectory(tmp_path):
    for seed in range(6):
        np.save(tmp_path / f"run{seed}.npy", random_values(1, seed)[0])
    mapping = MAPPING | {"axes": "t x"}
    dataset = open_dataset(data(files=str(tmp_path / "run*.npy"), mapping=mapping, boundary="periodic"))
    assert (dataset.train.n, dataset.validation.n, dataset.test.n) == (4, 1, 1)


def test_axes_are_named_as_in_the_mapping_and_ranges_are_those_of_the_training_split(tmp_path):
    k = np.array([9.0, 0.5, *np.linspace(1, 2, 18)])  # the first two test, the next two validate
    np.savez(tmp_path / "a.npz", v=np.random.default_rng(0).random((20, 5, 4, 6)), k=k)
    mapping = {"values": "v", "axes": "n t y x", "dt": 0.1, "length": 1.0, "params": {"k": "k"}}
    dataset = open_dataset(data(files=str(tmp_path / "a.npz"), mapping=mapping, boundary="periodic"))
    assert dataset.system.axes == ("y", "x") and dataset.describe()["axes"] == ["y", "x"]
    assert dataset.system.param_range == ((np.float32(k[4]), 2.0),)


def test_the_hash_is_that_of_the_data_and_not_of_the_place(burgers, tmp_path):
    original = open_dataset(data(**burgers))
    moved = tmp_path / "moved"
    moved.mkdir()
    shutil.move(tmp_path / "1D_Burgers_Sols_Nu0.01.hdf5", moved)
    assert open_dataset(data(task="burgers1d", root=str(moved))).hash == original.hash
    other = open_dataset(data(task="burgers1d", root=str(moved), test=0.3))
    assert other.hash != original.hash and other.test.hash != original.test.hash
    assert open_dataset(data(task="burgers1d", root=str(moved), subsample={"space": 2})).hash != original.hash


def test_the_description_is_json_and_says_what_was_scored(burgers):
    described = json.loads(json.dumps(open_dataset(data(**burgers, subsample={"time": 5})).describe()))
    assert described["stride"] == {"space": 1, "time": 5}
    assert {name: split["trajectories"] for name, split in described["splits"].items()} == {
        "train": 8,
        "validation": 1,
        "test": 1,
    }


@pytest.mark.parametrize("part", [0, 1, 5])
def test_nan_in_any_split_is_refused_at_opening(write_pdebench, tmp_path, part):
    values = random_values()
    values[part, 7, 3] = np.nan
    write_pdebench(values=values)
    with pytest.raises(UserError, match=rf"Nu0\.01\.hdf5: trajectory {part} holds NaN or Inf in frame 7"):
        open_dataset(data(task="burgers1d", root=str(tmp_path)))


def test_nan_in_the_training_split_is_refused_at_opening_even_if_it_is_not_held(write_pdebench, tmp_path):
    values = random_values()
    values[5, 7, 3] = np.inf
    write_pdebench(values=values)
    with pytest.raises(UserError, match="trajectory 5 holds NaN or Inf in frame 7"):
        open_dataset(data(task="burgers1d", root=str(tmp_path), in_memory_mb=0.0))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"tensor": random_values()[:, :, ::2], "x-coordinate": np.arange(8) / 8},
            r"grid shape \(8,\) differs from \(16,\)",
        ),
        ({"x-coordinate": np.arange(16) / 16}, "coordinates of spatial axis 0 differ"),
        ({"t-coordinate": np.arange(11) * 0.2}, "times differ"),
        ({"tensor": random_values()[:, :5], "t-coordinate": np.arange(5) * 0.1}, "number of frames 5 differs from 11"),
        ({"tensor": random_values()[..., None].repeat(2, -1)}, "channels .* differs from"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(write_pdebench, replace_array, tmp_path, changes, sentence):
    write_pdebench("1D_Burgers_Sols_Nu0.01.hdf5", random_values(seed=0))
    second = write_pdebench("1D_Burgers_Sols_Nu0.1.hdf5", random_values(seed=1))
    for key, values in changes.items():
        replace_array(second, key, values)
    with pytest.raises(UserError, match=sentence):
        open_dataset(data(task="burgers1d", root=str(tmp_path)))


def test_uneven_times_are_refused_because_a_model_steps_by_one_dt(burgers, replace_array, tmp_path):
    replace_array(tmp_path / "1D_Burgers_Sols_Nu0.01.hdf5", "t-coordinate", np.arange(11) ** 1.1)
    with pytest.raises(UserError, match="evenly spaced times expected"):
        open_dataset(data(**burgers))


def test_hours_stored_as_float32_days_are_even_and_agree_with_float64(tmp_path):
    days = 4160 + np.arange(11) / 24
    for seed, kind in enumerate((np.float32, np.float64)):
        np.savez(tmp_path / f"{seed}.npz", y=random_values(seed=seed), t=days.astype(kind))
    mapping = {"values": "y", "length": 1.0, "times": "t"}
    found = open_dataset(data(files=[str(tmp_path / "*.npz")], mapping=mapping, boundary="periodic"))
    assert found.system.dt == pytest.approx(1 / 24, rel=2e-4)
    assert np.diff(found.train.times) == pytest.approx(found.system.dt, rel=1e-6)


@pytest.mark.parametrize("unit", [1.0, 1e-11])
def test_points_that_crowd_at_the_walls_are_refused_and_not_taken_for_even(tmp_path, unit):
    np.savez(tmp_path / "a.npz", y=random_values(), x=unit * (1 - np.cos(np.pi * (np.arange(16) + 0.5) / 16)))
    mapping = {"values": "y", "coords": ["x"], "dt": unit}
    with pytest.raises(UserError, match="evenly spaced coordinates of spatial axis 0 expected, found steps from"):
        open_dataset(data(files=str(tmp_path / "a.npz"), mapping=mapping, boundary="dirichlet"))


def test_a_grid_and_steps_of_a_tiny_unit_are_opened_with_it(tmp_path):
    np.savez(tmp_path / "a.npz", y=random_values(), x=1e-11 * np.arange(16), t=1e-11 * np.arange(11))
    np.savez(tmp_path / "b.npz", y=random_values(seed=1), x=1.1e-11 * np.arange(16), t=1e-11 * np.arange(11))
    mapping = {"values": "y", "coords": ["x"], "times": "t"}
    system = open_dataset(data(files=str(tmp_path / "a.npz"), mapping=mapping, boundary="neumann")).system
    assert system.dt == pytest.approx(1e-11) and system.extent == pytest.approx((15e-11,))
    with pytest.raises(UserError, match="coordinates of spatial axis 0 differ"):
        open_dataset(data(files=[str(tmp_path / "[ab].npz")], mapping=mapping, boundary="neumann"))


def test_strides_are_steps_of_the_system_and_change_no_hash(burgers):
    plain, several = open_dataset(data(**burgers)), open_dataset(data(**burgers, strides=[1, 2, 4]))
    assert plain.system.steps == (plain.system.dt,) and plain.system.dt == pytest.approx(0.1)
    assert several.system.steps == pytest.approx((0.1, 0.2, 0.4))
    assert several.hash == plain.hash
    with pytest.raises(UserError, match=r"data.strides up to 10 expected, as trajectories have 11 frames"):
        open_dataset(data(**burgers, strides=[1, 11]))


def test_a_wanted_time_step_takes_every_so_many_th_frame(burgers):
    thinned = open_dataset(data(**burgers, subsample={"dt": 0.5}))
    assert thinned.hash == open_dataset(data(**burgers, subsample={"time": 5})).hash
    assert thinned.describe()["stride"] == {"space": 1, "time": 5} and thinned.system.dt == pytest.approx(0.5)
    both = open_dataset(data(**burgers, subsample={"dt": 0.6, "time": 2}))
    assert both.describe()["stride"]["time"] == 6


@pytest.mark.parametrize("dt", [0.05, 0.12, 1.1])
def test_a_time_step_that_the_data_do_not_have_is_refused_with_the_cure(burgers, dt):
    sentence = rf"training.dt .* whole multiple, up to 10, of 0.1, .* found {dt}; leave it out to take every frame"
    with pytest.raises(UserError, match=sentence):
        open_dataset(data(**burgers, subsample={"dt": dt}))


def test_copies_of_one_file_are_refused(tmp_path):
    for name in ("train", "test"):
        np.savez(tmp_path / f"{name}.npz", y=random_values())
    files = {"train": str(tmp_path / "train.npz"), "test": str(tmp_path / "test.npz")}
    with pytest.raises(UserError, match="holds the same trajectories"):
        open_dataset(data(files=files, mapping=MAPPING, boundary="periodic"))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"params": {"nu": 0.01}}, r"data\.params\.nu is no parameter of the data; known: \['Nu'\]"),
        ({"params": {"Nu": 0.5}}, r"no trajectory for train has Nu = 0\.5"),
        ({"limit": 2}, "2 trajectories cannot be divided into 3 splits"),
        ({"subsample": {"space": 5}}, "does not divide the 16 points"),
        ({"boundary": ["periodic", "periodic"]}, "for 1 spatial axes expected"),
    ],
)
def test_settings_that_do_not_fit_the_files_are_one_sentence(burgers, changes, sentence):
    with pytest.raises(UserError, match=sentence):
        open_dataset(data(**burgers, **changes))


def test_no_file_stays_open_after_opening(burgers, tmp_path):
    open_dataset(data(**burgers))
    with h5py.File(tmp_path / "1D_Burgers_Sols_Nu0.01.hdf5", "w") as file:
        file["other"] = 1.0
