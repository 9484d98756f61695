"""Break-even against classical solvers."""

import pytest

from ups.core.errors import UserError
from ups.evaluation.breakeven import SolverRun, break_even, solver_at

RUNS = [SolverRun("64 points", 0.1, 0.01), SolverRun("128 points", 0.02, 0.1), SolverRun("256 points", 0.001, 2.0)]


@pytest.mark.parametrize(("error", "name"), [(0.5, "64 points"), (0.1, "64 points"), (0.05, "128 points")])
def test_the_solver_is_the_cheapest_that_is_as_accurate(error, name):
    solver = solver_at(error, RUNS)
    assert solver is not None and solver.name == name


def test_training_pays_after_its_time_over_the_time_saved_per_forecast():
    result = break_even(0.05, seconds=0.02, train_seconds=800.0, runs=RUNS)
    assert result.forecasts == pytest.approx(10_000)
    assert result.sentence == (
        "training has paid after 10,000 forecasts: 20 ms a forecast against 100 ms of 128 points (nRMSE 0.02)"
    )


def test_a_solver_that_is_cheaper_and_as_accurate_is_never_beaten():
    result = break_even(0.2, seconds=0.02, train_seconds=1.0, runs=RUNS)
    assert result.forecasts is None and result.sentence.startswith("training never pays")


def test_no_solver_as_accurate_is_said_not_extrapolated():
    result = break_even(1e-4, seconds=0.02, train_seconds=1.0, runs=RUNS)
    assert result.forecasts is None and "no solver run" in result.sentence


def test_negative_times_are_refused():
    with pytest.raises(UserError, match="-1"):
        break_even(0.1, -1, 1, RUNS)
