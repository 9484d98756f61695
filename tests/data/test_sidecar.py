import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.conftest import travelling_waves
from ups.core.errors import UserError
from ups.data import storage
from ups.data.dataset import Dataset, open_dataset
from ups.data.settings import DataSettings
from ups.data.sidecar import SIDECAR
from ups.data.trajectories import StoredTrajectories


@pytest.fixture
def frames_read(monkeypatch) -> list[int]:
    """Counts the frames that are read of any file; the sum of the list is their number."""
    counted: list[int] = []
    read = StoredTrajectories.read

    def counting(self, which, frames=slice(None)):
        values = read(self, which, frames)
        counted.append(values.shape[0] * values.shape[1])
        return values

    monkeypatch.setattr(StoredTrajectories, "read", counting)
    return counted


def opened(folder: Path, **given) -> Dataset:
    settings = DataSettings.model_validate({"task": "burgers1d", "root": str(folder), "in_memory_mb": 0.0, **given})
    return open_dataset(settings, sidecar=folder / "run" / SIDECAR)


def change(path: Path, trajectory: int, values: np.ndarray | float) -> None:
    with h5py.File(path, "a") as file:
        tensor = file["tensor"]
        assert isinstance(tensor, h5py.Dataset)
        tensor[trajectory] = values
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000_000_000))


def same(one: Dataset, other: Dataset) -> bool:
    return (one.hash, one.files, one.statistics, one.system) == (
        other.hash,
        other.files,
        other.statistics,
        other.system,
    )


def test_opening_again_reads_no_values_and_gives_the_same_data_set_to_the_bit(write_pdebench, tmp_path, frames_read):
    write_pdebench()
    first = opened(tmp_path)
    assert sum(frames_read) == 10 * 11 + 8 * 11  # all 10 for the hash, the 8 of the training split for the moments
    frames_read.clear()
    assert same(opened(tmp_path), first) and frames_read == []
    assert same(opened(tmp_path / ".." / tmp_path.name), first) and frames_read == []


def test_splits_in_memory_are_read_once_and_not_again_for_hash_and_moments(write_pdebench, tmp_path, frames_read):
    write_pdebench()
    first = opened(tmp_path)
    frames_read.clear()
    held = opened(tmp_path, in_memory_mb=100.0)
    assert same(held, first) and held.train.in_memory and sum(frames_read) == 10 * 11


def test_another_choice_of_trajectories_or_points_is_read(write_pdebench, tmp_path, frames_read):
    write_pdebench()
    for given in ({}, {"limit": 6}, {"test": 0.3}, {"subsample": {"space": 2}}, {"boundary": "neumann"}):
        fresh = open_dataset(
            DataSettings.model_validate({"task": "burgers1d", "root": str(tmp_path), "in_memory_mb": 0.0, **given})
        )
        frames_read.clear()
        assert same(opened(tmp_path, **given), fresh) and frames_read


def test_a_file_that_has_changed_is_read_though_its_size_is_the_same(write_pdebench, tmp_path):
    path = write_pdebench()
    first = opened(tmp_path)
    change(path, 5, travelling_waves(1, 11, 16, seed=1)[0])
    second = opened(tmp_path)
    assert second.hash != first.hash and second.statistics != first.statistics
    change(path, 5, np.nan)
    with pytest.raises(UserError, match="trajectory 5 holds NaN or Inf in frame 0"):
        opened(tmp_path)


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff\xfe", "short", "nan"])
def test_a_damaged_record_is_written_anew_in_silence(write_pdebench, tmp_path, capfd, damage):
    write_pdebench()
    first, record = opened(tmp_path), tmp_path / "run" / SIDECAR
    sound = record.read_bytes()
    start, stop = sound.index(b'"hashes": [') + len(b'"hashes": ['), sound.index(b'"mean"')
    edited = {"short": sound[:start] + b"]," + sound[stop:], "nan": sound.replace(b'"std": [', b'"std": [NaN, ')}
    record.write_bytes(damage if isinstance(damage, bytes) else edited[damage])
    assert same(opened(tmp_path), first) and record.read_bytes() == sound
    assert capfd.readouterr() == ("", "")


def test_a_record_that_cannot_be_written_stops_nothing(write_pdebench, tmp_path):
    write_pdebench()
    (tmp_path / "run").write_text("a file in the place of the folder")
    assert opened(tmp_path).train.n == 8


def test_a_missing_file_is_named(tmp_path):
    mapping = {"values": "u", "axes": "n t x", "length": 1.0, "dt": 0.1}
    settings = DataSettings.model_validate({"files": "none.npz", "mapping": mapping, "boundary": "periodic"})
    with pytest.raises(UserError, match=r"none\.npz: file not found"):
        open_dataset(settings, sidecar=tmp_path / SIDECAR)


def test_the_arrays_of_a_file_are_listed_once(write_pdebench, tmp_path, monkeypatch):
    listed: list[Path] = []
    names = storage._hdf5_names
    monkeypatch.setattr(storage, "_hdf5_names", lambda path: listed.append(path) or names(path))
    paths = [
        write_pdebench(f"1D_Burgers_Sols_Nu{nu}.hdf5", travelling_waves(4, 3, 8, seed=i))
        for i, nu in enumerate((0.01, 0.1))
    ]
    opened(tmp_path)
    assert sorted(listed) == sorted(paths)
