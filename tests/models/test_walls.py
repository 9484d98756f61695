"""Values at walls are exact in every forecast, of fields and of latents."""

from dataclasses import replace

import pytest
import torch

from tests.models.systems import latent_model, system
from ups.core.system import System
from ups.peers.one_step import ResidualForecaster
from ups.peers.unet import UNet, UNetSettings

WALLS = (((300.0, None), (1.5, None)),)


def rod() -> System:
    """A rod with two channels, one of which is held at 300 and 1.5."""
    return replace(system((33,), "dirichlet", channels=2), walls=WALLS)


@pytest.mark.parametrize("space", ["field", "latent"])
def test_forecasts_hold_walls_exactly_and_nothing_else(space: str) -> None:
    torch.manual_seed(0)
    model = latent_model(rod(), tokens=11, dim=8)
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.2)
    model.codec.u_mean.copy_(torch.tensor([280.0, 0.0]))
    u = torch.randn(3, 2, 33) + 280
    with torch.no_grad():
        frames = model.rollout(u, 4, torch.ones(3, 1), torch.full((3,), 0.1), space)
    assert (frames[:, :, 0, 0] == 300).all() and (frames[:, :, 0, -1] == 1.5).all()
    assert frames[:, :, 1, 0].std() > 0.01 and frames[:, :, 0, 1].std() > 0.01


def test_both_spaces_agree_at_the_wall_and_everywhere_while_the_codec_is_exact() -> None:
    torch.manual_seed(0)
    model = latent_model(rod(), tokens=11, dim=6)
    torch.nn.init.normal_(model.operator.transformer.output.get_parameter("weight"), std=0.3)
    u, c, dt = torch.randn(2, 2, 33), torch.zeros(2, 1), torch.full((2,), 0.1)
    with torch.no_grad():
        latent, field = (model.rollout(u, 3, c, dt, space) for space in ("latent", "field"))
        z, v = model.codec.hold(model.codec.encode(u), u)
        torch.testing.assert_close(z, model.codec.encode(v), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(latent, field, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("held", [None, torch.tensor([True, False])])
def test_peers_hold_walls_too(held: torch.Tensor | None) -> None:
    torch.manual_seed(0)
    network = UNet(UNetSettings(width=4), 4, 2, (33,))
    model = ResidualForecaster(network, rod())
    with torch.no_grad():
        frames = model.rollout(torch.randn(3, 2, 33), 3, torch.ones(3, 1), held)
    assert (frames[:, :, 0, 0] == 300).all() and (frames[:, :, 0, -1] == 1.5).all()


def test_the_unit_and_the_level_of_a_wall_change_no_forecast() -> None:
    torch.manual_seed(0)
    model = latent_model(rod(), tokens=11, dim=8)
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.2)
    warm = latent_model(replace(rod(), walls=(((364.0, None), (65.5, None)),)), tokens=11, dim=8)
    warm.load_state_dict(model.state_dict())
    warm.codec.u_mean.copy_(torch.tensor([64.0, 0.0]))
    u, c, dt = torch.randn(2, 2, 33), torch.zeros(2, 1), torch.full((2,), 0.1)
    shift = torch.tensor([64.0, 0.0]).view(2, 1)
    with torch.no_grad():
        cold, moved = model.rollout(u, 3, c, dt), warm.rollout(u + shift, 3, c, dt)
    torch.testing.assert_close(moved - shift, cold, rtol=1e-3, atol=2e-3)
