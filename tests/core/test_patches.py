"""Patches: nothing is lost between a grid and its tokens."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ups.core.errors import UserError
from ups.core.patches import Patches, sides_of, token_grid


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 12), st.floats(0, 1)), min_size=1, max_size=3), st.integers(1, 3))
def test_join_inverts_split_for_any_grid_and_any_number_of_tokens(axes: list[tuple[int, float]], channels: int) -> None:
    shape = [s for s, _ in axes]
    grid = [max(1, round(s * share)) for s, share in axes]
    patches = Patches(tuple(shape), tuple(grid), sides_of(shape, grid))
    u = torch.randn(2, channels, *shape)
    tokens = patches.split(u)
    assert tokens.shape == (2, math.prod(grid), channels * patches.points)
    assert torch.equal(patches.join(tokens), u)
    last = patches.split_last(u.movedim(1, -1))
    assert torch.equal(last.unflatten(-1, (-1, channels)).mT.flatten(2), tokens)
    assert torch.equal(patches.join_last(last), u.movedim(1, -1))


def test_tokens_hold_neighbouring_points() -> None:
    u = torch.arange(8.0).view(1, 1, 8)
    assert Patches((8,), (4,), (2,)).split(u)[0].tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_token_grid_follows_the_aspect_of_the_field() -> None:
    assert token_grid((256,), 48) == (48,)
    assert token_grid((64, 64), 64) == (8, 8)
    assert token_grid((32, 128), 64) == (4, 16)
    assert token_grid((16, 16, 16), 64) == (4, 4, 4)


def test_more_tokens_than_points_are_refused() -> None:
    with pytest.raises(UserError, match="between 1 and the number of grid points 16"):
        token_grid((4, 4), 17)
