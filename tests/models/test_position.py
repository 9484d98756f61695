"""Networks on latents are told where their tokens are where the system's law depends on it, and nowhere else."""

from dataclasses import replace

import pytest
import torch

from tests.models.systems import SMALL, latent_model, system
from ups.core.system import System
from ups.models.autoencoder import LatentSettings
from ups.models.diffusion_residual import DiffusionResidual, DiffusionSettings
from ups.models.latent_operator import LatentModel, OperatorSettings
from ups.models.steady_prior import SteadyPrior

FREE = system((16, 8))
FORCED = replace(FREE, fixed_axes=(1,))


def model(of: System, told: str | bool = "auto") -> LatentModel:
    """A small model with random weights everywhere."""
    torch.manual_seed(0)
    made = LatentModel(
        of,
        LatentSettings.model_validate({"dim": 8, "tokens": 32, "width": 4, "position": told}),
        OperatorSettings.model_validate({"pdet": {**SMALL, "input_dim": 8, "group_size": 0, "spectral_modes": 2}}),
    )
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.2)
    return made


def step(made: LatentModel, u: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return made.rollout(u, 1, torch.ones(len(u), 1), torch.full((len(u),), 0.1))[:, 0]


@pytest.mark.parametrize("axis", [0, 1])
def test_a_step_depends_on_the_place_along_a_fixed_axis_alone(axis):
    u, by = torch.randn(2, 1, 16, 8), {0: 8, 1: 4}[axis]  # whole tokens
    for of in (FREE, FORCED):
        ahead, shifted = step(model(of), u), step(model(of), u.roll(by, 2 + axis)).roll(-by, 2 + axis)
        assert torch.allclose(ahead, shifted, atol=1e-4) == (axis not in of.fixed_axes)


def test_homogeneous_data_have_the_model_that_is_told_nothing():
    auto, off = model(FREE).state_dict(), model(FREE, "off").state_dict()
    assert auto.keys() == off.keys() and all(torch.equal(auto[name], off[name]) for name in auto)


@pytest.mark.parametrize(
    ("of", "told", "axes"),
    [
        (FREE, "auto", ()),
        (FORCED, "auto", (1,)),
        (FORCED, False, ()),  # as YAML reads off
        (FREE, True, (0, 1)),
        (system((16, 8), "neumann"), "auto", ()),
        (system((16, 8), "neumann"), "on", (0, 1)),
    ],
)
def test_which_axes_are_told(of, told, axes):
    assert LatentSettings.model_validate({"position": told}).told_axes(of) == axes


def test_residual_network_and_steady_prior_are_told_too():
    made = model(FORCED)
    width = made.operator.cfg.position.width
    residual, steady = DiffusionResidual(made, DiffusionSettings.model_validate(SMALL)), SteadyPrior(made, 2)
    assert (residual.transformer.input.in_features, steady.drift.input.in_features) == (24 + width, 16 + width)
    assert latent_model(FREE).operator.cfg.position.width == 0
