from itertools import islice

import numpy as np
import pytest
import torch

from ups.core.errors import UserError
from ups.data.latent_pairs import WindowBatches, Windows, build_latent_pair_loader, order

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
