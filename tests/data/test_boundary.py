"""`data.boundary` in all its forms."""

from pathlib import Path

import numpy as np
import pytest

from ups.core.errors import UserError
from ups.core.system import System
from ups.data.boundary import BoundarySettings
from ups.data.dataset import open_dataset
from ups.data.settings import DataSettings

AXES = ("y", "x")


def settings(boundary: object) -> BoundarySettings:
    read = DataSettings.model_validate({"files": ["a"], "boundary": boundary}).boundary
    assert read is not None
    again = DataSettings.model_validate({"files": ["a"], "boundary": read.model_dump(mode="json")}).boundary
    assert again == read  # what a run writes down is what it reads
    return read


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("periodic", ("periodic", "periodic")),
        (["neumann", "periodic"], ("neumann", "periodic")),
        (["dirichlet/neumann", "periodic"], ("dirichlet/neumann", "periodic")),
        ([{"low": "dirichlet", "high": "neumann"}, "periodic"], ("dirichlet/neumann", "periodic")),
        ({"x": "periodic", "y": {"low": "wall", "high": "wall"}}, ("wall", "periodic")),
        ({"y": {"low": "dirichlet", "high": "neumann"}, "x": "open"}, ("dirichlet/neumann", "open")),
    ],
)
def test_every_form_gives_one_condition_for_each_axis(given: object, expected: tuple[str, ...]) -> None:
    read = settings(given)
    assert read.of(AXES, "file") == expected
    assert read.of_channels(expected, AXES, ("h", "v"), "file") == ()


@pytest.mark.parametrize(
    "own",
    ["dirichlet", {"y": "dirichlet"}, ["dirichlet", "periodic"], {"y": {"low": "dirichlet", "high": "dirichlet"}}],
)
def test_a_channel_may_have_a_condition_of_its_own(own: object) -> None:
    read = settings({"y": "wall", "x": "periodic", "channels": {"v": own}})
    assert read.of_channels(("wall", "periodic"), AXES, ("h", "v"), "file") == (
        ("wall", "periodic"),
        ("dirichlet", "periodic"),
    )


def test_a_plain_condition_is_written_down_as_it_was() -> None:
    assert settings("periodic").model_dump(mode="json") == ["periodic"]
    assert settings(["wall", "periodic"]).model_dump(mode="json") == ["wall", "periodic"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"y": "wall"}, "for the spatial axes y, x expected, found y"),
        (["wall", "wall", "wall"], r"for 2 spatial axes expected, found \[wall, wall, wall\]"),
    ],
)
def test_axes_that_do_not_fit_are_refused(given: object, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        settings(given).of(AXES, "file")


@pytest.mark.parametrize(
    ("channels", "sentence"),
    [({"w": "wall"}, "names w, expected one of h, v"), ({"v": {"x": "wall"}}, "differ in what is periodic")],
)
def test_channels_that_do_not_fit_are_refused(channels: object, sentence: str) -> None:
    read = settings({"y": "wall", "x": "periodic", "channels": channels})
    with pytest.raises(UserError, match=sentence):
        read.of_channels(("wall", "periodic"), AXES, ("h", "v"), "file")


def rod(folder: Path, boundary: object, low: float = 300.0, high: float = 0.0, sidecar: Path | None = None) -> System:
    """A rod with one end held, the other free, and a channel that is held nowhere."""
    rng, x = np.random.default_rng(0), np.linspace(0, 1, 9)
    size = rng.uniform(1, 2, (12, 5, 1))
    T = low + (high - low) * x**2 + size * np.sin(np.pi * x)
    T[..., -1] += rng.normal(size=(12, 5)) if high else 0
    np.savez(folder / "rod.npz", T=T.astype("f4"), q=(size * np.cos(3 * x) - 5).astype("f4"))
    mapping = {"values": ["T", "q"], "axes": "n t x", "length": 1.0, "dt": 0.1}
    data = {"files": [str(folder / "rod.npz")], "mapping": mapping, "boundary": boundary}
    return open_dataset(DataSettings.model_validate(data), sidecar=sidecar).system


def test_a_value_that_never_changes_is_held_by_axis_side_and_channel(tmp_path: Path) -> None:
    assert rod(tmp_path, "dirichlet").walls == (((300.0, None), (0.0, None)),)
    assert rod(tmp_path, "dirichlet", high=2.0).walls == (((300.0, None), (None, None)),)
    for _ in range(2):  # read, and recalled
        found = rod(tmp_path, "dirichlet", sidecar=tmp_path / "data.json").walls
        assert found == (((300.0, None), (0.0, None)),)


def test_open_sides_and_periodic_axes_hold_nothing(tmp_path: Path) -> None:
    assert rod(tmp_path, "periodic").walls == ()
    assert rod(tmp_path, "open").walls == ()
    assert rod(tmp_path, {"x": {"low": "open", "high": "wall"}}).walls == (((None, None), (0.0, None)),)
    own = rod(tmp_path, {"x": "wall", "channels": {"T": "open"}})
    assert own.walls == () and own.channel_boundary == (("open",), ("wall",))
    assert not own.closed(0) and own.closed(1)
    assert System.from_dict(own.to_dict()) == own
