"""The domain is an argument: one set of weights serves other resolutions and other lengths."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.models.systems import head, latent_model, surrogate, system
from ups.core.domain import Domain
from ups.core.errors import UserError
from ups.core.patches import deinterleaved, interleaved
from ups.core.system import Boundary
from ups.models.latent_operator import LatentModel
from ups.training.losses import relative_l2

MIXING = [
    {"group_size": 4},
    {"group_size": 0, "spectral_modes": 5},
    {"group_size": 4, "spectral_modes": 3, "depths": (1, 1, 1)},
]
PARAMS, DT = torch.ones(2, 1), torch.full((2,), 0.1)


def stirred(model: LatentModel) -> LatentModel:
    """The model with random weights everywhere, so that every part of it takes part."""
    torch.manual_seed(0)
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.2)
    return model


def travelling(points: int, n: int, frames: int, speed: float = 0.37) -> Tensor:
    """Sums of four waves on a unit line that travel by `speed` in a time of 1, frames 0.1 apart, (n, frames, 1, X)."""
    draw = torch.Generator().manual_seed(1)
    k = torch.arange(1, 5).view(4, 1, 1)
    x, t = torch.arange(points) / points, 0.1 * torch.arange(frames).view(-1, 1)
    size, phase = torch.randn(n, 4, 1, 1, generator=draw), 6.3 * torch.rand(n, 4, 1, 1, generator=draw)
    return (size / k * torch.sin(2 * math.pi * k * (x - speed * t) + phase)).sum(1).unsqueeze(2)


def test_a_model_trained_at_64_points_forecasts_at_128_without_interpolation() -> None:
    torch.manual_seed(0)
    model = latent_model(system((64,)), tokens=16, dim=8, group_size=0, spectral_modes=8)
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3)
    frames = travelling(64, 64, 6).unfold(1, 2, 1).flatten(0, 1).movedim(-1, 1)
    for step in range(120):
        batch = frames[torch.randperm(len(frames), generator=torch.Generator().manual_seed(step))[:32]]
        out = model(batch, torch.ones(32, 1), torch.full((32,), 0.1))
        loss = relative_l2(out.fields, batch[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    errors = []
    for domain in (model.system.domain, model.system.domain.refined(2)):
        truth = travelling(domain.shape[0], 64, 6)[:, :6]
        with torch.no_grad():
            ahead = model.rollout(truth[:, 0], 5, torch.ones(64, 1), torch.full((64,), 0.1), "field", domain)
        errors.append(float(relative_l2(ahead, truth[:, 1:])))
    assert errors[0] < 0.25  # persistence has 1.2
    assert errors[1] == pytest.approx(errors[0], rel=0.02)


@pytest.mark.parametrize("mixing", MIXING)
@pytest.mark.parametrize("space", ["field", "latent"])
@pytest.mark.parametrize(("shape", "tokens"), [((32,), 8), ((8, 12), 6)])
def test_a_finer_grid_is_forecast_as_the_grids_that_are_interleaved_in_it(
    mixing: dict[str, Any], space: str, shape: tuple[int, ...], tokens: int
) -> None:
    model = stirred(latent_model(system(shape), tokens=tokens, **mixing))
    domain = model.system.domain.refined(*range(2, 2 + len(shape)))
    u = torch.randn(2, 1, *domain.shape)
    strides = tuple(range(2, 2 + len(shape)))
    parts = interleaved(u, strides)
    with torch.no_grad():
        fine = model.rollout(u, 2, PARAMS, DT, space, domain)
        each = model.rollout(parts, 2, torch.ones(len(parts), 1), torch.full((len(parts),), 0.1), space)
    for step in range(2):
        torch.testing.assert_close(fine[:, step], deinterleaved(each[:, step], strides), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("mixing", MIXING)
@pytest.mark.parametrize(("shape", "tokens"), [((32,), 8), ((16, 16), 16)])
def test_a_field_repeated_on_a_longer_domain_is_forecast_as_each_of_its_copies(
    mixing: dict[str, Any], shape: tuple[int, ...], tokens: int
) -> None:
    model = stirred(latent_model(system(shape), tokens=tokens, **mixing))
    longer = replace(model.system.domain, shape=tuple(2 * n for n in shape))
    u, twice = torch.randn(2, 1, *shape), (1, 1, *[2] * len(shape))
    with torch.no_grad():
        one, two = model.rollout(u, 1, PARAMS, DT), model.rollout(u.repeat(twice), 1, PARAMS, DT, "field", longer)
    torch.testing.assert_close(two[:, 0], one[:, 0].repeat(twice), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["periodic", "neumann"])
def test_weights_have_the_same_shapes_at_any_number_of_points(kind: Boundary) -> None:
    small = latent_model(system((32,), kind), tokens=8, spectral_modes=3, depths=(1, 1, 1))
    large = latent_model(system((96,), kind), tokens=24, spectral_modes=3, depths=(1, 1, 1))
    large.load_state_dict(small.state_dict())


def test_interleaved_grids_are_put_together_again() -> None:
    u = torch.arange(8.0).view(1, 1, 8)
    assert interleaved(u, (2,))[:, 0].tolist() == [[0, 2, 4, 6], [1, 3, 5, 7]]
    u = torch.randn(3, 2, 4, 6, 2)
    assert torch.equal(deinterleaved(interleaved(u, (2, 3, 1)), (2, 3, 1)), u)


def test_the_surrogate_forecasts_with_members_on_a_finer_grid() -> None:
    model = surrogate(crps=head("crps"))
    fine = model.system.domain.refined(2)
    forecast = model.rollout(torch.randn(2, 1, 64), 3, params=[1.0], members=2, domain=fine)
    assert forecast.values.shape == (2, 2, 3, 1, 64)
    assert forecast.system.domain == fine and forecast.system.coords[0][:2] == (0.0, 1 / 64)


@pytest.mark.parametrize(
    ("kind", "domain", "sentence"),
    [
        ("periodic", Domain((48,), ("periodic",), (1 / 48,), (0.0,)), r"axis 0 needs the spacing 0\.03125"),
        ("periodic", Domain((16,), ("periodic",), (1 / 16,), (0.0,)), r"found 0\.0625: resample the fields"),
        ("neumann", Domain((64,), ("neumann",), (1 / 64,), (0.0,)), "axis 0, which has ends, needs the spacing"),
        ("periodic", Domain((2,), ("periodic",), (1 / 32,), (0.0,)), r"a patch of \(4,\) points does not fit"),
        ("periodic", Domain.unit((8, 8)), "a model of 1 axes was given a domain of 2"),
    ],
)
def test_domains_that_a_model_cannot_serve_are_refused(kind: Boundary, domain: Domain, sentence: str) -> None:
    codec = latent_model(system((32,), kind)).codec
    with pytest.raises(UserError, match=sentence):
        codec.encode(torch.zeros(1, 1, *domain.shape), domain)


def test_a_model_compiles_into_one_graph_tables_and_all() -> None:
    walled = replace(system((33,), "dirichlet"), walls=(((1.0,), (None,)),))
    model = stirred(latent_model(walled, tokens=10, spectral_modes=3, depths=(1, 1, 1)))
    frames = torch.randn(2, 3, 1, 33)
    with torch.no_grad():
        expected = model(frames, PARAMS, DT).fields
        compiled = torch.compile(model, fullgraph=True, backend="eager")(frames, PARAMS, DT).fields
    torch.testing.assert_close(compiled, expected)
