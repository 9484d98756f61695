import multiprocessing
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from ups.core.errors import UserError
from ups.data.storage import array_names, files_closed, stored_array

VALUES = np.arange(24, dtype=np.float64).reshape(2, 3, 4)


def write(path: Path) -> Path:
    match path.suffix:
        case ".npy":
            np.save(path, VALUES)
        case ".npz":
            np.savez(path, u=VALUES)
        case ".pt":
            torch.save({"u": torch.from_numpy(VALUES)}, path)
        case _:
            with h5py.File(path, "w") as file:
                file["u"] = VALUES
    return path


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".pt", ".h5", ".hdf5"])
def test_every_format_gives_the_same_slices(tmp_path, suffix):
    array = stored_array(write(tmp_path / f"data{suffix}"))
    assert array.shape == VALUES.shape
    index = (slice(0, 2), slice(0, 3, 2), slice(1, 4))
    np.testing.assert_array_equal(array[index], VALUES[index])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(array)).all(), VALUES)


def test_a_tensor_that_is_a_view_gives_its_own_rows_only(tmp_path):
    rows = torch.arange(12.0).reshape(4, 3).T.contiguous().T
    torch.save({"y": rows[:2]}, tmp_path / "view.pt")
    np.testing.assert_array_equal(stored_array(tmp_path / "view.pt", "y").all(), rows[:2].numpy())


def test_arrays_in_groups_are_found_by_their_path(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["one/u"], file["two/u"] = VALUES, VALUES
    assert array_names(tmp_path / "a.h5") == ["one/u", "two/u"]
    np.testing.assert_array_equal(stored_array(tmp_path / "a.h5", "two/u").all(), VALUES)


def read_in_child(array, queue):
    queue.put(array.all().sum())


@pytest.mark.filterwarnings("ignore")
def test_a_forked_child_reads_through_handles_of_its_own(tmp_path):
    array = stored_array(write(tmp_path / "data.h5"))
    array.all()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=read_in_child, args=(array, queue))
    child.start()
    assert queue.get(timeout=20) == VALUES.sum()
    child.join()


def test_files_are_closed_so_that_they_can_be_written_again(tmp_path):
    path = write(tmp_path / "data.h5")
    with files_closed():
        stored_array(path).all()
    with h5py.File(path, "w") as file:
        file["u"] = VALUES + 1
    np.testing.assert_array_equal(stored_array(path).all(), VALUES + 1)


class Exploit:
    def __reduce__(self):
        return (print, ("code from a file ran",))


def broken(folder: Path, kind: str) -> Path:
    path = folder / f"{kind.replace(' ', '_')}.{'pt' if 'tensor' in kind else 'npz' if 'object' in kind else 'h5'}"
    match kind:
        case "truncated":
            data = write(folder / "whole.h5").read_bytes()
            path.write_bytes(data[: len(data) // 2])
        case "text":
            path.write_text("not what the name says")
        case "empty":
            path.touch()
        case "folder":
            path.mkdir()
        case "words":
            with h5py.File(path, "w") as file:
                file["u"] = np.array([b"a", b"b"])
        case "tensor with code":
            torch.save({"u": Exploit()}, path)
        case "tensor text":
            path.write_text("not what the name says")
        case "object array":
            np.savez(path, u=np.array([Exploit()], dtype=object))
        case "object text":
            path.write_text("not what the name says")
    return path


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("missing", "file not found"),
        ("truncated", "truncated"),
        ("text", "not an HDF5 file"),
        ("empty", "damaged|not an HDF5 file|truncated"),
        ("folder", "found a folder"),
        ("words", "expected real numbers"),
        ("tensor with code", "could run code"),
        ("tensor text", "damaged|could run code"),
        ("object array", "could run code"),
        ("object text", "damaged|could run code"),
    ],
)
def test_a_broken_file_is_one_sentence_that_names_it(tmp_path, kind, sentence, capsys):
    path = broken(tmp_path, kind)
    with pytest.raises(UserError, match=sentence) as caught:
        stored_array(path, "u")
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert "code from a file ran" not in capsys.readouterr().out


def test_a_missing_key_is_answered_with_the_keys_there_are(tmp_path):
    np.savez(tmp_path / "a.npz", u=VALUES, v=VALUES)
    with pytest.raises(UserError, match="no array 'w'; the file holds u, v"):
        stored_array(tmp_path / "a.npz", "w")


def test_an_unknown_ending_is_refused_with_the_known_ones(tmp_path):
    (tmp_path / "a.mat").touch()
    with pytest.raises(UserError, match=r"\.npz.*found '\.mat'"):
        stored_array(tmp_path / "a.mat")


def test_a_file_without_permission_is_named(tmp_path, monkeypatch):
    path = write(tmp_path / "data.npy")

    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(np, "load", denied)
    with pytest.raises(UserError, match=r"data\.npy: permission to read"):
        stored_array(path)


def test_bfloat16_is_read_and_sparse_tensors_and_complex_numbers_say_what_to_store(tmp_path):
    values = torch.linspace(0, 1, 8)
    torch.save({"u": values.to(torch.bfloat16)}, tmp_path / "bf16.pt")
    np.testing.assert_array_equal(stored_array(tmp_path / "bf16.pt", "u").all(), values.bfloat16().float())
    torch.save(values.to_sparse(), tmp_path / "sparse.pt")
    with pytest.raises(UserError, match=r"sparse.pt: the array is a sparse tensor; store .to_dense\(\) of it"):
        stored_array(tmp_path / "sparse.pt")
    np.save(tmp_path / "complex.npy", np.ones(3) + 1j)
    with pytest.raises(UserError, match="expected real numbers; store real and imaginary part as two channels"):
        stored_array(tmp_path / "complex.npy")
