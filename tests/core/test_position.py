import math
from dataclasses import replace

import pytest
import torch

from ups.core.domain import Domain
from ups.core.patches import Layout, interleaved
from ups.core.position import HARMONICS, Position

PLANE = Domain((8, 12), ("periodic", "dirichlet"), (0.5, 0.25), (1.0, -1.0))


def features(position: Position, domain: Domain) -> torch.Tensor:
    tokens = math.prod(position.layout.tokens(domain).shape) * math.prod(position.layout.strides(domain))
    return position.beside(torch.zeros(1, tokens, 0), domain)[0]


def test_no_axis_adds_nothing():
    z = torch.randn(2, 8, 3)
    assert Position(Layout(PLANE, (2, 4))).beside(z, PLANE) is z


def test_a_token_of_one_point_knows_where_that_point_is():
    position = Position(Layout(PLANE, PLANE.shape), (0, 1))
    found = features(position, PLANE).double().unflatten(0, PLANE.shape)
    x, y = PLANE.coords
    k = torch.arange(1, HARMONICS + 1, dtype=torch.double)
    angle = 2 * math.pi * k * ((x[:, None] - 1.0) / 4.0)
    torch.testing.assert_close(found[:, 0, :HARMONICS], angle.sin(), atol=1e-6, rtol=0)
    torch.testing.assert_close(found[:, 5, HARMONICS : 2 * HARMONICS], angle.cos(), atol=1e-6, rtol=0)
    torch.testing.assert_close(found[3, :, -3], (y + 1) / 2.75 * 2 - 1, atol=1e-6, rtol=0)
    torch.testing.assert_close(found[0, :, -2], torch.exp(-(y + 1) / 0.25), atol=1e-6, rtol=0)
    torch.testing.assert_close(found[0, :, -1], torch.exp(-(1.75 - y) / 0.25), atol=1e-6, rtol=0)


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
def test_interleaved_grids_of_a_finer_domain_know_their_own_place(axes):
    coarse = Domain.unit((6, 4))
    position, fine = Position(Layout(coarse, coarse.shape), axes), coarse.refined(2, 3)
    exact = features(Position(Layout(fine, fine.shape), axes), fine).T.unflatten(1, fine.shape)
    parts = interleaved(exact[None], (2, 3)).flatten(2).movedim(1, -1).flatten(0, 1)
    torch.testing.assert_close(features(position, fine), parts, atol=1e-5, rtol=0)


def test_a_longer_periodic_domain_repeats_the_features():
    position = Position(Layout(Domain.unit((8,)), (4,)), (0,))
    once, twice = features(position, Domain.unit((8,))), features(position, Domain.unit((16,)))
    torch.testing.assert_close(twice, torch.cat([once, once]), atol=1e-5, rtol=0)


def test_a_wall_is_near_wherever_it_stands():
    walled = Domain.unit((8,), ("neumann",))
    position = Position(Layout(walled, (8,)), (0,))
    longer = features(position, replace(walled, shape=(16,)))
    assert longer[0, 1] == longer[-1, 2] == 1.0 and longer[8, 1:].max() < 1e-3
