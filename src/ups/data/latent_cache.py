"""Encoded trajectories on disk, shared by the stages that train on latents."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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
        with replacing(path, "latent cache") as part:
            _write(part, split, rows, encode)
    return np.load(path, mmap_mode="r")


def _write(path: Path, split: Split, rows: np.ndarray, encode: Callable[[Tensor], Tensor]) -> None:
    file: np.memmap | None = None
    for i, row in enumerate(rows):
        with torch.no_grad():
            latents = encode(split.trajectories(int(row), int(row) + 1)[0]).cpu().numpy()
        if file is None:
            shape = (len(rows), *latents.shape)
            file = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
        file[i] = latents
    if file is not None:
        file.flush()
