"""How well rewards rank candidates: Spearman's correlation with their true errors, which only an evaluation knows."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from ups.ttc.search import Judge


def truth_judge(truth: Tensor) -> Judge:
    """Minus the nRMSE of a step's fields against truth (b, T + 1, C, *S), mean over channels."""

    def judge(before: Tensor, after: Tensor, params: Tensor, trajectory: Tensor, t: int) -> Tensor:
        u = truth.to(after.device)[trajectory, t + 1]
        error, size = ((x.flatten(2).square().mean(-1)).sqrt() for x in (after - u, u))
        return -(error / size).mean(1)

    return judge


class Ranks:
    """Rewards and true errors of all candidates, by the choice that they belong to."""

    def __init__(self) -> None:
        self.batches = 0
        self.seen: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def watched(self, judge: Judge, oracle: Judge) -> Judge:
        """`judge`, with what it says noted beside what `oracle` says."""
        self.batches += 1
        batch = self.batches

        def watching(before: Tensor, after: Tensor, params: Tensor, trajectory: Tensor, t: int) -> Tensor:
            reward = judge(before, after, params, trajectory, t)
            choice = (batch * 100_000 + trajectory) * 100_000 + t
            truth = oracle(before, after, params, trajectory, t)
            self.seen.append((choice.cpu().numpy(), reward.cpu().numpy(), truth.cpu().numpy()))
            return reward

        return watching

    def correlation(self) -> float:
        """Spearman's rank correlation among the candidates of a choice, mean over the choices with 3 and more."""
        choice, reward, truth = (np.concatenate(parts) for parts in zip(*self.seen, strict=True))
        return rank_correlation(choice, reward, truth)


def rank_correlation(group: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's correlation of a and b (K,) within each group (K,) of 3 and more, mean over groups; NaN if none."""
    _, index, count = np.unique(group, return_inverse=True, return_counts=True)
    centred = []
    for values in (a, b):
        order = np.lexsort((values, index))
        rank = np.empty(len(values))
        rank[order] = np.arange(len(values)) - np.repeat(np.cumsum(count) - count, count)
        centred.append(rank - (count[index] - 1) / 2)
    total = np.bincount(index, centred[0] * centred[1])
    square = np.bincount(index, centred[0] ** 2)
    enough = count >= 3
    return float((total[enough] / square[enough]).mean()) if enough.any() else float("nan")
