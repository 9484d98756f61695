"""Settings of test-time conditioning."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, model_validator

from ups.core.settings import Settings, require_all

RewardName = Literal["residual", "mean", "energy", "maximum", "bounds"]
"""What a step can be judged by."""
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A finite number above 0."""


class TTCSettings(Settings):
    """Test-time conditioning: several candidates per step, of which physics chooses.

    Good values: `candidates` 4 to 16; `scales` [0.25, 0.5, 1.0];
    `beam_width` 2 with `horizon` 2 where a greedy choice leads astray.
    """

    enabled: bool = False
    """Scores forecasts with test-time conditioning beside those without it."""
    steps: int = Field(default=1, ge=1, le=10_000)
    """Rollout steps between two choices."""
    candidates: int = Field(default=4, ge=1, le=100_000)
    """Candidates drawn at each choice, besides the unperturbed prediction."""
    scales: tuple[Positive, ...] = Field(default=(1.0,), min_length=1)
    """Multiples of its distance from the unperturbed prediction at which every draw is tried; each costs a decoding and
    a reward, but with `steps` 1 no network evaluation."""
    beam_width: int = Field(default=1, ge=1)
    """Paths kept at each choice; 1 is greedy, and more is beam search, which needs `horizon` 2 or more."""
    horizon: int = Field(default=1, ge=1, le=10_000)
    """Choices that are looked ahead before the first of them is settled; 1 is greedy, more needs `beam_width` 2."""
    max_evaluations: int | None = Field(default=None, ge=1)
    """Largest number of network evaluations per trajectory, spent from the first step on; null sets no limit."""
    early_stop_margin: float | None = Field(default=None, ge=0)
    """Draws no further candidates once the best leads by this margin in reward; null always draws all."""
    sampler: Literal["auto", "consistency", "crps", "diffusion"] = "auto"
    """Where candidates come from; `auto` takes the cheapest sampler that the run has."""
    nfe: int | None = Field(default=None, ge=1, le=10_000)
    """Sampling steps of a candidate; the sampler's own setting unless given."""

    rewards: Annotated[dict[str, Positive], Field(min_length=1)] | None = None
    """Weights of the rewards `residual`, `mean`, `energy`, `maximum` and `bounds`; those of the task unless given. A
    reward that does not hold for the task is refused."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        beams, ahead, budget = self.beam_width, self.horizon, self.max_evaluations
        odd = [name for name in self.rewards or () if name not in get_args(RewardName)]
        require_all(
            {
                f"beam_width must be at most candidates = {self.candidates}, found {beams}": beams > self.candidates,
                f"beam_width {beams} needs horizon 2 or more: with 1 only the best path outlives a choice": (
                    beams > 1 and ahead == 1
                ),
                f"horizon {ahead} needs beam_width 2 or more: with 1 there is no path to go back to": (
                    ahead > 1 and beams == 1
                ),
                f"max_evaluations must be at least steps = {self.steps}, found {budget}": (
                    budget is not None and budget < self.steps
                ),
                f"rewards are {', '.join(get_args(RewardName))}, found {', '.join(map(repr, odd))}": bool(odd),
            }
        )
        return self

    def overdrawn(self, steps: int) -> str | None:
        """What is wrong with `max_evaluations` if it does not cover the unperturbed rollout of `steps` steps."""
        if self.max_evaluations is None or self.max_evaluations >= steps:
            return None
        return f"must be at least the {steps} steps of the rollout, found {self.max_evaluations}"


def in_words(settings: Mapping[str, Any]) -> str:
    """Dumped settings as `candidates 16, scales [0.25, 1.0]`: the candidates, and all else that is not at its
    default."""
    usual = TTCSettings().model_dump(mode="json")
    shown = {key: value for key, value in settings.items() if key == "candidates" or value != usual.get(key)}
    return ", ".join(f"{key} {json.dumps(value)}" for key, value in shown.items() if key != "enabled")
