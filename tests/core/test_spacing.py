import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ups.core.spacing import are_alike, as_marks, is_even, mean_step, without_rounding

DAYS = 4160 + np.arange(25) / 24
"""Hours as days since an origin more than eleven years ago."""


def test_hours_stored_as_float32_days_are_even_and_their_step_is_an_hour():
    stored = as_marks(DAYS.astype(np.float32))
    assert stored.dtype == np.float32 and is_even(stored)
    assert mean_step(stored) == pytest.approx(1 / 24, rel=1e-4)
    np.testing.assert_allclose(without_rounding(stored), DAYS, atol=5e-4)
    assert is_even(without_rounding(stored))
    assert not is_even(stored.astype(np.float64))  # as float64 the same numbers would truly be uneven


@given(
    kind=st.sampled_from([np.float16, np.float32, np.float64]),
    n=st.integers(3, 200),
    step=st.sampled_from([1e-11, 0.1, 1 / 24, 60.0]),
    start=st.integers(0, 100),
)
def test_even_marks_are_even_in_every_type_that_tells_them_apart(kind, n, step, start):
    marks = (step * (start + np.arange(n))).astype(kind)
    if np.isfinite(marks).all() and (np.diff(marks) > 0).all() and np.abs(marks).min(initial=1, where=marks > 0) > 1e-4:
        assert is_even(marks)


@pytest.mark.parametrize("unit", [1e-11, 1.0, 1e9])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_steps_that_differ_by_a_tenth_are_uneven_in_every_unit(unit, kind):
    marks = (unit * np.cumsum(1 + 0.1 * (-1.0) ** np.arange(25))).astype(kind)
    assert not is_even(marks)
    assert not are_alike(marks, (unit * np.arange(1, 26)).astype(kind))


def test_integers_are_exact():
    assert is_even(as_marks(np.arange(0, 90, 3, dtype=np.uint8)))
    assert not is_even(as_marks(np.array([0, 1, 2, 4, 5], np.int64)))


def test_points_that_crowd_at_the_walls_are_uneven():
    assert not is_even(0.5 * (1 - np.cos(np.pi * (np.arange(24) + 0.5) / 24)))


def test_the_same_marks_in_two_types_are_alike_and_shifted_ones_are_not():
    narrow, wide = as_marks(DAYS.astype(np.float32)), as_marks(DAYS.astype(">f8"))
    assert are_alike(narrow, wide) and are_alike(wide, narrow)
    assert not are_alike(narrow, wide + 0.5 / 24)
    assert not are_alike(1e-11 * np.arange(9.0), 1.1e-11 * np.arange(9.0))
