"""Arrays in files: found by key, opened when first read, sliced without the rest where the format allows.

| format | key | what a slice costs |
| --- | --- | --- |
| `.h5`, `.hdf5` | path of the dataset in the file | the slice |
| `.npy` | none | the slice (memory-mapped) |
| `.pt` | entry of the saved dictionary, none for a bare tensor | the slice (memory-mapped) |
| `.npz` | name of the array | the whole array, once (the format cannot be mapped) |

Nothing here runs code from a file: pickled objects in `.npz`, `.npy` and `.pt` are refused.
"""

import os
import pickle
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np

from ups.core.errors import UserError

HDF5_SUFFIXES = (".h5", ".hdf5")
SUFFIXES = (*HDF5_SUFFIXES, ".npz", ".npy", ".pt")
OPEN_AT_ONCE = 32


class Sliceable(Protocol):
    """What an opened array offers, whatever its format."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> Any: ...
    def __getitem__(self, index: Any, /) -> Any: ...


@dataclass(frozen=True)
class StoredArray:
    """One array of real numbers in a file; holds no handle, so it can be pickled and used after a fork."""

    path: Path
    key: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray:
        """Read a slice. Raises UserError if the file cannot be read any more or is damaged there."""
        with _reading(self.path):
            return np.asarray(_opened(self.path, self.key)[index])

    def all(self) -> np.ndarray:
        """Read the whole array."""
        return self[(slice(None),) * self.ndim]


def stored_array(path: Path, key: str = "") -> StoredArray:
    """Find an array of real numbers without reading it; with no key, the only one of its file.

    Raises UserError if the file is missing, damaged or of an unknown format, or the key is missing or holds no numbers.
    """
    with _reading(path):
        names = array_names(path)
        key = key or (names[0] if len(names) == 1 else "")
        if key not in names:
            raise UserError(f"{path}: no array {key!r}; the file holds {', '.join(names) or 'none'}")
        opened = _opened(path, key)
        kind = np.dtype(opened.dtype).kind
    if kind not in "fiub":
        cure = "; store real and imaginary part as two channels" if kind == "c" else ""
        raise UserError(f"{path}: {key or 'array'} holds {opened.dtype}, expected real numbers{cure}")
    return StoredArray(path, key, tuple(opened.shape), str(opened.dtype))


def array_names(path: Path) -> list[str]:
    """Return the keys of all arrays in a file; `[""]` where the format holds a single array without a name."""
    with _reading(path):
        suffix, stat = _suffix(path), path.stat()
        return list(_listed(path, suffix, stat.st_size, stat.st_mtime_ns))


def hdf5_attributes(path: Path) -> dict[str, Any]:
    """Return the attributes at the root of an HDF5 file."""
    with _reading(path), h5py.File(path, "r") as file:
        return dict(file.attrs)


@contextmanager
def files_closed() -> Iterator[None]:
    """Close on leaving every file that was opened by reading an array; the next read opens it again."""
    try:
        yield
    finally:
        _kept_open.cache_clear()
        _listed.cache_clear()


@lru_cache(maxsize=OPEN_AT_ONCE)
def _listed(path: Path, suffix: str, size: int, changed: int) -> tuple[str, ...]:
    """Keep the lists of keys last read, each for as long as `size` and time of last change of its file are the same."""
    match suffix:
        case ".h5" | ".hdf5":
            return tuple(_hdf5_names(path))
        case ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return tuple(archive.files)
        case ".pt":
            return tuple(_torch_entries(path))
        case _:
            return ("",)


def _opened(path: Path, key: str) -> Sliceable:
    if path.suffix == ".npy":  # mapped anew for each read: a mapping that stays counts its pages as this process's
        return np.load(path, mmap_mode="r", allow_pickle=False)
    return _kept_open(path, key, os.getpid())


@lru_cache(maxsize=OPEN_AT_ONCE)
def _kept_open(path: Path, key: str, process: int) -> Sliceable:
    """Keep the arrays last used; `process` makes a forked child open its own handles (HDF5's are not to be shared)."""
    if path.suffix in HDF5_SUFFIXES:
        found = h5py.File(path, "r")[key]
        assert isinstance(found, h5py.Dataset)  # `array_names` lists nothing else
        return found
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            return archive[key]
    return _torch_entries(path)[key]


def _suffix(path: Path) -> str:
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path}: files ending in {', '.join(SUFFIXES)} expected, found {path.suffix or 'no ending'!r}")
    return path.suffix


def _hdf5_names(path: Path) -> list[str]:
    names: list[str] = []
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return names


def _torch_entries(path: Path) -> dict[str, np.ndarray]:
    import torch  # a second to import: only for those who read .pt files

    saved = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    entries = saved if isinstance(saved, dict) else {"": saved}
    return {
        str(key): _dense(path, str(key), value) if isinstance(value, torch.Tensor) else np.asarray(value)
        for key, value in entries.items()
        if isinstance(value, torch.Tensor | int | float)
    }


def _dense(path: Path, key: str, value: Any) -> np.ndarray:
    """A saved tensor as an array; bfloat16, which numpy does not know, as float32."""
    import torch

    kind = "sparse" if value.layout != torch.strided or value.is_nested else "quantised" if value.is_quantized else ""
    if kind:
        cure = ".to_dense()" if kind == "sparse" else ".dequantize()"
        raise UserError(f"{path}: {key or 'the array'} is a {kind} tensor; store {cure} of it")
    return (value.float() if value.dtype == torch.bfloat16 else value).detach().numpy()


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what goes wrong while reading into one sentence that names the file."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: file not found") from None
    except PermissionError:
        raise UserError(f"{path}: permission to read the file is denied") from None
    except IsADirectoryError:
        raise UserError(f"{path}: a file expected, found a folder") from None
    except pickle.UnpicklingError:
        raise UserError(f"{path}: plain tensors expected, found Python objects, which could run code") from None
    except (OSError, EOFError, ValueError, TypeError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: {_diagnosis(path, error)}") from error


def _diagnosis(path: Path, error: Exception) -> str:
    text = str(error)
    if "truncated" in text:
        return "the HDF5 file is truncated; copy or generate it again"
    if "signature not found" in text:
        return "not an HDF5 file"
    if "allow_pickle" in text or "Object arrays" in text:
        return "arrays of numbers expected, found pickled Python objects, which could run code"
    first = (text.splitlines() or [type(error).__name__])[0]
    return f"damaged, or not a {path.suffix} file ({first})"
