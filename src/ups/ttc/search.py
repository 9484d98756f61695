"""Search among candidates of a step function: greedy best-of-n and beam search, per trajectory, over a whole batch.

At every choice each kept path x (B, W) grows by its unperturbed prediction v and n draws w, each rolled `steps` steps.
Every draw is tried as v + alpha (w - v) for the S `scales` alpha, which takes no further network evaluation. The W
children of a trajectory with the largest sum of rewards are kept (beam search), of equal ones the unperturbed; once a
choice lies `horizon` choices back it is settled: paths that do not share it with the best one are dropped. W = 1 is
greedy best-of-n.

Notation: B trajectories, W paths, R rows computed at once, x (., ...) states of any shape, u (., C, *S) their fields.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from ups.core.errors import UserError
from ups.ttc.settings import TTCSettings

Judge = Callable[[Tensor, Tensor, Tensor, Tensor, int], Tensor]
"""(before (R, C, *S), after (R, C, *S), params (R, P), trajectory (R,), step from 0) -> reward (R,), higher is
better."""
LOWEST = -1e30
"""Reward of a step whose reward is not a number, so that a candidate that blows up loses to every other."""


@dataclass(frozen=True)
class Step:
    """A random step of any dynamics, rows of a batch being independent of each other.

    Attributes:
        base: Unperturbed prediction, (x (R, ...), params (R, P)) -> (R, ...); one network evaluation a row.
        draw: A random one, (x, base(x), params, generator) -> (R, ...).
        fields: Predictions with their physical fields, (predictions (R, ...), initial fields (R, C, *S)) ->
            ((R, ...), (R, C, *S)).
        enter: The state that the next step starts from, of a prediction and its fields.
        draw_evaluations: Network evaluations of `draw`, without those of `base`.
    """

    base: Callable[[Tensor, Tensor], Tensor]
    draw: Callable[[Tensor, Tensor, Tensor, torch.Generator], Tensor]
    fields: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    enter: Callable[[Tensor, Tensor], Tensor]
    draw_evaluations: int


@dataclass(frozen=True)
class SearchResult:
    """What a search returns.

    Attributes:
        values: Fields of the best path, (B, T, C, *S).
        reward: Its sum of rewards, (B,).
        evaluations: Network evaluations spent on each trajectory, (B,).
    """

    values: Tensor
    reward: Tensor
    evaluations: Tensor


def rollout_cost(settings: TTCSettings, steps: int, draw_evaluations: int) -> int:
    """Network evaluations of one trajectory of `steps` steps, with all candidates and as many paths as there are places
    for them."""
    total, paths = 0, 1
    for start in range(0, steps, settings.steps):
        length = min(settings.steps, steps - start)
        total += paths * (length + settings.candidates * draw_cost(settings, length, draw_evaluations))
        paths = min(settings.beam_width, paths * (1 + settings.candidates * len(settings.scales)))
    return total


def draw_cost(settings: TTCSettings, length: int, draw_evaluations: int) -> int:
    """Network evaluations that one more draw adds to a choice of `length` steps: in the first step it shares the
    unperturbed prediction with all others, and its scales share the draw."""
    return draw_evaluations + len(settings.scales) * (length - 1) * (1 + draw_evaluations)


def search(
    step: Step,
    judge: Judge,
    x0: Tensor,
    u0: Tensor,
    params: Tensor,
    steps: int,
    settings: TTCSettings,
    generator: torch.Generator,
) -> SearchResult:
    """The path of T = `steps` steps from x0 (B, ...) with the largest reward that the search finds.

    Args:
        step: The dynamics.
        judge: Scores every step of every candidate.
        x0: Initial states, as predictions are.
        u0: Their fields, (B, C, *S).
        params: PDE parameters, (B, P).
        steps: Length of the rollout.
        settings: Width, horizon and budget.
        generator: Fixes the draws.

    Raises:
        UserError: The budget does not even cover the unperturbed rollout.
    """
    refused = settings.overdrawn(steps)
    if refused:
        raise UserError(f"ttc.max_evaluations {refused}")
    tree = Tree(step, judge, x0, u0, params, settings, generator)
    for start in range(0, steps, settings.steps):
        tree.choose(start, min(settings.steps, steps - start), steps)
    return SearchResult(tree.best_path(), tree.score[:, 0], tree.evaluations)


@dataclass(frozen=True)
class _Rows:
    """Paths to grow: states x, their base predictions and fields, (R, ...); trajectory and place of each, (R,)."""

    x: Tensor
    base: Tensor
    before: Tensor
    params: Tensor
    owner: Tensor
    slot: Tensor

    def __getitem__(self, row: Tensor) -> _Rows:
        return _Rows(*(getattr(self, f.name)[row] for f in fields(self)))


@dataclass(frozen=True)
class _Children:
    """Children of all paths, dense over (B, W, 1 + n); child 0 is the unperturbed one."""

    x: Tensor
    frames: Tensor
    score: Tensor

    @classmethod
    def empty(cls, score: Tensor, n: int, x: Tensor, frames: Tensor) -> _Children:
        """Places for 1 + n children of each path in score (B, W), of states and frames shaped like x and frames."""
        places = (*score.shape, 1 + n)
        return cls(
            x.new_zeros(*places, *x.shape[1:]),
            frames.new_zeros(*places, *frames.shape[1:]),
            score.new_full(places, -torch.inf),
        )


class Tree:
    """The paths that a search keeps, dense over (B, W), best first; an empty place has score -inf and costs nothing."""

    def __init__(
        self,
        step: Step,
        judge: Judge,
        x0: Tensor,
        u0: Tensor,
        params: Tensor,
        settings: TTCSettings,
        generator: torch.Generator,
    ):
        self.step, self.judge, self.settings, self.generator = step, judge, settings, generator
        self.params, self.u0 = params, u0.unsqueeze(1)
        self.x = x0.unsqueeze(1).repeat_interleave(settings.beam_width, 1)
        self.score = torch.full(self.x.shape[:2], -torch.inf, device=x0.device)
        self.score[:, 0] = 0
        self.evaluations = torch.zeros(len(x0), dtype=torch.long, device=x0.device)
        self.parents: list[Tensor] = []
        self.frames: list[Tensor] = []

    def choose(self, start: int, length: int, total: int) -> None:
        """Grows all paths by steps `start ... start + length - 1` of `total`, keeps the best and settles the past."""
        draws = self._affordable(length, total - start - length)
        children = self._grow(start, length, draws)
        self.score, index = largest(children.score.flatten(1), self.score.shape[1])
        self.x = _take(children.x.flatten(1, 2), index)
        self.frames.append(_take(children.frames.flatten(1, 2), index))
        self.parents.append(index // children.score.shape[2])
        self._settle()

    def best_path(self) -> Tensor:
        """Fields of the best path, (B, T, C, *S)."""
        slot, parts = torch.zeros_like(self.parents[-1][:, :1]), []
        for frames, parents in zip(reversed(self.frames), reversed(self.parents), strict=True):
            parts.append(_take(frames, slot)[:, 0])
            slot = parents.gather(1, slot)
        return torch.cat(parts[::-1], dim=1)

    def _affordable(self, length: int, rest: int) -> Tensor:
        """Draws per path that the budget allows each trajectory, (B,), with one evaluation kept for each of the `rest`
        steps after this choice; drops all paths but the best where not even their predictions fit."""
        most = torch.full_like(self.evaluations, self.settings.candidates)
        if self.settings.max_evaluations is None:
            return most
        left = self.settings.max_evaluations - self.evaluations - rest
        self.score[:, 1:] = self.score[:, 1:].where((left >= length * self._alive()).unsqueeze(1), -torch.inf)
        alive = self._alive()
        each = self._draw_cost(length) * alive
        return torch.minimum(most, (left - length * alive) // each.clamp_min(1))

    def _alive(self) -> Tensor:
        return self.score.isfinite().sum(1)

    def _grow(self, start: int, length: int, draws: Tensor) -> _Children:
        """All children of all paths: the unperturbed ones, then the draws, at once or, with a margin, one by one until
        a trajectory is decided."""
        rows, n, margin = self._rows(), self.settings.candidates, self.settings.early_stop_margin
        scales = torch.tensor(self.settings.scales, device=draws.device)
        grown = self._roll(rows, rows.base, None, start, length)
        children = _Children.empty(self.score, n * len(scales), *grown[:2])
        self._put(children, rows, torch.zeros_like(rows.owner), grown)
        self._pay(rows.owner, length)
        number = torch.arange(n, device=draws.device)
        for wave in (number,) if margin is None else number.split(1):
            open_ = torch.ones_like(draws, dtype=torch.bool) if margin is None else ~_decided(children.score, margin)
            wanted = (wave < draws[rows.owner].unsqueeze(1)) & open_[rows.owner].unsqueeze(1)
            row, column = wanted.nonzero(as_tuple=True)
            if len(row):
                drawn = self._draw(rows[row]).repeat_interleave(len(scales), 0)
                many, scale = rows[row.repeat_interleave(len(scales))], scales.repeat(len(row))
                child = 1 + len(scales) * wave[column].unsqueeze(1) + torch.arange(len(scales), device=draws.device)
                self._put(children, many, child.flatten(), self._roll(many, drawn, scale, start, length))
                self._pay(rows.owner[row], self._draw_cost(length))
        return children

    def _draw(self, rows: _Rows) -> Tensor:
        return self.step.draw(rows.x, rows.base, rows.params, self.generator)

    def _draw_cost(self, length: int) -> int:
        return draw_cost(self.settings, length, self.step.draw_evaluations)

    def _pay(self, owner: Tensor, cost: int) -> None:
        self.evaluations.index_add_(0, owner, torch.full_like(owner, cost))

    def _rows(self) -> _Rows:
        owner, slot = self.score.isfinite().nonzero(as_tuple=True)
        before = self.frames[-1][owner, slot, -1] if self.frames else self.u0[owner, slot]
        x, params = self.step.enter(self.x[owner, slot], before), self.params[owner]
        return _Rows(x, self.step.base(x, params), before, params, owner, slot)

    def _roll(
        self, rows: _Rows, ahead: Tensor, scale: Tensor | None, start: int, length: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Last predictions (R, ...), frames (R, length, C, *S) and sums of rewards (R,) of `length` steps, of which
        `ahead` (R, ...) is the first, drawn at `scale` (R,) or unperturbed."""
        frames, reward, before = [], torch.zeros(len(rows.owner), device=ahead.device), rows.before
        for t in range(start, start + length):
            if t > start:
                x = self.step.enter(ahead, before)
                rows = replace(rows, x=x, base=self.step.base(x, rows.params))
                ahead = rows.base if scale is None else self._draw(rows)
            if scale is not None:
                ahead = rows.base + scale.view(-1, *[1] * (ahead.ndim - 1)) * (ahead - rows.base)
            ahead, seen = self.step.fields(ahead, self.u0[rows.owner, 0])
            frames.append(seen)
            reward = reward + self.judge(before, frames[-1], rows.params, rows.owner, t)
            before = frames[-1]
        return ahead, torch.stack(frames, 1), reward.nan_to_num(LOWEST, neginf=LOWEST)

    def _put(self, children: _Children, rows: _Rows, child: Tensor, grown: tuple[Tensor, Tensor, Tensor]) -> None:
        place, (state, frames, reward) = (rows.owner, rows.slot, child), grown
        children.x[place], children.frames[place] = state, frames
        children.score[place] = self.score[rows.owner, rows.slot] + reward

    def _settle(self) -> None:
        """Drops the paths whose choice `horizon` choices back is not that of the best path."""
        past = self.parents[max(len(self.parents) - self.settings.horizon + 1, 0) :]
        if len(past) < self.settings.horizon - 1:
            return
        ancestor = torch.arange(self.score.shape[1], device=self.x.device).expand_as(self.score)
        for parents in reversed(past):
            ancestor = parents.gather(1, ancestor)
        self.score = self.score.where(ancestor == ancestor[:, :1], -torch.inf)


def largest(score: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """The `width` largest of score (B, K) with their places, (B, width) each, best first.

    Of equal ones the first wins: children lie path by path, best path first, and within a path the unperturbed one
    comes first, so a reward that cannot tell them apart changes nothing.
    """
    ordered = score.sort(dim=1, descending=True, stable=True)
    return ordered.values[:, :width], ordered.indices[:, :width]


def _decided(score: Tensor, margin: float) -> Tensor:
    """Whether the best child of each trajectory leads the second by the margin; score (B, W, 1 + n) -> (B,)."""
    best, second = score.flatten(1).topk(2, dim=1).values.unbind(1)
    return second.isfinite() & (best - second >= margin)


def _take(values: Tensor, index: Tensor) -> Tensor:
    """values (B, K, ...) at index (B, W) -> (B, W, ...)."""
    return values[torch.arange(len(values), device=values.device).unsqueeze(1), index]
