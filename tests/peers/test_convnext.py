"""The ConvNeXt U-Net: what a shift of its input does, where it starts, and what its boundaries are."""

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from ups.core.domain import Domain
from ups.peers.convnext import ConvNeXt, ConvNeXtSettings, gathered, spread

SMALL = ConvNeXtSettings(width=4)


def network(shape: tuple[int, ...], settings: ConvNeXtSettings = SMALL) -> ConvNeXt:
    """One whose last layer is not zero, in double precision."""
    torch.manual_seed(0)
    found = ConvNeXt(settings, 2, 1, shape).double()
    for values in found.head.parameters():
        torch.nn.init.normal_(values)
    return found


@pytest.mark.parametrize(("shape", "stride"), [((32,), 4), ((16, 32), 8), ((8, 16, 8), 8)])
def test_a_shift_by_the_coarsest_stride_shifts_the_result(shape: tuple[int, ...], stride: int) -> None:
    model, domain = network(shape), Domain.unit(shape)
    x, axes = torch.randn(2, 2, *shape, dtype=torch.double), tuple(range(2, 2 + len(shape)))
    there = model(x, domain)
    shifted = model(x.roll((stride,) * len(shape), axes), domain)
    torch.testing.assert_close(shifted, there.roll((stride,) * len(shape), axes), rtol=0, atol=1e-12)
    assert model.stride == stride and there.shape == (2, 1, *shape)
    assert not torch.allclose(model(x.roll(stride // 2, 2), domain), there.roll(stride // 2, 2), atol=1e-6)


@pytest.mark.parametrize("shape", [(16,), (16, 16), (8, 8, 8)])
def test_it_starts_at_zero_and_after_one_step_every_weight_learns(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    model, domain, x = ConvNeXt(SMALL, 2, 1, shape), Domain.unit(shape), torch.randn(2, 2, *shape)
    assert (model(x, domain) == 0).all()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        (model(x, domain) - x[:, :1]).square().mean().backward()
        optimizer.step()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "open", "dirichlet/neumann"])
def test_a_point_beside_a_wall_does_not_see_the_other_side_and_walls_differ(boundary: str) -> None:
    shape, settings = (32, 16), ConvNeXtSettings(width=4, growth=(1,), depths=(1,))
    model = network(shape, settings)
    x = torch.randn(1, 2, *shape, dtype=torch.double)
    changed = x.clone()
    changed[:, :, -1] += 1.0  # the high side of the first axis

    def edge(kind: str, u: Tensor) -> Tensor:
        return model(u, Domain.unit(shape, (kind, "periodic")))[:, :, 0]

    torch.testing.assert_close(edge(boundary, changed), edge(boundary, x), rtol=0, atol=0)
    assert not torch.allclose(edge("periodic", changed), edge("periodic", x))
    assert not torch.allclose(edge(boundary, x), edge("periodic", x))
    assert torch.allclose(edge("dirichlet", x), edge(boundary, x)) == boundary.startswith("dirichlet")


@pytest.mark.parametrize("shape", [(6,), (4, 6), (2, 4, 6)])
def test_cells_become_channels_and_back(shape: tuple[int, ...]) -> None:
    x = torch.arange(float(torch.Size(shape).numel())).view(1, *shape, 1)
    there = gathered(x, 2)
    assert torch.equal(spread(there, 2), x)
    corner = x[(slice(None), *[slice(0, 2)] * len(shape))]
    assert torch.equal(there[(0, *[0] * len(shape))], corner.flatten())


def test_a_grid_that_does_not_halve_has_fewer_levels_and_no_cells() -> None:
    assert [network((n, n)).stride for n in (32, 12, 10, 7)] == [8, 4, 2, 1]
    x = torch.randn(2, 2, 7, dtype=torch.double)
    assert network((7,))(x, Domain.unit((7,), ("neumann",))).shape == (2, 1, 7)


def test_it_serves_a_larger_grid_of_the_same_spacing() -> None:
    small, large, x = Domain.unit((16,)), Domain.unit((32,)), torch.randn(1, 2, 16, dtype=torch.double)
    model = network((16,))
    torch.testing.assert_close(model(x.repeat(1, 1, 2), large), model(x, small).repeat(1, 1, 2), rtol=0, atol=1e-12)


def test_sizes_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValidationError, match="one for each grid of growth"):
        ConvNeXtSettings(growth=(1, 2), depths=(1,))
    with pytest.raises(ValidationError, match="taps must be odd"):
        ConvNeXtSettings(taps=4)


def test_it_has_a_tenth_of_a_million_weights_in_1d_and_three_in_2d() -> None:
    sizes = [sum(p.numel() for p in ConvNeXt(ConvNeXtSettings(), 3, 1, s).parameters()) for s in ((256,), (64, 64))]
    assert 0.1e6 < sizes[0] < 0.25e6 and 0.25e6 < sizes[1] < 0.35e6, sizes
