"""Which trajectory belongs to which split: by trajectory, without a seed, as PDEBench divides its files."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ups.core.errors import UserError


class Parts(NamedTuple):
    """The three splits, each an `(n, 2)` integer array of (file, trajectory in the file)."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split_rows(rows: Sequence[np.ndarray], validation: float, test: float) -> Parts:
    """Divide the trajectories `rows[i] (n_i,)` of each file i into training, validation and test.

    Of a single file the first share is tested on, the next validates and the rest trains (PDEBench's single-file sets);
    of each of several files the last share is tested on and the one before it validates (its multi-file sets). Files
    too short to be divided, such as one trajectory a file, are divided as if they were one long file. A share of 0
    gives an empty split; any other holds at least one trajectory. Raises UserError if there are too few for that.
    """
    files = [places([chosen], i) for i, chosen in enumerate(rows)]
    needed = 1 + (validation > 0) + (test > 0)
    total = sum(len(file) for file in files)
    if total < needed:
        raise UserError(
            f"{total} trajectories cannot be divided into {needed} splits; at least {needed} expected, "
            "or files of their own in data.files.validation and data.files.test"
        )
    if len(files) == 1:
        n_validation, n_test = _counts(total, validation, test)
        return Parts(files[0][n_test + n_validation :], files[0][n_test : n_test + n_validation], files[0][:n_test])
    if min(len(file) for file in files) < needed:
        files = [np.concatenate(files)]
    divided = [_last(file, *_counts(len(file), validation, test)) for file in files]
    return Parts(*(np.concatenate(part) for part in zip(*divided, strict=True)))


def places(rows: Sequence[np.ndarray], first: int = 0) -> np.ndarray:
    """Return `(n, 2)` pairs (file, trajectory) for the trajectories `rows[i] (n_i,)` of the files `first + i`."""
    pairs = [np.stack((np.full(len(chosen), first + i), chosen), axis=1) for i, chosen in enumerate(rows)]
    return np.concatenate(pairs).astype(np.int64)


def _counts(n: int, validation: float, test: float) -> tuple[int, int]:
    """Return how many of n trajectories validate and test: the shares rounded down, at least one where asked for, and
    never all of them."""
    n_test = min(max(1, int(n * test + 1e-9)), n - 1 - (validation > 0)) if test > 0 else 0
    n_validation = min(max(1, int(n * validation + 1e-9)), n - 1 - n_test) if validation > 0 else 0
    return n_validation, n_test


def _last(rows: np.ndarray, n_validation: int, n_test: int) -> Parts:
    n_train = len(rows) - n_validation - n_test
    return Parts(rows[:n_train], rows[n_train : n_train + n_validation], rows[n_train + n_validation :])


def evenly(n: int, count: int) -> np.ndarray:
    """At most `count` of n rows, evenly spread, so that every file and parameter of a data set is among them."""
    return np.unique(np.linspace(0, n - 1, min(n, count)).round().astype(int))
