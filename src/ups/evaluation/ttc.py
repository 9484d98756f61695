"""Whether test-time conditioning pays: against what else the same number of network evaluations buys.

Every strategy forecasts the same trajectories: the operator alone; greedy best-of-n; beam search; a random pick among
the same candidates; the mean of free-running members; and the oracle, which at every choice takes the candidate with
the least true error. It bounds what a reward can reach in one choice, but not over a rollout: the best step now may
lead to worse ones later.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ups.evaluation.job import HeldOut, Progress
from ups.evaluation.ledger import paired_gain
from ups.evaluation.rows import plain
from ups.evaluation.ttc_ranks import Ranks, truth_judge
from ups.evaluation.ttc_verdict import BASELINE, BEAM, BEST, MEAN, ORACLE, RANDOM, STRATEGIES, sentence, verdict
from ups.metrics import compare, nrmse_per_trajectory
from ups.surrogate import Surrogate
from ups.ttc.candidates import condition, head_of, judge_of
from ups.ttc.rewards import Reward
from ups.ttc.search import Judge, choice_cost, draw_cost
from ups.ttc.settings import TTCSettings


def evaluate_ttc(
    surrogate: Surrogate,
    split: HeldOut,
    reward: Reward,
    settings: TTCSettings,
    *,
    context: int = 1,
    trajectories: int | None = None,
    batch: int = 64,
    resamples: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Scores all strategies at equal network evaluations; what `metrics["ttc"]` holds.

    The settings' own strategy sets the budget (beam search with `beam_width` and `horizon` of 2 and more, else
    best-of-n), and the others get as many candidates or members as it pays for.

    Args:
        surrogate: A run with a sampler.
        split: Held-out trajectories.
        reward: What chooses.
        settings: Candidates, width, horizon and budget.
        context: Given frames of every trajectory.
        trajectories: Scored trajectories, all unless given.
        batch: Trajectories at once.
        resamples: Bootstrap samples of the trajectories behind every interval.
        seed: Fixes draws and bootstrap.
        progress: Called after every batch.

    Returns:
        `rows`, one for each strategy: nRMSE of the free rollout with its 95 % interval, gain over the operator with its
        interval, network evaluations and milliseconds per step; `settings`; `strategy`, which row they mean;
        `correlation`, Spearman's between the reward and minus the true error among the candidates of a choice, mean
        over choices, 1 for a reward that ranks as the truth does, None if there is none; `verdict`; and a `sentence`.

    Raises:
        UserError: The run has no sampler, or the budget is too small.
    """
    race = Race(surrogate, split, reward, settings, context, trajectories, batch, seed, progress)
    scores, costs = race.run()
    rows = [_row(name, scores, costs[name], resamples, seed) for name in STRATEGIES]
    ranks, found = race.ranks.correlation(), verdict(rows, race.own, len(scores[BASELINE]))
    return plain(
        {
            "rows": rows,
            "settings": settings.model_dump(mode="json"),
            "strategy": race.own,
            "correlation": ranks.value,
            "verdict": found,
            "sentence": sentence(rows, race.own, found, ranks),
        }
    )


