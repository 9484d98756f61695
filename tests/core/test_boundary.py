"""Padding, convolutions and spectral mixing at each kind of boundary."""

import itertools

import pytest
import torch

from ups.core.boundary import BoundaryConv, StarConv, mirror, pad
from ups.core.domain import Domain, read_boundary, sides
from ups.core.spectral import SpectralMixing


def test_padding_continues_a_field_as_its_boundary_says() -> None:
    x = torch.tensor([[[1.0, 2.0, 3.0]]])
    assert pad(x, 1, ["periodic"], 2).flatten().tolist() == [3, 1, 2, 3, 1]
    assert pad(x, 1, ["neumann"], 2).flatten().tolist() == [1, 1, 2, 3, 3]
    assert pad(x, 1, ["open"], 2).flatten().tolist() == [1, 1, 2, 3, 3]
    assert pad(x, 1, ["dirichlet"], 2).flatten().tolist() == [0, 1, 2, 3, 0]
    assert pad(x, 2, ["dirichlet/neumann"], 2).flatten().tolist() == [0, 0, 1, 2, 3, 3, 3]
    assert pad(x, 1, ["wall/dirichlet"], 2).flatten().tolist() == [1, 1, 2, 3, 0]


def test_a_convolution_of_fields_sees_the_wall_go_on_whatever_the_unit() -> None:
    conv, rod = BoundaryConv(1, 1, 3, 1, fields=True), Domain.unit((5,), ("dirichlet",))
    torch.nn.init.ones_(conv.conv.weight)
    assert conv.conv.bias is not None
    torch.testing.assert_close(conv(torch.full((1, 1, 5), 300.0), rod)[0, 0], torch.full((5,), 900.0) + conv.conv.bias)


def test_a_condition_is_a_word_or_one_for_each_side() -> None:
    assert sides("neumann") == ("neumann", "neumann") and sides("dirichlet/open") == ("dirichlet", "open")
    assert read_boundary("wall/wall") == "wall" and read_boundary("dirichlet/neumann") == "dirichlet/neumann"
    for wrong in ("free", "periodic/wall", "wall/free"):
        with pytest.raises(ValueError, match=f"periodic, dirichlet, neumann, wall, open expected.*found {wrong}"):
            read_boundary(wrong)


def test_padding_may_be_wider_than_the_field() -> None:
    x = torch.tensor([[[1.0, 2.0]]])
    assert pad(x, 3, ["periodic"], 2).flatten().tolist() == [2, 1, 2, 1, 2, 1, 2, 1]


def test_a_periodic_convolution_commutes_with_shifts() -> None:
    conv, x = BoundaryConv(2, 3, 5, 2), torch.randn(1, 2, 8, 6)
    plane = Domain.unit((8, 6))
    torch.testing.assert_close(conv(x.roll((3, 1), (2, 3)), plane), conv(x, plane).roll((3, 1), (2, 3)))


def test_the_star_stencil_is_a_laplacian_with_the_right_weights() -> None:
    star = StarConv(1, 1)
    with torch.no_grad():
        star.weight[0, :, 0] = torch.tensor([1.0, -2.0, 1.0])
    x = torch.sin(torch.arange(32) * 2 * torch.pi / 32).view(1, 32, 1)
    factor = 2 * torch.cos(torch.tensor(2 * torch.pi / 32)) - 2
    torch.testing.assert_close(star(x, Domain.unit((32,))), factor * x, rtol=1e-4, atol=1e-6)


def test_mirrored_fields_are_periodic_without_a_jump() -> None:
    x = torch.tensor([[1.0, 2.0]])
    assert mirror(x, ["neumann"], 1).tolist() == [[1, 2, 2, 1]]
    assert mirror(x, ["dirichlet"], 1).tolist() == [[1, 2, 2, 1]]
    assert mirror(x, ["periodic"], 1) is x


def test_spectral_mixing_is_a_circular_convolution_with_few_frequencies() -> None:
    line = Domain.unit((16,))
    layer, x = SpectralMixing(4, line, modes=3), torch.randn(2, 16, 4)
    y = layer(x, line)
    torch.testing.assert_close(layer(x.roll(5, 1), line), y.roll(5, 1), rtol=1e-4, atol=1e-5)
    spectrum = torch.fft.rfft(y, dim=1).abs()
    assert spectrum[:, 3:].max() < 1e-5 * spectrum[:, :3].max()


def test_spectral_mixing_in_two_axes_keeps_negative_frequencies() -> None:
    plane = Domain.unit((8, 8))
    layer, x = SpectralMixing(2, plane, modes=2), torch.randn(1, 8, 8, 2)
    spectrum = torch.fft.fft2(layer(x, plane), dim=(1, 2)).abs()[0, ..., 0]
    kept = (spectrum > 1e-5).nonzero().tolist()
    assert [7, 1] in kept and [1, 1] in kept and all(min(i, 8 - i) < 2 and min(j, 8 - j) < 2 for i, j in kept)


@pytest.mark.parametrize("grid", [(16,), (15,), (8, 6), (4, 6, 5)])
@pytest.mark.parametrize("modes", [2, 99])
def test_spectral_mixing_multiplies_the_coefficients_of_the_fft(grid: tuple[int, ...], modes: int) -> None:
    domain = Domain.unit(grid)
    layer, x, axes = SpectralMixing(3, domain, modes), torch.randn(2, *grid, 3), range(len(grid))
    spectrum = torch.fft.rfftn(x, dim=[1 + a for a in axes])
    expected = torch.zeros_like(spectrum)
    kept = [[k for k in range(n) if min(k, n - k) < modes] for n in grid[:-1]] + [range(layer.kept[-1])]
    for place in itertools.product(*(range(len(k)) for k in kept)):
        k = tuple(kept[a][place[a]] for a in axes)
        matrix = torch.complex(*layer.weight[place].detach().chunk(2, -1))
        expected[(slice(None), *k)] = spectrum[(slice(None), *k)] @ matrix
    torch.testing.assert_close(layer(x, domain), torch.fft.irfftn(expected, s=grid, dim=[1 + a for a in axes]))


@pytest.mark.parametrize("grid", [(4,), (4, 3), (1, 2, 5)])
def test_more_frequencies_than_tokens_have_are_those_that_they_have(grid: tuple[int, ...]) -> None:
    domain, x = Domain.unit(grid), torch.randn(2, *grid, 3)
    torch.manual_seed(0)
    many = SpectralMixing(3, domain, modes=17)
    torch.manual_seed(0)
    all_of_them = SpectralMixing(3, domain, modes=max(grid) // 2 + 1)
    assert torch.equal(many(x, domain), all_of_them(x, domain))
