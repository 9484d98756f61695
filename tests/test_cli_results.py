"""`ups predict` and `ups steady` on a small trained run: what is asked for lies in the file that is named."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner, Result

import ups as package
from tests.small import config
from tests.stages.test_steady import STAGES, settling
from ups.cli import app
from ups.config import load_config
from ups.run.train import train

SIGNATURES = {".png": b"\x89PNG", ".PDF": b"%PDF", ".svg": b"<?xml", ".jpg": b"\xff\xd8"}


def ups(*arguments: Any) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a steady prior; three initial states lie beside it in `states.npy`."""
    folder = tmp_path_factory.mktemp("run")
    latent = {"dim": 16, "tokens": 4, "width": 8}
    path = config(folder, data=settling(folder, rate=6.0), latent=latent, stages=STAGES)
    np.save(folder / "states.npy", np.load(folder / "settling.npz")["u"][:3, 0])
    return train(load_config(path))


@pytest.fixture
def states(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The initial states, seen from an empty folder."""
    monkeypatch.chdir(tmp_path)
    return run.parent / "states.npy"


def test_without_a_name_the_numbers_are_named_after_the_input(run: Path, states: Path) -> None:
    for command, shape in {"steady": (3, 1, 1, 2, 16), "predict": (3, 1, 4, 2, 16)}.items():
        steps = ["--steps", "4"] if command == "predict" else []
        result = ups(command, run, states, *steps)
        what = "steady" if command == "steady" else "forecast"
        assert result.exit_code == 0 and f"wrote states_{what}.h5: 3 " in result.output
        with h5py.File(f"states_{what}.h5") as file:
            stored = file["values"]
            assert isinstance(stored, h5py.Dataset) and stored.shape == shape
            if command == "steady":
                np.testing.assert_array_equal(stored[:, 0, 0], package.load(run).steady(np.load(states)))


@pytest.mark.parametrize("ending", SIGNATURES)
@pytest.mark.parametrize("command", ["predict", "steady"])
def test_a_picture_is_a_picture_whatever_its_format(run: Path, states: Path, command: str, ending: str) -> None:
    target = Path("new") / f"out{ending}"
    result = ups(command, run, states, "-o", target)
    assert result.exit_code == 0, result.stderr
    assert target.read_bytes().startswith(SIGNATURES[ending]) and len(list(target.parent.iterdir())) == 1


@pytest.mark.parametrize("command", ["predict", "steady"])
def test_an_ending_that_is_neither_numbers_nor_a_picture_is_refused(run: Path, states: Path, command: str) -> None:
    result = ups(command, run, states, "-o", "out.npy")
    assert result.exit_code == 2 and not list(Path().iterdir())
    assert "--output: expected a name that ends in .h5, .hdf5 (numbers) or .png, .pdf," in result.stderr
    assert result.stderr.endswith("found out.npy\n")
