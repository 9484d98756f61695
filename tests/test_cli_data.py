"""`ups data generate` from the command line to a data set that is found again."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.conftest import travelling_waves
from ups.cli import app
from ups.data.dataset import open_dataset
from ups.data.settings import DataSettings


def ups(*arguments: Any) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("value", "words"),
    [("0", "Invalid value for '--observe-every'"), ("3", "observe_every 3 does not divide the resolution 128")],
)
def test_generate_refuses_strides_that_do_not_fit_the_grid(tmp_path: Path, value: str, words: str) -> None:
    result = ups("data", "generate", "ks1d", "--root", tmp_path, "--observe-every", value)
    assert result.exit_code == 2 and words in " ".join(result.stderr.split())
    assert not list(tmp_path.iterdir())


def test_a_part_of_the_state_is_generated_and_found_again(tmp_path: Path) -> None:
    options = ["--trajectories", "3", "--resolution", "32", "--frames", "3", "--observe-every", "4"]
    result = ups("data", "generate", "advection1d", "--root", tmp_path, *options)
    assert result.exit_code == 0, result.stderr
    generate = {"pde": "advection1d", "trajectories": 3, "resolution": 32, "frames": 3, "observe_every": 4}
    data = DataSettings.model_validate({"root": str(tmp_path), "generate": generate})
    assert open_dataset(data, allow_generate=False).system.shape == (8,)


def test_a_start_from_rest_is_told_of_and_a_zero_tail_is_refused(tmp_path: Path) -> None:
    u = travelling_waves(3, 6, 16)
    waves = {"p": u + 2, "u": u.copy()}
    config = tmp_path / "a.yaml"
    mapping = "{values: [p, u], axes: n t x, length: 1.0, dt: 0.1}"
    config.write_text(f"data: {{files: {tmp_path / 'a.npz'}, mapping: {mapping}, boundary: periodic}}")
    for frames, code, said in ((slice(1), 0, "note: "), (slice(4, 6), 2, "warning: ")):
        waves["u"][:] = u
        waves["u"][:, frames] = 0
        np.savez(tmp_path / "a.npz", allow_pickle=False, **waves)
        result = ups("data", "check", tmp_path / "a.npz", "-c", config)
        assert result.exit_code == code and result.stdout.startswith(said)
