import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ups.core.errors import UserError
from ups.data.statistics import RunningMoments, conserves_mean, relative_changes


def moments(values: np.ndarray, cuts: list[int]) -> RunningMoments:
    found = RunningMoments(values.shape[2])
    for piece in np.split(values, sorted(cuts)):
        if len(piece):
            found.add(piece)
    return found


@given(cuts=st.lists(st.integers(0, 12), max_size=4), offset=st.sampled_from([0.0, 1.0, 1e4]))
def test_moments_of_pieces_are_the_moments_of_the_whole(cuts, offset):
    values = (np.random.default_rng(0).standard_normal((12, 3, 2, 5)) + offset).astype(np.float32)
    found, exact = moments(values, cuts), values.astype(np.float64)
    np.testing.assert_allclose(found.mean, exact.mean(axis=(0, 1, 3)), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found.std(), exact.std(axis=(0, 1, 3)), rtol=1e-6)


def test_a_small_spread_on_a_large_mean_is_not_lost():
    wave = np.sin(np.arange(4096) * 2 * np.pi / 64).reshape(4, 1, 1, 1024)
    found = moments((1000.0 + 0.01 * wave).astype(np.float32), [1, 2])
    np.testing.assert_allclose(found.std(), 0.01 / np.sqrt(2), rtol=1e-2)


def test_a_channel_that_never_changes_has_no_deviation():
    values = np.random.default_rng(0).random((3, 2, 2, 4)).astype(np.float32)
    values[:, :, 1] = 0.1
    assert moments(values, [1]).std()[1] == 0.0


def test_values_that_never_change_at_all_are_refused():
    with pytest.raises(UserError, match="never change"):
        moments(np.full((3, 2, 1, 4), 0.1, np.float32), [1]).std()


def test_only_means_that_trajectories_keep_count_as_conserved():
    torch.manual_seed(0)
    u = torch.randn(4, 5, 3, 32)
    u = u - u.mean(-1, keepdim=True) + torch.randn(4, 1, 3, 1)  # every trajectory keeps means of its own
    time = torch.arange(5).view(1, 5, 1)
    u[:, :, 1] += 0.01 * time
    u[:, :, 2] += 1e-5 * time
    assert conserves_mean(u, torch.ones(3)).tolist() == [True, False, True]
    assert conserves_mean(iter(1e4 * u), torch.full((3,), 1e4)).tolist() == [True, False, True]


def test_a_mean_that_one_trajectory_does_not_keep_is_not_conserved() -> None:
    u = torch.randn(64, 5, 1, 8)
    u = u - u.mean(-1, keepdim=True)
    u[7, 3] += 4e-3
    assert conserves_mean(u, torch.ones(1)).tolist() == [False]


def test_changes_are_relative_to_the_size_of_a_standardised_frame() -> None:
    """A wave that shrinks by half, then by a tenth, around any mean and in any unit; still frames have no change."""
    wave = torch.sin(2 * torch.pi * torch.arange(16) / 16)
    sizes = torch.tensor([1.0, 0.5, 0.45, 0.45])
    u = 300.0 + 7.0 * (sizes[:, None] * wave)[:, None]
    found = relative_changes([u, u], torch.tensor([300.0]), torch.tensor([7.0]))
    np.testing.assert_allclose(found, [1.0, 1 / 9, 0.0], atol=1e-5)
    carried = torch.cat([u, torch.full_like(u, 2.0)], 1)  # a channel that never changes counts for nothing
    np.testing.assert_allclose(
        relative_changes([carried], torch.tensor([300.0, 2.0]), torch.tensor([7.0, 0.0])), found, atol=1e-6
    )
