"""The generator writes what it promises: reproducible, PDEBench's layout, in one piece, with one-sentence errors."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from pydantic import ValidationError

from ups.core.errors import UserError
from ups.data.pdebench import open_pdebench
from ups.simulate import generate as module
from ups.simulate import simulation
from ups.simulate.generate import GenerateSettings, ensemble, ensemble_path, generate, published_path

SMALL = {"pde": "burgers1d", "resolution": 32, "points": 64, "substeps": 8, "frames": 4}


def array(path: Path, name: str = "tensor") -> np.ndarray:
    with h5py.File(path) as file:
        stored = file[name]
        assert isinstance(stored, h5py.Dataset)
        assert stored.chunks is None
        return stored[()]


def written(settings: GenerateSettings, path: Path) -> np.ndarray:
    return array(generate(settings, path))


def test_same_settings_give_identical_arrays_and_fewer_trajectories_are_a_prefix(tmp_path: Path) -> None:
    ten = written(GenerateSettings(**SMALL, trajectories=10), tmp_path / "a.hdf5")
    again = written(GenerateSettings(**SMALL, trajectories=10), tmp_path / "b.hdf5")
    five = written(GenerateSettings(**SMALL, trajectories=5), tmp_path / "c.hdf5")
    many = written(GenerateSettings(**SMALL, trajectories=20), tmp_path / "d.hdf5")
    assert ten.tobytes() == again.tobytes()
    assert ten[:5].tobytes() == five.tobytes()
    assert many[:10].tobytes() == ten.tobytes()
    assert len({row.tobytes() for row in many}) == 20


def test_another_seed_gives_other_trajectories(tmp_path: Path) -> None:
    a = written(GenerateSettings(**SMALL, trajectories=2), tmp_path / "a.hdf5")
    b = written(GenerateSettings(**SMALL, trajectories=2, seed=1), tmp_path / "b.hdf5")
    assert not np.allclose(a, b)


def test_drawn_parameters_are_stored_per_trajectory_and_used(tmp_path: Path) -> None:
    settings = GenerateSettings(pde="advection1d", resolution=32, frames=3, trajectories=4, params={"beta": (0.1, 1.0)})
    u = written(settings, tmp_path / "a.hdf5")
    beta = array(tmp_path / "a.hdf5", "params/beta")
    assert beta.shape == (4,)
    assert len(set(beta)) == 4
    assert ((beta > 0.1) & (beta < 1.0)).all()
    before, after = np.fft.rfft(u[:, :2])[:, :, 1:5].swapaxes(0, 1)
    shift = np.exp(-2j * np.pi * np.arange(1, 5) * beta[:, None] * 0.05)
    np.testing.assert_allclose(after, before * shift, atol=0.01 * np.abs(before).max())


def test_file_follows_the_published_layout(tmp_path: Path) -> None:
    settings = GenerateSettings(pde="diffusion1d", resolution=16, frames=3, trajectories=5, params={"Nu": 0.02})
    path = generate(settings, published_path(tmp_path / "new" / "folder", settings))
    assert path.name == "1D_Diffusion_Sols_Nu0.02.hdf5"
    assert array(path).shape == (5, 3, 16, 2)
    assert array(path).dtype == np.float32
    np.testing.assert_allclose(array(path, "x-coordinate"), np.arange(16) / 16)
    np.testing.assert_allclose(array(path, "t-coordinate"), [0, 0.1, 0.2], rtol=1e-6)
    assert array(path, "params/k").shape == (5,)
    with h5py.File(path) as file:
        attributes: dict[str, Any] = dict(file.attrs)
    assert attributes["Nu"] == 0.02
    assert list(attributes["channels"]) == ["u", "source"]
    assert list(attributes["boundary"]) == ["periodic"]
    assert GenerateSettings(**json.loads(attributes["settings"])) == settings.resolved()
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_the_reader_of_published_files_gives_back_what_was_simulated(tmp_path: Path) -> None:
    settings = GenerateSettings(pde="diffusion1d", resolution=16, frames=3, trajectories=5)
    source = open_pdebench(generate(settings, published_path(tmp_path, settings)))
    np.testing.assert_array_equal(source.read(slice(None)), settings.simulation().run(range(5)).astype(np.float32))
    assert set(source.params) == {"Nu", "k"}
    assert len(set(source.params["k"])) == 5


def test_hidden_points_are_left_out_of_an_otherwise_equal_file(tmp_path: Path) -> None:
    full = written(GenerateSettings(**SMALL, trajectories=2), tmp_path / "full.hdf5")
    settings = GenerateSettings(**SMALL, trajectories=2, observe_every=4)
    np.testing.assert_array_equal(written(settings, tmp_path / "part.hdf5"), full[..., ::4])
    assert published_path(tmp_path, settings).name == "1D_Burgers_Sols_Nu0.01_every4.hdf5"


def test_members_share_the_initial_state_and_member_0_is_the_trajectory(tmp_path: Path) -> None:
    settings = GenerateSettings(
        pde="forced_burgers1d", resolution=32, points=32, substeps=4, frames=3, trajectories=3, members=2
    )
    path = generate(settings, tmp_path / "a.hdf5")
    u, members = array(path), array(ensemble_path(path), "ensemble")
    assert members.shape == (3, 2, 3, 32)
    np.testing.assert_array_equal(members[:, 0], u)
    np.testing.assert_array_equal(members[:, 1, 0], u[:, 0])
    assert np.abs(members[:, 1, 1] - u[:, 1]).max() > 1e-3


def test_ensemble_members_differ_and_repeat_with_the_seed() -> None:
    settings = GenerateSettings(pde="forced_burgers1d", resolution=32, points=32, substeps=4)
    u0 = np.sin(2 * np.pi * np.arange(32) / 32)[None].repeat(2, axis=0)
    values = ensemble(settings, u0, members=3, frames=3, seed=5)
    assert values.shape == (2, 3, 3, 32)
    np.testing.assert_allclose(values[:, :, 0], u0[:, None].repeat(3, axis=1), atol=1e-6)
    assert len({row.tobytes() for row in values[:, :, 1].reshape(6, -1)}) == 6
    np.testing.assert_array_equal(values, ensemble(settings, u0, members=3, frames=3, seed=5))


def test_progress_counts_up_to_the_total(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    generate(GenerateSettings(**SMALL, trajectories=20), tmp_path / "a.hdf5", lambda *at: seen.append(at))
    assert seen == [(16, 20), (20, 20)]


FLOW = {"pde": "kolmogorov2d", "resolution": 16, "points": 16, "substeps": 4, "dt": 0.5}


def test_in_2d_progress_hears_of_every_frame_and_rows_do_not_depend_on_the_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[float, int]] = []
    settings = GenerateSettings(**FLOW, frames=3, trajectories=20)
    many = array(generate(settings, tmp_path / "a.hdf5", lambda *at: seen.append(at)))
    assert len(seen) == 2 * (20 + 2)  # two chunks of 20 frames of spin-up and 2 of the file
    assert all(b[0] > a[0] for a, b in pairwise(seen)) and seen[-1] == (pytest.approx(20), 20)
    monkeypatch.setattr(simulation, "cores", lambda: 1)
    assert many.tobytes() == written(settings, tmp_path / "b.hdf5").tobytes()


def test_an_interrupted_generation_ends_after_the_frame_at_work_and_leaves_no_file(tmp_path: Path) -> None:
    heard: list[float] = []

    def interrupt(done: float, total: int) -> None:
        heard.append(done)
        if done > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(GenerateSettings(**FLOW, frames=1000, trajectories=400), tmp_path / "a.hdf5", interrupt)
    assert len(heard) < 100 and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"pde": "burger1d"}, "did you mean 'burgers1d'"),
        ({"params": {"nu": 0.1}}, "did you mean 'Nu'"),
        ({"params": {"Nu": -0.1}}, "positive number for Nu"),
        ({"params": {"Nu": "0.2:0.1"}}, "range low:high for Nu"),
        ({"params": {"Nu": "a"}}, "params.Nu"),
        ({"resolution": 250, "points": 256}, "multiple of the resolution 250"),
        ({"resolution": 250, "observe_every": 4}, "does not divide the resolution 250"),
        ({"trajectories": 0}, "trajectories"),
        ({"dt": -1.0}, "dt"),
        ({"members": 4}, "random system"),
        ({"pde": "forced_burgers1d", "substeps": 7}, "divide 128"),
    ],
)
def test_settings_that_cannot_work_are_refused(values: dict, sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        GenerateSettings(**values)


def test_too_coarse_a_solver_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    settings = GenerateSettings(pde="burgers1d", params={"Nu": 1e-3}, points=256, substeps=2, trajectories=2)
    with pytest.raises(UserError, match="trajectory 1 at frame"):
        generate(settings, tmp_path / "a.hdf5")
    assert list(tmp_path.iterdir()) == []


def test_missing_exponax_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "exponax", None)
    with pytest.raises(UserError, match=r"universal-physics-stack\[data\]"):
        generate(GenerateSettings(**SMALL, dt=0.033, trajectories=1), tmp_path / "a.hdf5")


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match="cannot write the data file"):
        generate(GenerateSettings(**SMALL, trajectories=1), tmp_path / "file" / "a.hdf5")


def test_a_full_disk_is_an_error_and_the_older_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.hdf5"
    path.write_text("older")

    def full(*_: object) -> np.ndarray:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "channels_last", full)
    with pytest.raises(UserError, match="No space left on device"):
        generate(GenerateSettings(**SMALL, trajectories=1), path)
    assert path.read_text() == "older"
    assert len(list(tmp_path.iterdir())) == 1
