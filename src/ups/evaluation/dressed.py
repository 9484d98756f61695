"""The dressed operator: a single forecast made an ensemble by Gaussian noise of the right size, and nothing learnt.

    member = v + sum_i g_i (e_i - mean_i e_i) / sqrt(n - 1),   g_i ~ N(0, 1)

e_i are the errors of free rollouts on n validation trajectories by lead time, so the noise has their covariance at each
lead time and between lead times. Any calibrated noise gains 1 - 1 / sqrt(2) = 29 % of CRPS over a single forecast whose
errors are Gaussian: an ensemble that learnt something has to beat this one. Forecasts are dressed with their past
errors as in Roulston and Smith, "Combining dynamical and statistical ensembles", Tellus A 55, 2003.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ups.evaluation.forecaster import Forecaster
from ups.evaluation.row import Role

DRESSED = "dressed operator"


@dataclass(frozen=True)
class DressedForecaster:
    """A forecaster with noise that has the covariance of its own errors on validation.

    Attributes:
        base: The single forecast.
        errors: Its errors on n validation trajectories at lead times 1 to L, less their mean, (n, L, C, *S).
    """

    base: Forecaster
    errors: Tensor
    role: Role = "model"
    built_on: str | None = "operator"
    seconds: float | None = None

    @property
    def parameters(self) -> int:
        """Weights of the forecast."""
        return self.base.parameters

    @property
    def train_seconds(self) -> float:
        """Those of the forecast; its rollouts on validation are not counted."""
        return self.base.train_seconds

    @property
    def evaluations(self) -> float:
        """The forecast is made once, whatever the members."""
        return self.base.evaluations

    def rollout(self, truth: Tensor, start: int, steps: int, params: Tensor, members: int, seed: int) -> Tensor:
        """As `Forecaster.rollout`; leads beyond those of the validation have the noise of the last of them."""
        single = self.base.rollout(truth, start, steps, params, 1, seed).cpu()
        lead = torch.arange(steps).clamp(max=self.errors.shape[1] - 1)
        n, generator = len(self.errors), torch.Generator().manual_seed(seed)
        draws = torch.randn(len(truth), members, n, generator=generator) / (n - 1) ** 0.5
        return single + torch.tensordot(draws, self.errors[:, lead], dims=1)


def dressed(base: Forecaster, truth: Tensor, params: Tensor, start: int) -> DressedForecaster | None:
    """`base` with the errors of its free rollouts from frame `start` of validation trajectories `truth (n, T, C, *S)`
    with parameters `params (n, P)`; those that are not finite are left out. None if fewer than two are left,
    which have no covariance."""
    with torch.inference_mode():
        forecast = base.rollout(truth, start, truth.shape[1] - start - 1, params, 1, 0).cpu()
    errors = forecast[:, 0] - truth[:, start + 1 :]
    finite = errors[errors.flatten(1).isfinite().all(1)]
    return DressedForecaster(base, finite - finite.mean(0)) if len(finite) > 1 else None
