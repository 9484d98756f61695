"""Whether test-time conditioning pays: against what else the same number of network evaluations buys.

Every strategy forecasts the same trajectories: the operator alone; greedy best-of-n; beam search; a random pick among
the same candidates; the mean of free-running members; and the oracle, which at every choice takes the candidate with
the least true error. It bounds what a reward can reach in one choice, but not over a rollout: the best step now may
lead to worse ones later.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ups.core.device import device_name
from ups.evaluation.job import HeldOut, ScoringProgress
from ups.evaluation.ledger import paired_gain
from ups.evaluation.rows import plain
from ups.metrics import compare, nrmse_per_trajectory
from ups.surrogate.surrogate import Surrogate
from ups.ttc.candidates import condition, head_of, judge_of
from ups.ttc.comparison import Comparison, Strategy
from ups.ttc.plans import Plans, equal_plans, own_strategy
from ups.ttc.ranks import RankCorrelation, Ranks, truth_judge
from ups.ttc.rewards import Reward
from ups.ttc.search import Judge, SearchResult
from ups.ttc.settings import TTCSettings
from ups.ttc.verdict import BASELINE, BEAM, MEAN, ORACLE, RANDOM, STRATEGIES, sentence, verdict


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
    progress: ScoringProgress | None = None,
) -> Comparison:
    """Scores all strategies at equal network evaluations.

    The settings' own strategy sets the cost (beam search with `beam_width` and `horizon` of 2 and more, else
    best-of-n), and the others get as many candidates or members as it pays for (`equal_plans`).

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
        A row for each strategy, the verdict, and how well the reward ranks the candidates of a choice.

    Raises:
        UserError: The run has no sampler, or the budget is too small.
    """
    race = Race(surrogate, split, reward, settings, context, trajectories, batch, seed, progress)
    scores, costs = race.run()
    rows = [_row(name, race.own, scores, costs[name], resamples, seed) for name in STRATEGIES]
    ranks, found = race.ranks(), verdict(rows, race.own, len(scores[BASELINE]))
    return Comparison(
        rows=rows,
        settings=settings.model_dump(mode="json"),
        strategy=race.own,
        correlation=ranks.value,
        verdict=found,
        sentence=sentence(rows, race.own, found, ranks),
        device=device_name(surrogate.device),
        threads=torch.get_num_threads(),
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
    progress: ScoringProgress | None

    def __post_init__(self) -> None:
        self.sampler, head = head_of(self.surrogate, self.settings.sampler)
        self.draw = head.evaluations(self.settings.nfe)
        self.own = own_strategy(self.settings)
        self.steps = self.split.frames - self.context
        self.std = self.surrogate.model.codec.u_std.tolist()
        self.n = min(self.split.n, self.trajectories or self.split.n)
        self.plans = Plans(self.settings, self.settings, 1)

    def run(self) -> tuple[dict[str, Tensor], dict[str, tuple[float, float]]]:
        """nRMSE per trajectory (n,), and evaluations and milliseconds per step, by strategy."""
        _, truth, params = next(self._batches())
        self._forecast(self.own, truth[:, :2], params, self.seed)  # what is slow only once is not timed
        scores, costs = {}, {}
        scores[self.own], costs[self.own] = self._score(self.own)
        self.plans = equal_plans(self.settings, costs[self.own][0] * self.steps, self.steps, self.draw)
        for name in STRATEGIES:
            if name != self.own:
                scores[name], costs[name] = self._score(name)
        return scores, costs

    def ranks(self) -> RankCorrelation:
        """How the reward ranks the candidates of best-of-n, in a forecast of its own that nobody times."""
        seen = Ranks(self.plans.greedy.steps)
        for first, truth, params in self._batches():
            judge = seen.watched(judge_of(self.reward), truth_judge(truth, self.std))
            self._search(self.plans.greedy, judge, truth, params, self.seed + first)
        return seen.correlation()

    def _batches(self) -> Iterator[tuple[int, Tensor, Tensor]]:
        """First trajectory, truth (b, T + 1, C, *S) from the last given frame on, and parameters (b, P)."""
        for first in range(0, self.n, self.batch):
            stop = min(first + self.batch, self.n)
            yield first, self.split.trajectories(first, stop)[:, self.context - 1 :], self.split.params[first:stop]

    def _score(self, name: str) -> tuple[Tensor, tuple[float, float]]:
        errors, evaluations, seconds = [], 0.0, 0.0
        for first, truth, params in self._batches():
            began = time.perf_counter()
            values, spent = self._forecast(name, truth, params, self.seed + first)
            seconds += time.perf_counter() - began
            errors.append(nrmse_per_trajectory(compare(truth[:, 1:], values, self.std)))
            evaluations += spent * len(truth)
            if self.progress is not None:
                self.progress(name, first + len(truth), self.n)
        return torch.cat(errors), (evaluations / self.n, 1e3 * seconds / self.n / self.steps)

    def _forecast(self, name: str, truth: Tensor, params: Tensor, seed: int) -> tuple[Tensor, float]:
        """Forecast (b, T, C, *S) of truth (b, T + 1, C, *S), and network evaluations per trajectory and step."""
        if name not in (BASELINE, MEAN):
            plan = self.plans.beam if name == BEAM else self.plans.greedy
            found = self._search(plan, self._judge(name, truth, seed), truth, params, seed)
            return found.values, float(found.evaluations.double().mean()) / (truth.shape[1] - 1)
        members, sampler, nfe = (
            (1, "none", None) if name == BASELINE else (self.plans.members, self.sampler, self.settings.nfe)
        )
        forecast = self.surrogate.rollout(
            truth[:, 0],
            truth.shape[1] - 1,
            params=params,
            members=members,
            sampler=sampler,
            nfe=nfe,
            seed=seed,
            batch=self.batch * members,
        )
        return forecast.mean(), members * forecast.evaluations

    def _search(self, plan: TTCSettings, judge: Judge, truth: Tensor, params: Tensor, seed: int) -> SearchResult:
        steps = truth.shape[1] - 1
        return condition(self.surrogate, judge, truth[:, 0], steps, params, plan, seed=seed, batch=self.batch)

    def _judge(self, name: str, truth: Tensor, seed: int) -> Judge:
        if name == ORACLE:
            return truth_judge(truth, self.std)
        if name == RANDOM:
            dice = torch.Generator().manual_seed(seed + 1)
            return lambda before, after, params, row, t: torch.rand(len(after), generator=dice).to(after)
        return judge_of(self.reward)


def _row(
    name: str, own: str, scores: Mapping[str, Tensor], cost: tuple[float, float], resamples: int, seed: int
) -> Strategy:
    values = scores[name].double().numpy()
    drawn = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    low, high = np.quantile(values[drawn].mean(1), [0.025, 0.975])
    gain, own_gain = (
        paired_gain(scores[old].tolist(), scores[new].tolist(), resamples, seed)
        for old, new in ((BASELINE, name), (name, own))
    )
    found = {
        "strategy": name,
        "evaluations": cost[0],
        "ms_per_step": cost[1],
        "nrmse": float(values.mean()),
        "low": float(low),
        "high": float(high),
        "gain": gain.value,
        "gain_low": gain.low,
        "gain_high": gain.high,
        "own_gain": own_gain.value,
        "own_gain_low": own_gain.low,
        "own_gain_high": own_gain.high,
    }
    return Strategy.model_validate(plain(found))
