"""After how many forecasts a trained model has paid, against a classical solver that is at least as accurate."""

from collections.abc import Sequence
from dataclasses import dataclass

from ups.core.errors import UserError


@dataclass(frozen=True)
class SolverRun:
    """A classical solver at one resolution, measured on the same test trajectories as the model."""

    name: str
    error: float
    """nRMSE of the free rollout."""
    seconds: float
    """Wall-clock seconds per forecast of one trajectory."""


@dataclass(frozen=True)
class BreakEven:
    """Result of `break_even`."""

    forecasts: float | None
    """Number of forecasts after which training has paid; None if it never does or no solver can be compared."""
    sentence: str
    """The result in words."""


def solver_at(error: float, runs: Sequence[SolverRun]) -> SolverRun | None:
    """The cheapest measured run whose error is at most `error`, None if there is none; nothing is interpolated."""
    return min((run for run in runs if run.error <= error), key=lambda run: run.seconds, default=None)


def break_even(error: float, seconds: float, train_seconds: float, runs: Sequence[SolverRun]) -> BreakEven:
    """`N = train_seconds / (solver seconds - model seconds)` forecasts at equal or smaller solver error.

    `error` is the model's nRMSE and `seconds` its time per forecast; `train_seconds` should hold the generation of
    the training data if that was paid for the model alone. Raises UserError if a time is negative.
    """
    if seconds < 0 or train_seconds < 0:
        raise UserError(f"break-even needs times of at least 0 s, found {seconds} s and {train_seconds} s of training")
    solver = solver_at(error, runs)
    if solver is None:
        return BreakEven(None, f"no solver run that was measured is as accurate as the model (nRMSE {error:.3g})")
    costs = f"{_time(seconds)} a forecast against {_time(solver.seconds)} of {solver.name} (nRMSE {solver.error:.3g})"
    saved = solver.seconds - seconds
    if saved <= 0:
        return BreakEven(None, f"training never pays: {costs}, which is at least as accurate")
    forecasts = train_seconds / saved
    return BreakEven(forecasts, f"training has paid after {forecasts:,.0f} forecasts: {costs}")


def _time(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"
