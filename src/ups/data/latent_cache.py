"""Encoded trajectories on disk, shared by the stages that train on latents."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from ups.core.files import replacing
from ups.data.split import Split


def cached_latents(
    folder: Path, key: str, split: Split, rows: np.ndarray, encode: Callable[[Tensor], Tensor]
) -> np.ndarray:
    """Latents of all frames of some trajectories, memory-mapped, (n, T, N, D) float32.

    Args:
        folder: The run's `latents/`.
        key: Names what they were made with (weights and data); another key is another file.
        split: Where the trajectories come from.
        rows: Their rows in the split, (n,).
        encode: Fields (T, C, *S) -> latents (T, N, D).

    Raises UserError if the file cannot be written.
    """
    path = folder / f"{key}.npy"
    if not path.exists():
        with replacing(path, "latent cache") as part, part.open("wb") as file:
            _write(file, split, rows, encode)
    return np.load(path, mmap_mode="r")


def _write(file: BinaryIO, split: Split, rows: np.ndarray, encode: Callable[[Tensor], Tensor]) -> None:
    """Writes header and trajectories one after another: a full disk is then an error, which in a map would be fatal."""
    for i, row in enumerate(rows):
        with torch.no_grad():
            latents = encode(split.trajectories(int(row), int(row) + 1)[0]).cpu().numpy()
        if i == 0:
            header = {"descr": "<f4", "fortran_order": False, "shape": (len(rows), *latents.shape)}
            np.lib.format.write_array_header_1_0(file, header)
        file.write(np.ascontiguousarray(latents, "<f4").tobytes())
