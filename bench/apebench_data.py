"""Writes the trajectories of APEBench's scenarios; runs in an environment of its own, with its package alone.

python bench/apebench_data.py FOLDER SCENARIO...
"""

import sys
from pathlib import Path

import numpy as np
from apebench.scenarios import scenario_dict  # pyright: ignore[reportMissingImports]

FEW = 5
"""Training trajectories in each of two small files: those that choose the best epoch, and those that stand for a test
split in training, which sees nothing of the test trajectories."""


def main(folder: Path, scenarios: list[str]) -> None:
    """`SCENARIO_train.npz`, `_first.npz`, `_last.npz` and `_test.npz`, each with `u` (n, T, C, *S)."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in scenarios:
        scenario = scenario_dict[name]()
        train, test = (np.asarray(u, np.float32) for u in (scenario.get_train_data(), scenario.get_test_data()))
        parts = {"train": train, "first": train[:FEW], "last": train[-FEW:], "test": test}
        for part, values in parts.items():
            np.savez(folder / f"{name}_{part}.npz", u=values)
        print(name, train.shape, test.shape)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
