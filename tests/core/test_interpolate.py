"""Interpolation against the functions it should reproduce."""

import math

import torch

from ups.core.interpolate import interpolation_matrix, sample


def test_periodic_interpolation_is_exact_for_resolved_waves() -> None:
    x, q = torch.arange(16) / 16, torch.rand(50)
    u = torch.sin(2 * math.pi * 3 * x) + torch.cos(2 * math.pi * 7 * x)
    expected = torch.sin(2 * math.pi * 3 * q) + torch.cos(2 * math.pi * 7 * q)
    torch.testing.assert_close(
        interpolation_matrix(x, q, "periodic") @ u.double(), expected.double(), rtol=1e-4, atol=1e-4
    )


def test_open_axes_reproduce_cubic_polynomials_up_to_their_ends() -> None:
    x, q = torch.linspace(-1, 1, 9).double(), torch.linspace(-1, 1, 33).double()
    cubic = lambda t: 1 + t - 2 * t**2 + 0.5 * t**3  # noqa: E731
    torch.testing.assert_close(interpolation_matrix(x, q, "neumann") @ cubic(x), cubic(q))


def test_grid_points_return_the_grid_values() -> None:
    x = torch.arange(10).double() / 10
    for kind in ("periodic", "neumann", "dirichlet"):
        torch.testing.assert_close(interpolation_matrix(x, x, kind), torch.eye(10).double(), atol=1e-12, rtol=0)


def test_scattered_points_agree_with_a_tensor_grid() -> None:
    axes = [torch.arange(8) / 8, torch.arange(6) / 6]
    query = [torch.rand(3), 0.8 * torch.rand(4)]
    u = torch.randn(2, 1, 8, 6)
    kinds = ["periodic", "neumann"]
    along_x, along_y = (interpolation_matrix(*axis).float() for axis in zip(axes, query, kinds, strict=True))
    on_grid, points = along_x @ u @ along_y.T, torch.cartesian_prod(*query)
    torch.testing.assert_close(sample(u, axes, points, kinds), on_grid.flatten(2), rtol=1e-4, atol=1e-5)
