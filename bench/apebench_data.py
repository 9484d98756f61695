"""Writes the trajectories of APEBench's scenarios; runs in an environment of its own, with its package alone.

python bench/apebench_data.py FOLDER SCENARIO...
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from apebench.scenarios import scenario_dict  # pyright: ignore[reportMissingImports]

FEW = 5
"""Training trajectories in each of two small files: those that choose the best epoch, and those that stand for a test
split in training, which sees nothing of the test trajectories."""
POINTS = {2: 32}
"""Grid points along each axis, other than the package's own choice, by the number of axes."""


def scenario_of(name: str) -> Any:
    """The package's scenario by its own name, such as `diff_ks` or `2d_diff_ks`."""
    if name[1:3] != "d_":
        return scenario_dict[name]()
    axes = int(name[0])
    return scenario_dict[name[3:]](num_spatial_dims=axes, num_points=POINTS[axes])


def main(folder: Path, scenarios: list[str]) -> None:
    """`SCENARIO_train.npz`, `_first.npz`, `_last.npz` and `_test.npz`, each with `u` (n, T, C, *S)."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in scenarios:
        scenario = scenario_of(name)
        train, test = (np.asarray(u, np.float32) for u in (scenario.get_train_data(), scenario.get_test_data()))
        parts = {"train": train, "first": train[:FEW], "last": train[-FEW:], "test": test}
        for part, values in parts.items():
            np.savez(folder / f"{name}_{part}.npz", u=values)
        print(name, train.shape, test.shape)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
