"""A new stage is an entry of the table and a file: config, training, sampler, row and command line follow."""

import subprocess
import sys
from pathlib import Path

from tests.small import config

MODEL = {"hidden_dim": 16, "depths": [1], "num_heads": 2, "group_size": 8, "reserve": 0.4, "objective": "crps"}
FILE = """
from dataclasses import replace
from ups.stages import residual

def build(context, name):
    made = residual.build(context, name)
    return replace(made, loss=lambda model, batch, progress: {"loss": made.loss(model, batch, progress)["loss"] / 2})
"""
PROGRAM = """
import json
import sys
import ups.stages
from ups.core.stages import STAGES, StageSpec

path, folder = sys.argv[1:]
ups.stages.__path__.append(folder)
STAGES["toy"] = StageSpec("toy", "A toy.", predecessors=("operator",), why="it is no use alone", residual=True,
                          sampler="toy", rows=("toy",), built_on="operator")

from typer.testing import CliRunner
from ups.cli import app
from ups.config import load_config
from ups.core.errors import UserError
from ups.run.train import run

result = run(load_config(path))
written = json.loads((result.folder / "metrics.json").read_text())
rows = {entry["model"]: entry for entry in written["ledger"]}
assert rows["toy"]["against"] == "operator" and rows["toy"]["members"] == 4
assert rows["toy"]["train_seconds"] > rows["operator"]["train_seconds"]
u0 = result.model.model.codec.u_mean.expand(2, 1, 32)
assert result.model.rollout(u0, 3, members=2, sampler="toy").values.shape == (2, 2, 3, 1, 32)
assert (result.folder / "checkpoints" / "toy_ema.pt").exists()
trained = CliRunner().invoke(app, ["train", "-c", path, "--stage", "toy", "--fresh"])
assert trained.exit_code == 0, trained.output
assert (result.folder / "checkpoints.1" / "toy.pt").exists()
try:
    load_config(path, ["stages.operator.epochs=0", "stages.autoencoder.epochs=1"])
except UserError as error:
    assert "toy needs stage operator (it is no use alone)" in str(error)
else:
    raise AssertionError("a stage without what it builds on")
"""


def test_an_entry_and_a_file_are_a_stage(tmp_path: Path) -> None:
    (tmp_path / "toy.py").write_text(FILE)
    path = config(
        tmp_path,
        stages={"operator": {"epochs": 1}, "toy": {"epochs": 1}},
        diffusion=MODEL,
        evaluation={"bootstrap": 100, "pictures": False, "members": 4},
    )
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
