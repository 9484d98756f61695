"""The cache of latents: what it holds, when it is made again, and that it is whole or not there."""

import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.small import advection
from ups.core.errors import UserError
from ups.data.dataset import open_dataset
from ups.data.latent_cache import cached_latents
from ups.data.settings import DataSettings
from ups.data.split import Split

ROWS = np.array([1, 4, 5])


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """A training split of 9 frames of 32 points."""
    folder = tmp_path_factory.mktemp("waves")
    advection(folder)
    return open_dataset(DataSettings(task="advection1d", root=str(folder))).train


def pieces(u: Tensor) -> Tensor:
    """Fields (T, 1, 32) -> tokens (T, 8, 4)."""
    return u.unflatten(-1, (8, 4))[:, 0]


def never(u: Tensor) -> Tensor:
    pytest.fail("latents that are there were encoded again")


def stops(after: int) -> Callable[[Tensor], Tensor]:
    """An encoder that is interrupted after some trajectories."""
    left = [None] * after

    def encode(u: Tensor) -> Tensor:
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return pieces(u)

    return encode


def test_latents_are_those_of_the_rows_in_their_order(split: Split, tmp_path: Path) -> None:
    found = cached_latents(tmp_path / "latents", "key", split, ROWS, pieces)
    expected = torch.stack([pieces(split.trajectories(int(row), int(row) + 1)[0]) for row in ROWS])
    assert isinstance(found, np.memmap) and found.dtype == np.float32 and found.shape == (3, 9, 8, 4)
    np.testing.assert_array_equal(found, expected.numpy())


def test_latents_that_do_not_lie_in_order_in_memory_are_kept_as_they_are(split: Split, tmp_path: Path) -> None:
    encode = lambda u: pieces(u).transpose(1, 2)  # noqa: E731
    found = cached_latents(tmp_path, "key", split, ROWS, encode)
    np.testing.assert_array_equal(found[1], encode(split.trajectories(4, 5)[0]).numpy())


def test_latents_are_encoded_once_for_a_key_and_again_for_another(split: Split, tmp_path: Path) -> None:
    first = cached_latents(tmp_path, "key", split, ROWS, pieces)
    np.testing.assert_array_equal(cached_latents(tmp_path, "key", split, ROWS, never), first)
    other = cached_latents(tmp_path, "other", split, ROWS, lambda u: 2 * pieces(u))
    np.testing.assert_array_equal(other, 2 * first)
    assert {path.name for path in tmp_path.iterdir()} == {"key.npy", "other.npy"}


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_stop_between_two_trajectories_leaves_no_file(split: Split, tmp_path: Path, after: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        cached_latents(tmp_path, "key", split, ROWS, stops(after))
    assert not list(tmp_path.iterdir())
    assert len(cached_latents(tmp_path, "key", split, ROWS, pieces)) == 3


def test_what_is_written_is_on_the_disk_and_not_a_hole_in_a_file(split: Split, tmp_path: Path) -> None:
    """A file that is sized first and filled through memory kills the process where the disk is full."""
    sizes = []

    def encode(u: Tensor) -> Tensor:
        sizes.append((tmp_path / "key.npy.part").stat().st_size)
        return pieces(u).repeat(1, 64, 1)

    written = cached_latents(tmp_path, "key", split, ROWS, encode).nbytes
    assert sizes[0] == 0 and sizes[1] < 0.4 * written and sizes[2] < 0.7 * written


def test_a_file_that_cannot_be_written_to_its_end_is_one_sentence(split: Split, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, hard))
    try:
        with pytest.raises(UserError, match="cannot write the latent cache"):
            cached_latents(tmp_path, "key", split, ROWS, pieces)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())
