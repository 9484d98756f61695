"""A trained surrogate as the step function of a search: candidates are draws of its sampler around the operator."""

from __future__ import annotations

from dataclasses import fields

import torch
from torch import Tensor

from ups.core.errors import UserError
from ups.core.latent_state import LatentState
from ups.core.stages import samplers
from ups.models.residual_head import ResidualCondition, ResidualHead
from ups.surrogate.surrogate import Surrogate
from ups.ttc.rewards import Reward
from ups.ttc.search import Judge, SearchResult, Step, search
from ups.ttc.settings import TTCSettings


def samplers_of(surrogate: Surrogate) -> list[str]:
    """Samplers of a run that are random, the cheapest first."""
    return [name for name in samplers() if name in surrogate.heads and surrogate.heads[name].objective != "regression"]


def head_of(surrogate: Surrogate, sampler: str = "auto") -> tuple[str, ResidualHead]:
    """The sampler that candidates come from, with its name; raises UserError if the run has none that is random, or
    no operator."""
    surrogate.require_operator()
    usable = samplers_of(surrogate)
    wanted = usable[:1] if sampler == "auto" else [name for name in usable if name == sampler]
    if not wanted:
        asked = "a sampler" if sampler == "auto" else f"the sampler {sampler!r}"
        raise UserError(
            f"test-time conditioning needs {asked} for its candidates, but this run has {', '.join(usable) or 'none'}; "
            f"train {' or '.join(f'stages.{spec.name}' for spec in samplers().values())}"
        )
    return wanted[0], surrogate.heads[wanted[0]]


def step_of(surrogate: Surrogate, head: ResidualHead, space: str, nfe: int | None = None) -> Step:
    """The step of a surrogate on latents (R, N, D); in `field` space the next step starts from what is decoded."""
    codec, model, dt = surrogate.model.codec, surrogate.model, surrogate.system.dt

    def times(z: Tensor) -> Tensor:
        return torch.full((len(z),), dt, device=z.device)

    def draw(z: Tensor, base: Tensor, params: Tensor, generator: torch.Generator) -> Tensor:
        return head.step(ResidualCondition(LatentState(z, cond={"params": params}), base, times(z)), nfe, generator)

    return Step(
        base=lambda z, params: model.step(LatentState(z, cond={"params": params}), times(z)).z,
        draw=draw,
        fields=codec.hold,
        enter=(lambda z, u: codec.encode(u)) if space == "field" else (lambda z, u: z),
        draw_evaluations=head.evaluations(nfe),
    )


@torch.no_grad()
def condition(
    surrogate: Surrogate,
    judge: Judge,
    u0: Tensor,
    steps: int,
    params: Tensor,
    settings: TTCSettings,
    *,
    space: str | None = None,
    seed: int = 0,
    batch: int = 64,
) -> SearchResult:
    """A forecast of u0 (B, C, *S) physical, of which `judge` chooses every step among candidates.

    Args:
        surrogate: A run with a sampler.
        judge: Scores steps; its `trajectory` counts within u0.
        u0: Initial states.
        steps: Steps to go.
        params: PDE parameters, (B, P).
        settings: Candidates, width, horizon and budget.
        space: As in `Surrogate.rollout`.
        seed: Fixes the draws; the same seed and batch give the same forecast.
        batch: Trajectories searched at once.

    Raises:
        UserError: The run has no sampler, or the budget is too small.
    """
    step = step_of(surrogate, head_of(surrogate, settings.sampler)[1], space or surrogate.space, settings.nfe)
    generator, parts = torch.Generator(surrogate.device).manual_seed(seed), []
    for first in range(0, len(u0), batch):
        u, c = (x[first : first + batch].to(surrogate.device) for x in (u0, params))

        def shifted(before: Tensor, after: Tensor, c: Tensor, row: Tensor, t: int, first: int = first) -> Tensor:
            return judge(before, after, c, row + first, t)

        parts.append(search(step, shifted, surrogate.encode(u), u, c, steps, settings, generator))
    return SearchResult(*(torch.cat([getattr(part, f.name) for part in parts]).cpu() for f in fields(SearchResult)))


def judge_of(reward: Reward) -> Judge:
    """A judge that knows nothing but a reward."""
    return lambda before, after, params, trajectory, step: reward(before, after, params)
