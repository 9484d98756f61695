import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ups.core.errors import UserError
from ups.data.splits import places, split_rows

FILES = st.lists(st.integers(0, 30), min_size=1, max_size=5).filter(lambda sizes: sum(sizes) >= 3)
SHARE = st.floats(0.01, 0.49)


@given(sizes=FILES, validation=SHARE, test=SHARE)
def test_every_trajectory_is_in_exactly_one_split_and_no_split_is_empty(sizes, validation, test):
    rows = [np.arange(size) for size in sizes]
    parts = split_rows(rows, validation, test)
    assert all(len(part) for part in parts)
    everything = sorted(map(tuple, np.concatenate(parts).tolist()))
    assert everything == sorted(map(tuple, places(rows).tolist()))


@given(n=st.integers(3, 500), validation=SHARE, test=SHARE)
def test_a_single_file_is_tested_on_its_first_trajectories_and_trained_on_its_last(n, validation, test):
    parts = split_rows([np.arange(n)], validation, test)
    order = np.concatenate((parts.test, parts.validation, parts.train))
    assert order[:, 1].tolist() == list(range(n))
    assert len(parts.test) in (1, int(n * test + 1e-9))


@given(sizes=st.lists(st.integers(3, 30), min_size=2, max_size=4), validation=SHARE, test=SHARE)
def test_each_of_several_files_is_tested_on_its_last_trajectories(sizes, validation, test):
    parts = split_rows([np.arange(size) for size in sizes], validation, test)
    for file, size in enumerate(sizes):
        order = np.concatenate([part[part[:, 0] == file] for part in parts])
        assert order[:, 1].tolist() == list(range(size))


def test_a_tenth_of_a_thousand_is_a_hundred():
    assert [len(part) for part in split_rows([np.arange(1000)], 0.1, 0.1)] == [800, 100, 100]


def test_files_of_one_trajectory_each_are_divided_as_one_long_file():
    parts = split_rows([np.arange(1)] * 10, 0.2, 0.1)
    assert [part[:, 0].tolist() for part in parts] == [list(range(7)), [7, 8], [9]]


def test_a_share_of_nought_leaves_the_split_empty():
    parts = split_rows([np.arange(5)], 0.2, 0.0)
    assert [len(part) for part in parts] == [4, 1, 0]


def test_too_few_trajectories_are_refused():
    with pytest.raises(UserError, match="2 trajectories cannot be divided into 3 splits"):
        split_rows([np.arange(2)], 0.1, 0.1)
