"""The trained surrogate as an evaluation sees it: one forecaster per space and sampler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ups.core.stages import STAGES, StageSpec, needed_by, samplers
from ups.evaluation.baselines import FLOOR, AutoencoderFloor
from ups.evaluation.forecaster import Forecaster
from ups.evaluation.row import Role
from ups.models.residual_head import ResidualHead
from ups.surrogate.surrogate import Surrogate


@dataclass(frozen=True)
class SurrogateForecaster:
    """A `Surrogate` rolled out in one space with one sampler; `batch` states, members included, go into a call."""

    surrogate: Surrogate
    space: str
    sampler: str = "none"
    nfe: int | None = None
    batch: int = 64
    role: Role = "model"
    seconds: float | None = None

    @property
    def built_on(self) -> str:
        """The row that operator or sampler is built on."""
        return (STAGES["operator"] if self.sampler == "none" else samplers()[self.sampler]).built_on

    @property
    def parameters(self) -> int:
        """Weights of codec, operator and sampler."""
        head = self.surrogate.heads.get(self.sampler)
        return self.surrogate.parameters + (sum(p.numel() for p in head.network.parameters()) if head else 0)

    @property
    def train_seconds(self) -> float:
        """Time spent on training everything that is used."""
        return training_seconds(self.surrogate, "operator" if self.sampler == "none" else samplers()[self.sampler].name)

    @property
    def evaluations(self) -> float:
        """Network evaluations per step and member."""
        head = self.surrogate.heads.get(self.sampler)
        return 1.0 + (head.evaluations(self.nfe) if head else 0)

    def rollout(self, truth: Tensor, start: int, steps: int, params: Tensor, members: int, seed: int) -> Tensor:
        """Free rollout from frame `start` of truth (b, T, C, *S): (b, M, steps, C, *S)."""
        head = self.surrogate.heads.get(self.sampler)
        many = members if head and head.objective != "regression" else 1
        forecast = self.surrogate.rollout(
            truth[:, start],
            steps,
            params=params,
            members=many,
            sampler=self.sampler,
            nfe=self.nfe,
            space=self.space,
            seed=seed,
            batch=self.batch,
        )
        return forecast.values


def forecasters(surrogate: Surrogate, nfe: Sequence[int], batch: int) -> dict[str, Forecaster]:
    """The rows of an evaluation: of a learnt codec its floor and the operator in the other space, the operator in the
    run's space, and each sampler, the diffusion residual with each number of steps in `nfe` (else with its own); none
    without an operator."""
    if not surrogate.has_operator:
        return {}
    codec, space = surrogate.model.codec, surrogate.space
    other = "latent" if space == "field" else "field"

    def reconstruct(u: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.cat([codec(part) for part in u.to(surrogate.device).split(batch)]).cpu()

    size = sum(p.numel() for p in codec.parameters())
    rows: dict[str, Forecaster] = {}
    if not codec.exact:  # whose floor is 0, and whose rollouts are the same in both spaces
        seconds = training_seconds(surrogate, "autoencoder")
        rows[FLOOR] = AutoencoderFloor(reconstruct, parameters=size, train_seconds=seconds)
        rows[f"operator ({other} space)"] = SurrogateForecaster(surrogate, other, batch=batch)
    rows["operator"] = SurrogateForecaster(surrogate, space, batch=batch)
    for spec in sorted(samplers().values(), key=lambda spec: len(spec.predecessors)):  # after what they build on
        if head := surrogate.heads.get(spec.sampler):
            for name, k in sampler_rows(spec, head, nfe).items():
                rows[name] = SurrogateForecaster(surrogate, space, spec.sampler, k, batch)
    return rows


def sampler_rows(spec: StageSpec, head: ResidualHead, nfe: Sequence[int]) -> dict[str, int]:
    """Names of a sampler's rows and their sampling steps: `SAMPLER@steps` where it can take several, else one row,
    called by its objective where that is a row of its own."""
    steps = spec.evaluations or ((nfe or (head.steps,)) if head.objective == "flow" else ())
    single = head.objective if head.objective in spec.rows else spec.sampler
    return {f"{spec.sampler}@{k}": k for k in steps} or {single: 1}


def training_seconds(surrogate: Surrogate, stage: str) -> float:
    """Time spent on training a stage and all that it needs."""
    needed = needed_by(stage, surrogate.model.codec.exact)
    return sum(surrogate.train_seconds.get(name, 0.0) for name in needed)
