"""Forecasts are computed on the device of the surrogate, whatever they start from, and come back from it."""

import warnings

import pytest
import torch

from tests.models.systems import SMALL, latent_model, system
from tests.models.test_grid_codec import points_model
from tests.pretend_gpu import OnGpu, pretend_gpu
from ups.core.errors import ForecastWarning
from ups.core.system import Boundary
from ups.models.diffusion_residual import DiffusionResidual, DiffusionSettings
from ups.models.latent_operator import LatentModel
from ups.models.residual_head import ResidualHead
from ups.models.steady_prior import SteadyPrior
from ups.surrogate.surrogate import Surrogate
from ups.ttc.forecast import rollout_with_ttc
from ups.ttc.rewards import rewards_of, weighted
from ups.ttc.settings import TTCSettings


def surrogate(model: LatentModel, device: torch.device | str) -> Surrogate:
    """An untrained surrogate with every sampler and a prior."""
    settings = DiffusionSettings.model_validate(SMALL if not model.codec.exact else {"hidden_dim": 8, "depths": (1,)})
    heads = {
        "diffusion": ResidualHead(DiffusionResidual(model, settings), "flow", 2, "stochastic"),
        "consistency": ResidualHead(DiffusionResidual(model, settings), "consistency", 2),
        "crps": ResidualHead(DiffusionResidual(model, settings), "crps"),
    }
    return Surrogate(model, heads=heads, steady_prior=SteadyPrior(model, 2), device=device)


def model_of(shape: tuple[int, ...], boundary: Boundary, exact: bool) -> LatentModel:
    of = system(shape, boundary, channels=2)
    return points_model(of, 2) if exact else latent_model(of, tokens=4, spectral_modes=2)


@pytest.mark.parametrize("shape", [(12,), (8, 6), (4, 6, 4)])
@pytest.mark.parametrize("boundary", ["periodic", "wall"])
@pytest.mark.parametrize("exact", [True, False])
def test_all_forecasts_run_on_the_device_and_come_back(shape: tuple[int, ...], boundary: Boundary, exact: bool) -> None:
    u0, params = torch.randn(3, 2, *shape), torch.rand(3, 1)
    with warnings.catch_warnings(action="ignore", category=ForecastWarning), pretend_gpu() as gpu:
        model = surrogate(model_of(shape, boundary, exact), gpu)
        assert all(isinstance(x, OnGpu) for x in (*model.model.parameters(), *model.model.buffers()))
        for sampler in ("none", "diffusion", "consistency", "crps"):
            for space in ("field", "latent"):
                members = 1 if sampler == "none" else 2
                found = model.rollout(u0, 2, params=params, members=members, sampler=sampler, space=space, batch=2)
                assert type(found.values) is torch.Tensor and type(found.params) is torch.Tensor
        assert type(model.rollout(u0.numpy(), 1).values) is torch.Tensor
        assert type(model.rollout(u0, 1, params={"Nu": 0.3}).values) is torch.Tensor
        assert type(model.steady(u0, params=params)) is torch.Tensor
        z = model.encode(u0)
        assert isinstance(z, OnGpu) and isinstance(model.decode(z.cpu()), OnGpu)
        assert isinstance(model.decode(z, points=torch.rand(5, len(shape)) / 2), OnGpu)


def test_test_time_conditioning_runs_on_the_device() -> None:
    u0, params = torch.randn(3, 1, 32), torch.rand(3, 1)
    with pretend_gpu() as gpu:
        model = surrogate(latent_model(system()), gpu)
        bounds = torch.full((1,), -1.0), torch.full((1,), 1.0)
        names = {name: 1.0 for name in ("bounds", "mean", "energy", "maximum")}
        reward = weighted(rewards_of(model.system, lambda: bounds, names, std=[1.0]))
        settings = TTCSettings(candidates=2, beam_width=2, horizon=2, early_stop_margin=0.1)
        found = rollout_with_ttc(model, u0, 3, params=params, settings=settings, reward=reward)
        assert type(found.values) is torch.Tensor and found.values.shape == (3, 1, 3, 1, 32)
