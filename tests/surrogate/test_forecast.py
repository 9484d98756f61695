"""A forecast says what it holds: in its file, in its picture, and to whoever reads it again."""

from dataclasses import replace
from pathlib import Path

import h5py
import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from tests.conftest import dataset
from tests.models.systems import head, latent_model, surrogate, system
from ups.core.errors import UserError
from ups.surrogate.forecast import Forecast, Origin, is_forecast
from ups.surrogate.surrogate import Surrogate

ORIGIN = Origin("runs/a", "0123", "crps", 2, "field", 7, 0.1, "given", "u0.npy")
PLANE = replace(system((8, 12)), channels=("$h",), axes=("y", "x"))


def forecast(values: torch.Tensor, **changes: object) -> Forecast:
    """A forecast of values (B, M, T, C, *S) on a plane."""
    times, params = 0.1 * torch.arange(1, 1 + values.shape[2]).double(), torch.full((len(values), 1), 0.5)
    return replace(Forecast(values, times, PLANE, params, 1.0, ORIGIN), **changes)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are saved."""
    found: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (found.append(self), save(self, *a, **k)))
    return found


def test_the_file_says_what_it_holds_and_how_it_came_about(tmp_path: Path):
    made = forecast(torch.rand(2, 3, 4, 1, 8, 12))
    made.save(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        assert [dim.label for dim in dataset(file, "values").dims] == [
            "trajectory",
            "member",
            "time",
            "channel",
            "y",
            "x",
        ]
        np.testing.assert_array_equal(dataset(file, "y-coordinate"), np.arange(8) / 8)
        np.testing.assert_array_equal(dataset(file, "x-coordinate"), np.arange(12) / 12)
        np.testing.assert_array_equal(dataset(file, "params/Nu"), [0.5, 0.5])
        attributes = {
            name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in file.attrs.items()
        }
        assert (attributes["channels"], attributes["axes"], attributes["param_names"]) == (["$h"], ["y", "x"], ["Nu"])
        assert (attributes["run"], attributes["data_hash"], attributes["seed"]) == ("runs/a", "0123", 7)
        assert (attributes["dt"], attributes["sampler"], attributes["nfe"]) == (0.1, "crps", 2)
        assert attributes["states_from"] == "u0.npy"


def test_a_forecast_that_was_saved_is_read_again(tmp_path: Path):
    made = forecast(torch.rand(2, 3, 4, 1, 8, 12))
    path = made.save(tmp_path / "a.h5")
    again = Forecast.load(path)
    assert torch.equal(again.values, made.values) and torch.equal(again.times, made.times)
    assert torch.equal(again.params, made.params) and (again.system, again.origin) == (made.system, made.origin)
    assert torch.equal(Forecast.load(path, slice(-1, None)).values, made.values[:, :, -1:]) and is_forecast(path)


def test_what_is_no_forecast_is_refused(tmp_path: Path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["values"] = np.ones(3)
    with pytest.raises(UserError, match=r"a.h5: a file of `ups predict` or `Forecast.save` expected, found another"):
        Forecast.load(tmp_path / "a.h5")
    assert not is_forecast(tmp_path / "a.h5") and not is_forecast(tmp_path / "none.h5")
    path = forecast(torch.rand(1, 1, 2, 1, 8, 12)).save(tmp_path / "b.h5")
    with h5py.File(path, "a") as file:
        del file["times"]
    with pytest.raises(UserError, match=r"b.h5: the forecast is missing or damaged"):
        Forecast.load(path)


def test_a_picture_names_axes_channel_and_parameter_and_centres_what_crosses_0(tmp_path: Path, drawn: list[Figure]):
    values = torch.rand(1, 1, 2, 1, 8, 12)
    forecast(1 + values).plot(tmp_path / "a.png")
    forecast(values - 0.5).plot(tmp_path / "b.png")
    for figure, cmap in zip(drawn, ("cividis", "RdBu_r"), strict=True):
        axis = figure.axes[0]
        assert (axis.get_xlabel(), axis.get_ylabel()) == ("y", "x") and axis.get_title() == r"\$h at t = 0.2"
        image = axis.images[0]
        assert image.get_cmap().name == cmap and figure.get_suptitle() == "Nu = 0.5"
        low, high = image.get_clim()
        assert (low == -high) == (cmap == "RdBu_r")


def test_a_picture_leaves_the_backend_of_a_notebook_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    before = matplotlib.get_backend()
    monkeypatch.setattr(matplotlib, "use", lambda *_, **__: pytest.fail("the backend was changed"))
    matplotlib.rcParams["backend"] = "svg"
    try:
        forecast(torch.rand(1, 2, 2, 1, 8, 12)).plot(tmp_path / "a.png")
        assert matplotlib.get_backend() == "svg"
    finally:
        matplotlib.rcParams["backend"] = before


@pytest.mark.parametrize("options", [{"trajectory": 1}, {"channel": 1}, {"trajectory": -1}])
def test_a_picture_of_what_is_not_there_is_refused(tmp_path: Path, options: dict[str, int]):
    with pytest.raises(UserError, match="asked for, but the forecast has 1, counted from 0"):
        forecast(torch.rand(1, 1, 2, 1, 8, 12)).plot(tmp_path / "a.png", **options)


def test_a_rollout_says_where_it_is_from():
    model = Surrogate(latent_model(system()), heads={"crps": head("crps")}, data_hash="0123", run="runs/a")
    made = model.rollout(np.zeros(32), 2, params=[0.3], members=2, nfe=1, seed=5)
    assert made.origin == Origin("runs/a", "0123", "crps", 1, "field", 5, 0.1, "given")
    assert made.params.tolist() == [[pytest.approx(0.3)]]
    with pytest.warns(UserWarning, match="assumed"):
        alone = surrogate().rollout(np.zeros((2, 1, 32)), 1)
    assert (alone.origin.sampler, alone.origin.params_from) == ("none", "training mean") and alone.params.shape == (
        2,
        1,
    )
