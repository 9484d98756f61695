from pathlib import Path

import h5py
import numpy as np
import pytest

from ups.data import hashes
from ups.data.arrays import open_mapped
from ups.data.hashes import content_hash, split_hash
from ups.data.settings import MappingSettings, SubsampleSettings

VALUES = np.random.default_rng(0).random((6, 5, 8)).astype(np.float32)


def opened(path: Path, values: np.ndarray, dt: float = 0.1, stride: int = 1):
    if path.suffix == ".npz":
        np.savez(path, u=values)
    else:
        with h5py.File(path, "w") as file:
            file["u"] = values
    mapping = MappingSettings(values=("u",), axes="n t x", length=(1.0,), dt=dt)
    return open_mapped(path, mapping, ("periodic",), SubsampleSettings(space=stride))


def test_the_same_values_hash_alike_in_any_format_and_place(tmp_path):
    assert content_hash(opened(tmp_path / "a.npz", VALUES)) == content_hash(opened(tmp_path / "b.h5", VALUES))


@pytest.mark.parametrize("whole", [True, False])
def test_values_axes_and_strides_change_the_hash(tmp_path, whole, monkeypatch):
    if not whole:
        monkeypatch.setattr(hashes, "WHOLE_BYTES", 0)
    original = content_hash(opened(tmp_path / "a.npz", VALUES))
    changed = VALUES.copy()
    changed[-1, -1, -1] += 1e-3
    assert content_hash(opened(tmp_path / "b.npz", changed)) != original
    assert content_hash(opened(tmp_path / "b.npz", VALUES[:5])) != original
    assert content_hash(opened(tmp_path / "b.npz", VALUES, dt=0.2)) != original
    assert content_hash(opened(tmp_path / "b.npz", VALUES, stride=2)) != original


def test_the_hash_does_not_depend_on_the_size_of_the_pieces(tmp_path, monkeypatch):
    source = opened(tmp_path / "a.npz", VALUES)
    original = content_hash(source)
    monkeypatch.setattr("ups.data.trajectories.BLOCK_BYTES", 64)
    blocks = hashes.blocks
    monkeypatch.setattr(hashes, "blocks", lambda file, rows: blocks(file, rows, 64))
    assert content_hash(source) == original


def test_a_large_file_is_sampled_within_the_budget(tmp_path, monkeypatch):
    monkeypatch.setattr(hashes, "WHOLE_BYTES", 0)
    source, read = opened(tmp_path / "a.npz", np.zeros((50, 40, 8), np.float32)), []
    monkeypatch.setattr(type(source), "read", lambda self, which, frames: read.append(which) or np.zeros(1))
    content_hash(source)
    assert len(read) == 16


def test_the_split_hash_tells_order_and_file_but_not_the_number_of_the_file():
    rows = np.array([[0, 1], [1, 2]])
    assert split_hash(["a", "b"], rows) != split_hash(["a", "b"], rows[::-1])
    assert split_hash(["a", "b"], rows) != split_hash(["a", "c"], rows)
    assert split_hash(["a", "b"], rows) == split_hash(["b", "a"], np.array([[1, 1], [0, 2]]))
