"""`ups evaluate --rescore` and `--mode ttc` on damaged scores and forecasts: one sentence, no file changed."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest
from typer.testing import CliRunner

from tests.small import config
from ups.cli import app
from ups.config import load_config
from ups.run.score import evaluate_run
from ups.run.train import train

SMALL = {"hidden_dim": 16, "depths": [1], "num_heads": 2, "group_size": 8, "reserve": 0.25}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluated run with a sampler."""
    epochs = {name: {"epochs": 1} for name in ("autoencoder", "operator", "crps_ensemble")}
    evaluation = {"bootstrap": 100, "pictures": False, "members": 2, "lead_times": [1]}
    folder = train(
        load_config(config(tmp_path_factory.mktemp("run"), stages=epochs, diffusion=SMALL, evaluation=evaluation))
    )
    evaluate_run(folder)
    return folder


@pytest.fixture
def folder(evaluated: Path, tmp_path: Path) -> Path:
    """A copy of the run."""
    return Path(shutil.copytree(evaluated, tmp_path / "run"))


def refused(folder: Path, *options: str) -> str:
    """The one sentence with which an evaluation of a damaged run ends, once it is known to leave every file alone."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    done = CliRunner().invoke(app, ["evaluate", str(folder), *options])
    assert done.exit_code == 2, done.output
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    return done.stderr


METRICS: list[tuple[Callable[[Any], Any] | bytes, str]] = [
    (b"", "is damaged"),
    (b'{"protocol": {"seed"', "is damaged"),
    (b"[" * 100_000, "is damaged"),
    (b"[]", "expected a mapping, found a list of 0"),
    (lambda m: m.pop("protocol"), "protocol is missing"),
    (lambda m: m["protocol"].pop("lead_times"), "protocol.lead_times is missing"),
    (lambda m: m["protocol"].update(context=10**18), "of them given"),
    (lambda m: m.update(rows=[]), "rows is empty"),
    (lambda m: m["rows"][1].pop("rollout"), "rollout is missing"),
    (lambda m: m["rows"][1]["rollout"].update(nrmse="0.1"), "rollout.nrmse: expected a number, found '0.1'"),
    (lambda m: m["rows"][1]["rollout"].update(nrmse=float("nan")), "rollout.nrmse: expected"),
    (lambda m: m.update(ledger=None), "ledger: expected a list, found None"),
]


@pytest.mark.parametrize("options", [["--rescore"], ["--mode", "ttc"]], ids=" ".join)
@pytest.mark.parametrize(("damage", "says"), METRICS, ids=[says for _, says in METRICS])
def test_damaged_scores_are_one_sentence(
    folder: Path, options: list[str], damage: Callable[[Any], Any] | bytes, says: str
) -> None:
    path = folder / "metrics.json"
    if isinstance(damage, bytes):
        path.write_bytes(damage)
    else:
        content = copy.deepcopy(json.loads(path.read_text()))
        damage(content)
        path.write_text(json.dumps(content))
    said = refused(folder, *options)
    assert f"{path}" in said and says in said and said.endswith("; evaluate again\n")


def without(name: str) -> Callable[[h5py.File], None]:
    """Drops a group, an array or, where there is none of that name, an attribute."""

    def drop(file: h5py.File) -> None:
        del (file if name in file else file.attrs)[name]

    return drop


def empty(file: h5py.File) -> None:
    """An array without numbers."""
    del file["rows/00/rollout"]
    file["rows/00/rollout"] = h5py.Empty("f4")


def huge(file: h5py.File) -> None:
    """An array that declares 2^40 trajectories, and holds none."""
    shape = file["truth"].shape  # pyright: ignore[reportAttributeAccessIssue]
    del file["truth"]
    file.create_dataset("truth", (2**40, *shape[1:]), "f4", chunks=(1, *shape[1:]))


FORECASTS: list[tuple[str, Callable[[h5py.File], None] | bytes, str]] = [
    ("no file of HDF5", b"text", "is damaged"),
    ("cut", b"\x89HDF\r\n\x1a\n", "is damaged"),
    ("no truth", without("truth"), "truth is missing"),
    ("no rows", without("rows"), "rows is missing"),
    ("no times", without("times"), "times is missing"),
    ("no protocol", without("protocol"), "protocol"),
    ("empty", empty, "rows/00/rollout"),
    ("huge", huge, "truth declares more than the file holds"),
]


@pytest.mark.parametrize("options", [["--rescore"], ["--mode", "ttc"]], ids=" ".join)
@pytest.mark.parametrize(("damage", "says"), [case[1:] for case in FORECASTS], ids=[case[0] for case in FORECASTS])
def test_damaged_forecasts_are_one_sentence(
    folder: Path, options: list[str], damage: Callable[[h5py.File], None] | bytes, says: str
) -> None:
    path = folder / "predictions.h5"
    if isinstance(damage, bytes):
        path.write_bytes(damage)
    else:
        with h5py.File(path, "a") as file:
            damage(file)
    said = refused(folder, *options)
    assert f"{path}" in said and says in said and said.endswith("; evaluate again\n")


@pytest.mark.parametrize("options", [["--rescore"], ["--mode", "ttc"]], ids=" ".join)
@pytest.mark.parametrize("name", ["metrics.json", "predictions.h5"])
def test_missing_files_are_one_sentence(folder: Path, options: list[str], name: str) -> None:
    (folder / name).unlink()
    assert str(folder / name) in refused(folder, *options)
