"""The operator: the identity at first, linear in small steps, on one, two and three axes."""

import pytest
import torch

from tests.models.systems import latent_model, system
from ups.core.latent_state import LatentState
from ups.core.system import Boundary


@pytest.mark.parametrize("shape,tokens", [((32,), 8), ((8, 8), 16), ((4, 4, 8), 16)])
@pytest.mark.parametrize("depths", [(2,), (1, 1, 1), (1, 1, 1, 1, 1)])
def test_the_untrained_operator_is_the_identity(shape: tuple[int, ...], tokens: int, depths: tuple[int, ...]) -> None:
    model = latent_model(system(shape), tokens=tokens, depths=depths, spectral_modes=2)
    z = torch.randn(3, tokens, 8)
    state = LatentState(z, t=torch.zeros(3), cond={"params": torch.rand(3, 1)})
    ahead = model.operator(state, torch.full((3,), 0.1))
    assert torch.equal(ahead.z, z)
    assert torch.equal(ahead.t, torch.full((3,), 0.1))


@pytest.mark.parametrize("shape,tokens", [((32,), 8), ((8, 8), 16), ((4, 4, 8), 16)])
@pytest.mark.parametrize("kind", ["periodic", "dirichlet", "neumann"])
def test_every_weight_gets_a_gradient_on_every_kind_of_grid(
    shape: tuple[int, ...], tokens: int, kind: Boundary
) -> None:
    torch.manual_seed(0)
    model = latent_model(system(shape, kind), tokens=tokens, depths=(2, 1, 1), spectral_modes=2)
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.2)
    frames = torch.randn(2, 2, 1, *shape)
    out = model(frames, torch.rand(2, 1), torch.full((2,), 0.2))
    (out.fields.square().mean() + out.reconstruction.square().mean()).backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


def test_the_condition_changes_the_step() -> None:
    torch.manual_seed(0)
    model = latent_model(system())
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.2)
    z, dt = torch.randn(1, 8, 8), torch.full((1,), 0.1)
    a, b = (model.step(LatentState(z, cond={"params": torch.full((1, 1), nu)}), dt).z for nu in (0.0, 1.0))
    assert (a - b).abs().max() > 1e-3


def test_a_step_of_no_time_changes_nothing() -> None:
    model = latent_model(system())
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.2)
    z = torch.randn(1, 8, 8)
    state = LatentState(z, cond={"params": torch.zeros(1, 1)})
    torch.testing.assert_close(model.step(state, torch.full((1,), 1e-13)).z, z, atol=1e-5, rtol=0)


def test_both_spaces_agree_while_the_codec_is_exact() -> None:
    model = latent_model(system(), dim=4)
    torch.nn.init.normal_(model.operator.transformer.output.get_parameter("weight"), std=0.3)
    u, c, dt = torch.randn(2, 1, 32), torch.zeros(2, 1), torch.full((2,), 0.1)
    torch.testing.assert_close(
        model.rollout(u, 3, c, dt, "latent"), model.rollout(u, 3, c, dt, "field"), rtol=1e-3, atol=1e-4
    )
