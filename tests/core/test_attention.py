"""Window attention against full attention, and across boundaries."""

import pytest
import torch
from torch.nn import functional as F

from ups.core.attention import WindowAttention, window_sides
from ups.core.domain import Boundary, Domain


def full_attention(layer: WindowAttention, x: torch.Tensor) -> torch.Tensor:
    """Softmax attention over all tokens, written out."""
    flat = x.flatten(1, -2)
    q, k, v = layer.qkv(flat).unflatten(-1, (3, layer.heads, -1)).permute(2, 0, 3, 1, 4)
    weights = F.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, -1)
    return layer.out((weights @ v).transpose(1, 2).flatten(2)).view_as(x)


@pytest.mark.parametrize("grid", [(12,), (4, 6), (2, 3, 4)])
@pytest.mark.parametrize("kind", ["periodic", "neumann"])
def test_a_window_over_the_whole_grid_is_full_attention(grid: tuple[int, ...], kind: Boundary) -> None:
    layer = WindowAttention(16, 4, group_size=10_000, shift=True)
    x = torch.randn(3, *grid, 16)
    torch.testing.assert_close(
        layer(x, Domain.unit(grid, (kind,) * len(grid))), full_attention(layer, x), rtol=1e-4, atol=1e-5
    )


def reached(layer: WindowAttention, domain: Domain, source: tuple[int, ...]) -> torch.Tensor:
    """Which tokens feel a change of the token at `source`."""
    x = torch.randn(1, *domain.shape, 8)
    y = x.clone()
    y[(0, *source)] += 1
    return (layer(x, domain) - layer(y, domain)).abs().sum(-1)[0] > 1e-7


def test_a_shifted_window_wraps_on_a_periodic_axis_and_not_elsewhere() -> None:
    layer = WindowAttention(8, 2, 4, shift=True)
    assert reached(layer, Domain.unit((8,)), (0,)).nonzero().flatten().tolist() == [0, 1, 6, 7]
    assert reached(layer, Domain.unit((8,), ("neumann",)), (0,)).nonzero().flatten().tolist() == [0, 1]


def test_tokens_that_only_fill_a_window_up_are_never_seen() -> None:
    layer = WindowAttention(8, 2, 4, shift=False)
    x = torch.randn(1, 6, 8)
    expected = torch.cat([full_attention(layer, x[:, :4]), full_attention(layer, x[:, 4:])], 1)
    torch.testing.assert_close(layer(x, Domain.unit((6,))), expected, rtol=1e-4, atol=1e-5)


def test_windows_hold_at_most_the_group_and_fit_the_grid() -> None:
    assert window_sides((64,), 16) == (16,)
    assert window_sides((8, 8), 16) == (4, 4)
    assert window_sides((2, 32), 16) == (2, 8)
    assert window_sides((4, 4, 4), 64) == (4, 4, 4)
