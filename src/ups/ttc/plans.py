"""What every strategy of test-time conditioning may spend, so that all are compared at equal network evaluations."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from ups.ttc.search import draw_cost, rollout_cost
from ups.ttc.settings import TTCSettings
from ups.ttc.verdict import BEAM, BEST

T = TypeVar("T")
SHORT = 0.9
"""Share of the evaluations of the settings that every strategy spends at least."""
WIDTHS = (2, 3, 4)
"""Paths that a beam search beside best-of-n may keep."""


@dataclass(frozen=True)
class Plans:
    """How each strategy spends its evaluations.

    Attributes:
        greedy: Best-of-n, the random pick and the oracle.
        beam: Beam search.
        members: Members of the ensemble.
    """

    greedy: TTCSettings
    beam: TTCSettings
    members: int


def own_strategy(settings: TTCSettings) -> str:
    """The strategy that settings mean: beam search with a width and a horizon of 2 and more, else best-of-n."""
    return BEAM if min(settings.beam_width, settings.horizon) > 1 else BEST


def equal_plans(own: TTCSettings, spent: float, steps: int, draw_evaluations: int) -> Plans:
    """Plans that cost what the settings `own` were found to spend, as nearly as whole numbers allow.

    The settings serve every strategy that they fit as they are, so that best-of-n, the random pick and the oracle draw
    from the same candidates. A budget is that of all. A beam search beside best-of-n settles nothing before the end,
    which makes its cost known.

    Args:
        own: What is compared with the rest.
        spent: Its evaluations per trajectory, measured: a margin and a beam that settles spend less than they may.
        steps: Steps of the rollout.
        draw_evaluations: Evaluations of a draw.
    """
    most = int(spent / steps * own.steps / draw_cost(own, own.steps, draw_evaluations)) + 2

    def cost(plan: TTCSettings) -> int:
        return rollout_cost(plan, steps, draw_evaluations)

    def wide(width: int, horizon: int) -> list[TTCSettings]:
        shape = {"beam_width": width, "horizon": horizon, "early_stop_margin": None}
        return [own.model_copy(update={**shape, "candidates": n}) for n in range(1, most + 1)]

    is_beam = own_strategy(own) == BEAM
    greedy = own if not is_beam and own.early_stop_margin is None else closest(wide(1, 1), cost, spent)
    beam = own if is_beam else closest((plan for width in WIDTHS for plan in wide(width, steps + 1)), cost, spent)
    members = closest(range(1, int(spent / steps) + 2), lambda m: m * (1 + draw_evaluations) * steps, spent)
    return Plans(greedy, beam, members)


def closest(options: Iterable[T], cost: Callable[[T], float], spent: float) -> T:
    """The option whose cost is nearest to what was spent, of those that do not fall short of it."""
    return min((option for option in options if cost(option) >= SHORT * spent), key=lambda one: abs(cost(one) - spent))
