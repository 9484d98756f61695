"""How well rewards rank candidates: Spearman's correlation with their true errors, which only an evaluation knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ups.core.deviations import NEGLIGIBLE
from ups.metrics import scored_channels
from ups.ttc.search import Judge

FEWEST = 3
"""Candidates of a choice whose ranks are compared; of two, any reward that varies ranks perfectly or not at all."""


def truth_judge(truth: Tensor, std: Sequence[float]) -> Judge:
    """Minus the nRMSE of a step's fields against truth (b, T + 1, C, *S), mean over channels; std (C,) are their
    deviations over the training split."""
    scaled = scored_channels(truth, std, 2)

    def judge(before: Tensor, after: Tensor, params: Tensor, trajectory: Tensor, t: int) -> Tensor:
        u = scaled.to(after.device)[trajectory, t + 1]
        error, size = (x.flatten(2).square().mean(-1).sqrt() for x in (scored_channels(after, std, 1) - u, u))
        return -(error / size.clamp_min(NEGLIGIBLE)).mean(1)

    return judge


@dataclass(frozen=True)
class RankCorrelation:
    """How well a reward ranks the candidates of a choice.

    Attributes:
        value: Spearman's correlation of reward and minus the true error, mean over the choices that have one; None if
            there is none.
        share: Share of the choices with `FEWEST` candidates and more that have one: in the others, reward or error are
            the same for all candidates.
        reason: Why there is none, "" if there is.
    """

    value: float | None
    share: float
    reason: str = ""

    def __str__(self) -> str:
        if self.value is None:
            return f"no rank correlation of reward and accuracy ({self.reason})"
        some = "" if self.share == 1 else f" in the {100 * self.share:.0f} % of choices where both vary"
        return f"rank correlation of reward and accuracy {self.value:.2f}{some}"


class Ranks:
    """Rewards and accuracies of all candidates, by the choice that they belong to.

    A candidate of a choice of several `steps` is as good as the sum over them, for the search chooses by that sum.
    """

    def __init__(self, steps: int = 1) -> None:
        self.steps = steps
        self.batches = 0
        self.seen: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def watched(self, judge: Judge, oracle: Judge) -> Judge:
        """`judge`, with what it says noted beside what `oracle` says; candidates are rolled through all steps of their
        choice before others are judged."""
        self.batches += 1
        batch = self.batches

        def watching(before: Tensor, after: Tensor, params: Tensor, trajectory: Tensor, t: int) -> Tensor:
            reward = judge(before, after, params, trajectory, t)
            choice = (batch * 100_000 + trajectory) * 100_000 + t // self.steps
            truth = oracle(before, after, params, trajectory, t)
            new = choice.cpu().numpy(), reward.double().cpu().numpy(), truth.double().cpu().numpy()
            if t % self.steps == 0:
                self.seen.append(new)
            else:
                _, reward_before, truth_before = self.seen[-1]
                self.seen[-1] = new[0], reward_before + new[1], truth_before + new[2]
            return reward

        return watching

    def correlation(self) -> RankCorrelation:
        """Spearman's rank correlation among the candidates of a choice, over all choices."""
        choice, reward, truth = (np.concatenate(parts) for parts in zip(*self.seen, strict=True))
        return rank_correlation(choice, reward, truth)


def rank_correlation(group: np.ndarray, a: np.ndarray, b: np.ndarray) -> RankCorrelation:
    """Spearman's correlation of rewards a and accuracies b (K,) within each group (K,).

    Equal values share the mean of their ranks. A value that is not a number ranks below all others, as in the search.
    """
    _, index, count = np.unique(group, return_inverse=True, return_counts=True)
    x, y = (_ranks(index, values) - (count[index] - 1) / 2 for values in (a, b))
    covariance, of_a, of_b = (np.bincount(index, product) for product in (x * y, x**2, y**2))
    enough = count >= FEWEST
    varies = enough & (of_a > 0) & (of_b > 0)
    if varies.any():
        value = covariance[varies] / np.sqrt(of_a[varies] * of_b[varies])
        return RankCorrelation(float(value.mean()), float(varies.sum() / enough.sum()))
    if not enough.any():
        return RankCorrelation(None, 0.0, f"fewer than {FEWEST} candidates a choice, the unperturbed one included")
    return RankCorrelation(None, 0.0, "the error does not vary" if of_a[enough].any() else "the reward does not vary")


def _ranks(index: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Ranks from 0 of values (K,) within groups 0 ... G - 1 of index (K,); equal values get the mean of theirs."""
    values = np.where(np.isnan(values), -np.inf, values)
    order = np.lexsort((values, index))
    group, value = index[order], values[order]
    starts = np.append(True, (group[1:] != group[:-1]) | (value[1:] != value[:-1]))
    tie = np.cumsum(starts) - 1
    place = np.arange(len(values)) - np.searchsorted(group, group)
    rank = np.empty(len(values))
    rank[order] = (np.bincount(tie, place) / np.bincount(tie))[tie]
    return rank