@dataclass
class Race:
    """All strategies over the same trajectories."""

    surrogate: Surrogate
    split: HeldOut
    reward: Reward
    settings: TTCSettings
    context: int
    trajectories: int | None
    batch: int
    seed: int
    progress: Progress | None

    def __post_init__(self) -> None:
        self.sampler, head = head_of(self.surrogate, self.settings.sampler)
        self.draw = head.evaluations(self.settings.nfe)
        self.ranks = Ranks()
        self.own = BEAM if min(self.settings.beam_width, self.settings.horizon) > 1 else BEST

    def run(self) -> tuple[dict[str, Tensor], dict[str, tuple[float, float]]]:
        """nRMSE per trajectory (n,), and evaluations and milliseconds per step, by strategy."""
        scores, costs = {}, {}
        scores[self.own], costs[self.own] = self._score(self.own, self.settings)
        greedy, beam, members = self._plans(costs[self.own][0])
        for name in STRATEGIES:
            if name != self.own:
                scores[name], costs[name] = self._score(name, beam if name == BEAM else greedy, members)
        return scores, costs

    def _plans(self, spent: float) -> tuple[TTCSettings, TTCSettings, int]:
        """Best-of-n, beam search and members that `spent` evaluations per step pay for."""
        own, steps = self.settings, self.settings.steps
        each, total = draw_cost(own, steps, self.draw), round(spent * (self.split.frames - self.context))
        n = max(1, int((spent * steps - steps) / each + 1e-6))
        shared = {"max_evaluations": total, "early_stop_margin": None}
        greedy = own.model_copy(update={"candidates": n, "beam_width": 1, "horizon": 1, **shared})
        wide = max(1, int((choice_cost(greedy, self.draw) / 2 - steps) / each))
        beam = own.model_copy(update={"candidates": wide, "beam_width": 2, "horizon": 2, **shared})
        return greedy, own if self.own == BEAM else beam, max(1, int(spent / (1 + self.draw) + 1e-6))

    def _score(self, name: str, plan: TTCSettings, members: int = 1) -> tuple[Tensor, tuple[float, float]]:
        n, errors, evaluations, seconds = min(self.split.n, self.trajectories or self.split.n), [], [], 0.0
        for first in range(0, n, self.batch):
            stop = min(first + self.batch, n)
            truth, params = self.split.trajectories(first, stop)[:, self.context - 1 :], self.split.params[first:stop]
            began = time.perf_counter()
            values, spent = self._forecast(name, plan, members, truth, params, self.seed + first)
            seconds += time.perf_counter() - began
            errors.append(nrmse_per_trajectory(compare(truth[:, 1:], values)))
            evaluations.append(spent * (stop - first))
            if self.progress is not None:
                self.progress(name, stop, n)
        steps = self.split.frames - self.context
        return torch.cat(errors), (sum(evaluations) / n, 1e3 * seconds / n / steps)

    def _forecast(
        self, name: str, plan: TTCSettings, members: int, truth: Tensor, params: Tensor, seed: int
    ) -> tuple[Tensor, float]:
        """Forecast (b, T, C, *S) of truth (b, T + 1, C, *S), and network evaluations per trajectory and step."""
        steps, u0 = truth.shape[1] - 1, truth[:, 0]
        if name in (BASELINE, MEAN):
            count, sampler, nfe = (1, "none", None) if name == BASELINE else (members, self.sampler, plan.nfe)
            size = self.batch * count
            forecast = self.surrogate.rollout(
                u0, steps, params=params, members=count, sampler=sampler, nfe=nfe, seed=seed, batch=size
            )
            return forecast.mean(), float(count * forecast.evaluations)
        found = condition(
            self.surrogate, self._judge(name, truth, seed), u0, steps, params, plan, seed=seed, batch=self.batch
        )
        return found.values, float(found.evaluations.double().mean()) / steps

    def _judge(self, name: str, truth: Tensor, seed: int) -> Judge:
        oracle = truth_judge(truth)
        if name == ORACLE:
            return oracle
        if name == RANDOM:
            dice = torch.Generator().manual_seed(seed + 1)
            return lambda before, after, params, row, t: torch.rand(len(after), generator=dice).to(after)
        own = judge_of(self.reward)
        return self.ranks.watched(own, oracle) if name == BEST else own


def _row(
    name: str, scores: Mapping[str, Tensor], cost: tuple[float, float], resamples: int, seed: int
) -> dict[str, Any]:
    values = scores[name].double().numpy()
    drawn = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    low, high = np.quantile(values[drawn].mean(1), [0.025, 0.975])
    gain = paired_gain(scores[BASELINE].tolist(), values.tolist(), resamples, seed)
    return plain(
        {
            "strategy": name,
            "evaluations": cost[0],
            "ms_per_step": cost[1],
            "nrmse": float(values.mean()),
            "low": float(low),
            "high": float(high),
            "gain": gain.value,
            "gain_low": gain.low,
            "gain_high": gain.high,
        }
    )
