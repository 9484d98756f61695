import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from ups.core.errors import UserError
from ups.data import locate as module
from ups.data.dataset import open_dataset
from ups.data.locate import locate
from ups.data.settings import DataSettings

GENERATE = {"pde": "burgers1d", "trajectories": 6, "resolution": 16, "frames": 4, "params": {"Nu": 0.02}}


def data(**given) -> DataSettings:
    return DataSettings.model_validate(given)


@pytest.fixture
def generator(monkeypatch):
    """Stand in for the solver: writes a file in the layout of the generator and counts its calls."""
    calls = []

    def generate(settings, path: Path, progress) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        full = settings.resolved()
        with h5py.File(path, "w") as file:
            file["tensor"] = np.random.default_rng(settings.seed).random(
                (full.trajectories, full.frames, full.resolution)
            )
            file["x-coordinate"] = np.arange(full.resolution) / full.resolution
            file["t-coordinate"] = np.arange(full.frames) * full.dt
            file.attrs["settings"] = full.model_dump_json()
        progress(full.trajectories, full.trajectories)
        calls.append(path)
        return path

    monkeypatch.setattr(module, "generate", generate)
    return calls


@pytest.mark.parametrize("download", [True, False])
def test_missing_files_name_the_command_that_generates_them(tmp_path, monkeypatch, download):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        locate(data(task="burgers1d", root="data/pdebench", download=download))
    assert "`ups data generate burgers1d --root data/pdebench`" in str(caught.value)
    assert ("data.download" in str(caught.value)) == download


def test_download_does_no_harm_where_the_files_are(write_pdebench, tmp_path):
    path = write_pdebench()
    assert locate(data(task="burgers1d", root=str(tmp_path), download=True)).train == (path,)


def test_missing_data_are_generated_once_and_used(tmp_path, generator):
    settings = data(root=str(tmp_path), generate=GENERATE)
    dataset = open_dataset(settings)
    assert dataset.system.task == "burgers1d" and dataset.train.n == 4
    assert dataset.statistics.param_mean == pytest.approx((0.02,))
    assert open_dataset(settings).hash == dataset.hash
    assert [path.name for path in generator] == ["1D_Burgers_Sols_Nu0.02.hdf5"]


def test_nothing_is_generated_where_that_is_not_allowed(tmp_path, generator):
    with pytest.raises(UserError, match="ups data generate burgers1d"):
        locate(data(root=str(tmp_path), generate=GENERATE), allow_generate=False)
    assert not generator


def test_other_files_of_the_task_are_not_mixed_with_generated_ones(tmp_path, generator, write_pdebench):
    write_pdebench("1D_Burgers_Sols_Nu0.01.hdf5")
    located = locate(data(task="burgers1d", root=str(tmp_path), generate=GENERATE))
    assert [path.name for path in located.train] == ["1D_Burgers_Sols_Nu0.02.hdf5"]


def test_a_file_generated_with_other_settings_is_not_taken_for_the_wanted(tmp_path, generator):
    locate(data(root=str(tmp_path), generate=GENERATE))
    with pytest.raises(UserError, match="was generated with trajectories = 6, not 8"):
        locate(data(root=str(tmp_path), generate=GENERATE | {"trajectories": 8}))


def test_a_file_with_an_ensemble_beside_it_holds_the_same_trajectories(tmp_path, generator):
    forced = {"pde": "forced_burgers1d", "trajectories": 6, "resolution": 16, "frames": 4}
    (path,) = locate(data(root=str(tmp_path), generate=forced | {"members": 5})).train
    assert locate(data(root=str(tmp_path), generate=forced)).train == (path,) and len(generator) == 1
    with pytest.raises(UserError, match="was generated with members = 5, not 3"):
        locate(data(root=str(tmp_path), generate=forced | {"members": 3}))


def test_a_file_generated_by_another_rule_for_the_solver_grid_is_still_the_wanted(tmp_path, generator):
    settings = data(root=str(tmp_path), generate=GENERATE)
    (path,) = locate(settings).train
    with h5py.File(path, "a") as file:
        stated = json.loads(str(file.attrs["settings"]))
        file.attrs["settings"] = json.dumps(stated | {"points": 4096})
    assert locate(settings).train == (path,)


def test_a_task_that_contradicts_the_generator_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"data\.task is 'ks1d' but data\.generate\.pde is 'burgers1d'"):
        locate(data(task="ks1d", root=str(tmp_path), generate=GENERATE))


def test_an_unknown_task_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="did you mean 'burgers1d'"):
        locate(data(task="burgers"))


def test_a_file_named_for_two_splits_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"named twice, in data\.files\.train and data\.files\.test"):
        locate(data(files={"train": "a.npz", "test": str(tmp_path / "a.npz")}))


def test_a_pattern_that_matches_nothing_is_refused(tmp_path):
    with pytest.raises(UserError, match="no file matches"):
        locate(data(files=str(tmp_path / "*.npz")))
