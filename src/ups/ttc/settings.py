"""Settings of test-time conditioning."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ups.core.settings import Settings


class TTCSettings(Settings):
    """Test-time conditioning: several candidates per step, of which physics chooses.

    Good values: `candidates` 4 to 16; `scales` [0.25, 0.5, 1.0];
    `beam_width` 2 with `horizon` 2 where a greedy choice leads astray.
    """

    enabled: bool = False
    """Scores forecasts with test-time conditioning beside those without it."""
    steps: int = Field(default=1, ge=1)
    """Rollout steps between two choices."""
    candidates: int = Field(default=4, ge=1)
    """Candidates drawn at each choice, besides the unperturbed prediction."""
    scales: tuple[float, ...] = Field(default=(1.0,), min_length=1)
    """Multiples of its distance from the unperturbed prediction at which every draw is tried; each costs a decoding and
    a reward, but with `steps` 1 no network evaluation."""
    beam_width: int = Field(default=1, ge=1)
    """Paths kept at each choice; 1 is greedy."""
    horizon: int = Field(default=1, ge=1)
    """Choices that are looked ahead before the first of them is settled; 1 is greedy."""
    max_evaluations: int | None = Field(default=None, ge=1)
    """Largest number of network evaluations per trajectory, spent from the first step on; null sets no limit."""
    early_stop_margin: float | None = Field(default=None, ge=0)
    """Draws no further candidates once the best leads by this margin in reward; null always draws all."""
    sampler: Literal["auto", "consistency", "crps", "diffusion"] = "auto"
    """Where candidates come from; `auto` takes the cheapest sampler that the run has."""
    nfe: int | None = Field(default=None, ge=1)
    """Sampling steps of a candidate; the sampler's own setting unless given."""

    rewards: dict[str, float] | None = None
    """Weights of the rewards `residual`, `mean`, `energy`, `maximum` and `bounds`; those of the task unless given."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.beam_width > self.candidates:
            raise ValueError(f"beam_width must be at most candidates = {self.candidates}, found {self.beam_width}")
        return self
