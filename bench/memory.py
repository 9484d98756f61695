"""Most memory that training holds, each figure in a process of its own: against file size, batch size and tokens."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from bench.cells import Cell, Phase
from bench.contenders import CONTENDERS, Contender
from bench.problems import MAIN
from bench.scale import Place, Scale
from bench.speed import trainer_of
from ups.data.dataset import Dataset, open_dataset
from ups.data.settings import DataSettings, FilesSettings
from ups.orchestrate.peaks import host_peak

MEGABYTE = 2**20
FRAMES, POINTS = 41, 256
STEPS = 5
SMALLEST = 16
"""Size of the file, in MB, where batch size or tokens change."""
BATCHES, TOKENS = (8, 32, 128), (32, 64, 128, 256)


def cells(scale: Scale) -> list[Cell]:
    """One cell for each figure."""
    measured = [("file", mb, mb, ups()) for mb in scale.file_mb]
    measured += [("batch", n, SMALLEST, ups(f"training.batch_size={n}")) for n in BATCHES]
    measured += [("tokens", n, SMALLEST, ups(f"latent.tokens={n}", "operator.pdet.spectral_modes=16")) for n in TOKENS]
    return [
        Cell(
            "memory",
            f"{what}-{value}",
            Phase.ALONE,
            {"what": what, "value": value, "file_mb": mb, "setup": contender.settings()},
            partial(_measure, mb, contender),
            20,
        )
        for what, value, mb, contender in measured
    ]


def ups(*overrides: str) -> Contender:
    """UPS with changes to bench/patches.yaml."""
    return CONTENDERS["ups"].on(MAIN).changed(*overrides)


def waves(path: Path, megabytes: int) -> Path:
    """A file in PDEBench's layout of about that size, written piece by piece."""
    n, x, t = megabytes * MEGABYTE // (4 * FRAMES * POINTS), np.arange(POINTS) / POINTS, 0.05 * np.arange(FRAMES)
    rng = np.random.default_rng(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial_file = path.with_suffix(".part")
    with h5py.File(partial_file, "w") as file:
        values = file.create_dataset("tensor", (n, FRAMES, POINTS), "f4", chunks=(1, FRAMES, POINTS))
        file["x-coordinate"], file["t-coordinate"] = x.astype("f4"), t.astype("f4")
        for row in range(n):
            values[row] = np.sin(2 * np.pi * (x - 0.4 * t[:, None] + rng.uniform()))
    partial_file.replace(path)
    return path


def dataset(place: Place, megabytes: int) -> Dataset:
    """The file's trajectories, read window by window."""
    path = place.data / "waves" / f"{megabytes}_mb.hdf5"
    files = FilesSettings(train=(str(path if path.exists() else waves(path, megabytes)),))
    return open_dataset(DataSettings(task="advection1d", files=files, in_memory_mb=0))


def _measure(megabytes: int, contender: Contender, place: Place, folder: Path) -> dict[str, Any]:
    """Largest resident set of this process after a few optimizer steps, imports included."""
    before = host_peak()
    trainer = trainer_of(contender, dataset(place, megabytes), folder)
    batches = trainer.stage.batches(0)
    for _ in range(STEPS):
        trainer.next_step(batches, {})
    return {"peak_mb": host_peak() / MEGABYTE, "imports_mb": before / MEGABYTE}
