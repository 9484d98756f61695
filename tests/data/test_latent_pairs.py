from itertools import islice

import numpy as np
import pytest
import torch

from ups.core.errors import UserError
from ups.data.latent_pairs import EVEN, WindowBatches, Windows, build_latent_pair_loader, order

FRAMES = 12


def counting(n: int = 5, **options) -> WindowBatches:
    """Latents that say where they come from: 100 i + t in frame t of trajectory i."""
    latents = np.add.outer(100.0 * np.arange(n), np.arange(FRAMES))[..., None, None].astype(np.float32)
    return build_latent_pair_loader(latents, torch.arange(n)[:, None], 0.1, 8, **options)


def many(loader: WindowBatches, batches: int) -> Windows:
    found = list(islice(loader(0), batches))
    return Windows(*(torch.cat([getattr(w, name) for w in found]) for name in ("frames", "params", "dt")))


def test_every_window_has_one_of_the_strides_and_the_step_that_belongs_to_it():
    found = many(counting(strides=(1, 2, 4), seed=3), 300)
    first, last = found.frames.flatten(1).T
    stride = last - first
    assert torch.equal(found.dt, (0.1 * stride.double()).float())
    assert torch.equal(first.div(100, rounding_mode="floor"), found.params[:, 0].float())
    for each in (1, 2, 4):
        chosen = stride == each
        assert 0.28 < chosen.float().mean() < 0.39
        assert set((first[chosen] % 100).tolist()) == set(range(FRAMES - each))


def test_starting_at_any_step_draws_the_strides_of_an_uninterrupted_run():
    loader = counting(strides=(1, 3), seed=1)
    whole = list(islice(loader(0), 20))
    for step in (1, 7, 13):
        again = next(loader(step))
        assert torch.equal(again.frames, whole[step].frames) and torch.equal(again.dt, whole[step].dt)
    assert not torch.equal(many(loader, 5).dt, many(counting(strides=(1, 3), seed=2), 5).dt)


def test_without_further_strides_windows_are_the_neighbours_in_the_order_of_the_epoch():
    found, visit = many(counting(), 7), order(0, 0, 5 * (FRAMES - 1))
    trajectory, start = visit // (FRAMES - 1), visit % (FRAMES - 1)
    expected = torch.from_numpy(100.0 * trajectory + start).float()
    assert torch.equal(found.frames.flatten(1), torch.stack([expected, expected + 1], 1)[:56])
    assert torch.equal(found.dt, torch.full((55,), 0.1))


def test_strides_that_leave_the_trajectory_are_refused():
    with pytest.raises(UserError, match=r"windows of 2 frames, 12 apart \(data.strides\), are needed .* have 12"):
        counting(strides=(1, 12))
    assert len(counting(strides=(1, 11)).strides) == 2


def visited(loader: WindowBatches, first: int, steps: int) -> list[float]:
    """First frames of the windows of some steps, in their order."""
    return torch.cat([windows.frames[:, 0].flatten() for windows in islice(loader(first), steps)]).tolist()


def test_an_epoch_longer_than_the_data_goes_through_them_again_in_another_order():
    loader, everything = counting(steps_per_epoch=17), visited(counting(), 0, 7)  # a pass is 55 windows in 7 batches
    assert loader.steps_per_epoch == 17
    passes = [visited(loader, *part) for part in ((0, 7), (7, 7), (14, 3), (17, 7), (24, 7))]
    assert passes[0] == everything and len(set(passes[2])) == 24
    for other in (passes[1], passes[3], passes[4]):
        assert sorted(other) == sorted(everything) and other != everything
    assert passes[3] not in passes[:3] and passes[1][:24] != passes[2]
    whole = list(islice(loader(0), 40))
    for step in (6, 7, 13, 16, 17, 31):
        assert torch.equal(next(loader(step)).frames, whole[step].frames)


def test_an_epoch_within_the_data_is_the_first_part_of_its_own_pass():
    part = counting(steps_per_epoch=3)
    assert visited(part, 0, 3) == visited(counting(), 0, 3) and visited(part, 3, 3) == visited(counting(), 7, 3)


def test_with_weights_windows_are_visited_as_often_as_these_say_up_to_one():
    weights = np.tile([8.0, 4.0, 2.0, 1.0, 0.0], 20)
    expected = EVEN + (1 - EVEN) * 100 * weights / weights.sum()
    for number in range(3):
        visited = np.bincount(order(0, number, 100, weights), minlength=100)
        assert visited.sum() == 100 and (abs(visited - expected) < 1).all()
    several = sum(np.bincount(order(0, number, 100, weights), minlength=100) for number in range(200)) / 200
    np.testing.assert_allclose(several, expected, atol=0.2)  # a window that is due once in five passes comes in a fifth


def test_equal_weights_visit_every_window_once():
    visited = order(1, 2, 50, np.full(50, 0.3))
    assert sorted(visited) == list(range(50)) and list(visited) != list(range(50))


def test_weights_of_first_frames_hold_for_all_trajectories():
    def windows(trajectory: np.ndarray, start: np.ndarray, length: int, stride: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.stack([trajectory, start], 1)).float().reshape(-1, 1, 1, 2).expand(-1, 2, 1, 2)

    batches = WindowBatches(windows, torch.zeros(40, 0), 6, 2, 200, 1.0, weights=np.array([9.0, 0, 0, 0, 0]))
    seen = next(batches(0)).frames[:, 0, 0]
    starts = torch.bincount(seen[:, 1].long(), minlength=5)
    assert starts[0] >= 160 and (starts[1:] > 0).all() and len(seen[:, 0].unique()) == 40
