"""Every broken input is one sentence on stderr, exit code 2, and nothing lost."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

from tests.small import config
from ups.cli import app


def edit(path: Path, section: str, **values: Any) -> None:
    """Changes a section of a config file."""
    content = yaml.safe_load(path.read_text())
    content.setdefault(section, {}).update(values)
    path.write_text(yaml.safe_dump(content))


def data_file(path: Path) -> Path:
    return path.parent / "data" / "1D_Advection_Sols_beta0.4.hdf5"


def missing_file(path: Path) -> None:
    data_file(path).unlink()


def truncated(path: Path) -> None:
    whole = data_file(path).read_bytes()
    data_file(path).write_bytes(whole[: len(whole) // 2])


def not_hdf5(path: Path) -> None:
    data_file(path).write_text("no HDF5 here")


def nans(path: Path) -> None:
    with h5py.File(data_file(path), "r+") as file:
        values = np.asarray(file["tensor"])
        values[7, 3, 5] = np.nan
        del file["tensor"]
        file["tensor"] = values


def wrong_rank(path: Path) -> None:
    with h5py.File(data_file(path), "r+") as file:
        values = np.asarray(file["tensor"])[0]
        del file["tensor"]
        file["tensor"] = values


def too_few(path: Path) -> None:
    with h5py.File(data_file(path), "r+") as file:
        values = np.asarray(file["tensor"])[:2]
        del file["tensor"]
        file["tensor"] = values


def unknown_key(path: Path) -> None:
    edit(path, "training", batchsize=4)


def wrong_type(path: Path) -> None:
    edit(path, "training", batch_size="many")


def contradiction(path: Path) -> None:
    edit(path, "operator", pdet={"input_dim": 16, "hidden_dim": 16, "num_heads": 2})


def bad_yaml(path: Path) -> None:
    path.write_text("data: [unclosed")


def too_many_tokens(path: Path) -> None:
    edit(path, "latent", tokens=33)


def horizon_too_long(path: Path) -> None:
    edit(path, "training", rollout_horizon=30)


def stride_too_wide(path: Path) -> None:
    edit(path, "data", subsample={"space": 64})


def no_stage(path: Path) -> None:
    edit(path, "stages", operator={"epochs": 0}, autoencoder={"epochs": 0})


def no_device(path: Path) -> None:
    edit(path, "run", device="cuda:7")


def foreign_checkpoint(path: Path) -> None:
    folder = path.parent / "run" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save({"weights": torch.zeros(3)}, folder / "autoencoder_resume.pt")


def truncated_checkpoint(path: Path) -> None:
    folder = path.parent / "run" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "autoencoder_resume.pt").write_bytes(b"PK\x03\x04 half a zip")


class Evil:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch /tmp/ups-broken-input",)


def pickle_with_code(path: Path) -> None:
    folder = path.parent / "run" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "autoencoder_resume.pt").write_bytes(pickle.dumps(Evil(), protocol=2))


def run_folder_is_a_file(path: Path) -> None:
    (path.parent / "run").write_text("in the way")


BROKEN: list[tuple[Callable[[Path], None], str]] = [
    (missing_file, "ups data generate advection1d --root"),
    (truncated, "truncated"),
    (not_hdf5, "HDF5"),
    (nans, "trajectory 7 holds NaN or Inf in frame 3"),
    (wrong_rank, "rank 3"),
    (too_few, "trajectories"),
    (unknown_key, "batch_size"),
    (wrong_type, "training.batch_size"),
    (contradiction, "input_dim"),
    (bad_yaml, "small.yaml:1"),
    (too_many_tokens, "latent.tokens"),
    (horizon_too_long, "rollout_horizon"),
    (stride_too_wide, "subsample"),
    (no_stage, "nothing to train"),
    (no_device, "run.device"),
    (foreign_checkpoint, "not a checkpoint of this program"),
    (truncated_checkpoint, "not a readable checkpoint"),
    (pickle_with_code, "checkpoint"),
    (run_folder_is_a_file, "cannot write the folder"),
]


@pytest.mark.parametrize("breakage,sentence", BROKEN, ids=[b.__name__ for b, _ in BROKEN])
def test_broken_input_is_one_sentence_and_exit_code_2(
    tmp_path: Path, breakage: Callable[[Path], None], sentence: str
) -> None:
    path = config(tmp_path)
    breakage(path)
    kept = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    result = CliRunner().invoke(app, ["run", str(path)])
    assert result.exit_code == 2, result.output
    assert sentence in result.stderr.replace("\n", " "), result.stderr
    assert "Traceback" not in result.stderr and result.stderr.strip().splitlines()[-1].startswith("error: ")
    assert all(p.read_bytes() == data for p, data in kept.items())
    assert not Path("/tmp/ups-broken-input").exists()


def test_a_read_only_run_folder_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write everywhere, so the refusal of the file system is played."""
    path, original = config(tmp_path), os.open

    def refuse(name: Any, *rest: Any, **options: Any) -> int:
        if str(name).endswith(".lock"):
            raise PermissionError(13, "Permission denied", str(name))
        return original(name, *rest, **options)

    monkeypatch.setattr(os, "open", refuse)
    result = CliRunner().invoke(app, ["run", str(path)])
    assert result.exit_code == 2 and "Permission denied; choose another with --set run.dir=FOLDER" in result.stderr


def test_a_second_process_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    from ups.run.train import claim

    path = config(tmp_path)
    with claim(tmp_path / "run"):
        result = CliRunner().invoke(app, ["run", str(path)])
    assert result.exit_code == 2 and "another process is working in" in result.stderr
