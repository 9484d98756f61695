"""The U-Net: what a shift of its input does, and which grids it takes."""

import pytest
import torch

from ups.core.domain import Domain
from ups.peers.unet import UNet, UNetSettings, halvings

SMALL = UNetSettings(width=4)


@pytest.mark.parametrize("shape", [(32,), (16, 32)])
def test_a_shift_by_the_coarsest_stride_shifts_the_result(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    network = UNet(SMALL, 2, 1, shape).double()
    domain = Domain.unit(shape)
    x, axes = torch.randn(2, 2, *shape, dtype=torch.double), tuple(range(2, 2 + len(shape)))
    shifted = network(x.roll((network.stride,) * len(shape), axes), domain)
    torch.testing.assert_close(
        shifted, network(x, domain).roll((network.stride,) * len(shape), axes), rtol=0, atol=1e-12
    )
    assert network.stride == 8 and not torch.allclose(network(x.roll(1, 2), domain), network(x, domain).roll(1, 2))


def test_a_grid_that_does_not_halve_has_fewer_levels() -> None:
    assert [halvings((points,), 3) for points in (32, 20, 10, 7)] == [3, 2, 1, 0]
    assert UNet(SMALL, 1, 1, (7,))(torch.randn(2, 1, 7), Domain.unit((7,), ("neumann",))).shape == (2, 1, 7)


def test_it_has_about_half_a_million_weights() -> None:
    network = UNet(UNetSettings(), 3, 1, (256,))
    assert 0.4e6 < sum(p.numel() for p in network.parameters()) < 0.6e6
