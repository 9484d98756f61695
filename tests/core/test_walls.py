"""Values at walls and means are what forecasts keep."""

import torch

from ups.core.conservation import conform
from ups.core.domain import Domain
from ups.core.walls import hold_walls

ROD = Domain.unit((5,), ("dirichlet/neumann",))
PLATE = Domain.unit((3, 4), ("dirichlet", "dirichlet"))


def test_a_wall_takes_its_value_and_nothing_else_changes() -> None:
    u = torch.arange(10.0).view(1, 2, 5)
    held = hold_walls(u, (((300.0, None), (None, None)),), ROD)
    assert held[0].tolist() == [[300, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert hold_walls(u, (), ROD) is u
    assert hold_walls(u, (((300.0, None), (None, None)),), Domain.unit((5,))) is u  # no wall on a periodic axis


def test_a_corner_is_held_if_both_of_its_walls_hold_the_same() -> None:
    walls = (((1.0,), (0.0,)), ((1.0,), (None,)))
    held = hold_walls(torch.full((1, 1, 3, 4), 7.0), walls, PLATE)[0, 0].tolist()
    assert held == [[1, 1, 1, 7], [1, 7, 7, 7], [7, 0, 0, 7]]


def test_a_mean_is_kept_by_the_points_that_are_free() -> None:
    torch.manual_seed(0)
    u, v = torch.randn(2, 2, 5) + 3, torch.randn(2, 2, 5)
    walls, conserved = (((0.5, None), (None, None)),), torch.tensor([True, False])
    held, excess = conform(v, u, conserved, walls, ROD)
    assert held[:, 0, 0].tolist() == [0.5, 0.5]
    torch.testing.assert_close(held[:, 0].mean(-1), u[:, 0].mean(-1))
    torch.testing.assert_close((held - v)[:, 0, 1:].var(-1), torch.zeros(2), atol=1e-6, rtol=0)
    assert torch.equal(held[:, 1], v[:, 1])
    torch.testing.assert_close(v - excess, held)
