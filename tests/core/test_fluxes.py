"""What differences of fluxes keep, and filters that are exact propagators of linear equations."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ups.core.domain import Domain
from ups.core.fluxes import divergence
from ups.core.spectral import SpectralFilter

SHAPES = [(9,), (6, 5), (4, 3, 5)]


@given(st.sampled_from(SHAPES), st.sampled_from(["periodic", "neumann", "wall"]), st.integers(0, 2**31))
def test_the_sum_over_the_grid_is_kept_whatever_the_fluxes(shape: tuple[int, ...], kind: str, seed: int) -> None:
    fluxes = torch.randn(2, 3, len(shape), *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)
    change = divergence(fluxes, (kind,) * len(shape))
    assert change.shape == (2, 3, *shape)
    assert change.flatten(2).sum(-1).abs().max() < 1e-12


def test_a_flux_through_one_face_moves_what_it_carries_to_the_neighbour() -> None:
    fluxes = torch.zeros(1, 1, 1, 5)
    fluxes[..., 1] = 1.0
    assert divergence(fluxes, ("wall",))[0, 0].tolist() == [0.0, 1.0, -1.0, 0.0, 0.0]
    fluxes[..., 4] = 2.0  # through the face at the end: closed by the wall, else it wraps
    assert divergence(fluxes, ("wall",))[0, 0].tolist() == [0.0, 1.0, -1.0, 0.0, 0.0]
    assert divergence(fluxes, ("periodic",))[0, 0].tolist() == [-2.0, 1.0, -1.0, 0.0, 2.0]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["periodic", "neumann"])
def test_a_filter_of_ones_is_the_identity(shape: tuple[int, ...], kind: str) -> None:
    domain, x = Domain.unit(shape, (kind,) * len(shape)), torch.randn(2, *shape, 3)
    own = SpectralFilter(3, domain)
    assert own(x, domain).abs().max() == 0
    with torch.no_grad():
        own.weight[..., 0, :] = 1
    torch.testing.assert_close(own(x, domain), x, atol=1e-5, rtol=0)


def test_a_filter_can_be_the_exact_propagator_of_the_heat_equation_also_on_a_longer_domain() -> None:
    """exp(-k^2 t) on 16 points; on 32 points of the same spacing the same waves decay alike."""
    t, k = 0.05, torch.arange(9)
    own = SpectralFilter(1, Domain.unit((16,)))
    with torch.no_grad():
        own.weight[:, 0, 0] = torch.exp(-t * k**2)
    for n in (16, 32):
        x = 2 * math.pi * torch.arange(n) / 16
        u, after = x.sin() + (3 * x).cos(), math.exp(-t) * x.sin() + math.exp(-9 * t) * (3 * x).cos()
        torch.testing.assert_close(own(u.view(1, n, 1), Domain.unit((n,))).flatten(), after, atol=1e-5, rtol=0)
