import numpy as np
import pytest

from tests.conftest import travelling_waves
from ups.core.tasks import TASKS
from ups.data.dataset import Dataset, open_dataset
from ups.data.homogeneity import Inhomogeneity, inhomogeneities
from ups.data.settings import DataSettings
from ups.simulate.generate import GenerateSettings, generate, published_path


def found(u: np.ndarray, *axes: int) -> tuple[Inhomogeneity, ...]:
    """The test on trajectories `(n, T, C, *S)`, whose channels are called a, b, ..."""
    over = (0, 1, *range(3, u.ndim))
    return inhomogeneities(iter(u), axes, "abc"[: u.shape[2]], u.mean(over).tolist(), u.std(over).tolist())


def waves(n: int) -> np.ndarray:
    return travelling_waves(n, 6, 32)[:, :, None]


def bump(points: int = 32) -> np.ndarray:
    return np.exp(-(((np.arange(points) - 9) / 4) ** 2))


def test_a_forcing_at_a_fixed_place_is_found_in_the_mean():
    forcing = 0.5 * np.cos(2 * np.pi * 3 * np.arange(32) / 32)
    (sign,) = found(waves(20) + forcing, 0)
    assert (sign.axis, sign.channel, sign.moment, sign.waves) == (0, "a", "mean", 3)
    assert sign.varies == pytest.approx(forcing.std(), rel=1e-3) and sign.allowed < 1e-3


def test_a_sponge_is_found_in_the_variance_of_the_channel_that_it_damps():
    u = np.concatenate((waves(40), (waves(40) - 0.3) * (1 - 0.9 * bump())), axis=2)
    (sign,) = found(u, 0)
    assert (sign.channel, sign.moment) == ("b", "variance")


def test_the_axis_of_a_forcing_in_two_dimensions_is_told():
    noise = np.random.default_rng(0).normal(size=(16, 3, 1, 8, 32))
    assert [sign.axis for sign in found(noise + bump(), 0, 1)] == [1]
    assert [sign.axis for sign in found((noise + bump()).swapaxes(3, 4), 0, 1)] == [0]
    assert found(noise + bump(), 0) == ()


def test_a_unit_changes_nothing_but_the_sizes():
    u = waves(20) + 0.5 * bump()
    (sign,), (scaled,) = found(u, 0), found(u * 2.0**70, 0)
    assert scaled.model_copy(update={"varies": sign.varies, "allowed": sign.allowed}) == sign
    assert scaled.varies == pytest.approx(sign.varies * 2.0**70)


def test_a_channel_that_never_changes_says_nothing():
    u = np.concatenate((np.full((20, 6, 1, 32), 300.0), waves(20) + bump()), axis=2)
    assert [sign.channel for sign in found(u, 0)] == ["b"]


def test_few_trajectories_refute_nothing_and_ten_that_agree_do():
    fixed = np.random.default_rng(0).normal(size=(10, 4, 1, 32)) * 0.01 + bump()
    assert found(fixed[:1], 0) == found(fixed[:6], 0) == () != found(fixed, 0)


def test_homogeneous_data_of_few_waves_and_heavy_tails_are_hardly_ever_taken_for_others():
    random, x = np.random.default_rng(0), 2 * np.pi * np.arange(16) / 16
    for _ in range(500):
        n = random.integers(2, 40)
        size, phase = random.pareto(1.0, (n, 2, 1)) + 0.01, random.uniform(0, 2 * np.pi, (n, 2, 1))
        u = (size * np.cos(random.integers(1, 6, (1, 2, 1)) * x + phase)).sum(1)
        assert found(u[:, None, None].repeat(2, 1), 0) == ()


FREE = [name for name, task in TASKS.items() if not task.fixed_axes]


@pytest.mark.parametrize("task", FREE)
def test_generated_data_are_homogeneous(task, tmp_path):
    small = {"trajectories": 12, "frames": 4, "resolution": 32} if len(TASKS[task].boundary) > 1 else {}
    given = {"pde": task, "trajectories": 60, "frames": 12, **small}
    settings = GenerateSettings.model_validate(given)
    path = generate(settings, published_path(tmp_path, settings))
    path = path.rename(tmp_path / "own.hdf5")  # a name that tells nothing
    dataset = open_dataset(DataSettings.model_validate({"files": str(path)}))
    assert dataset.system.task == "" and dataset.system.fixed_axes == ()
    assert dataset.shift_axes("auto") == tuple(3 + i for i in range(len(dataset.system.shape)))


def opened(folder, u: np.ndarray, **given) -> Dataset:
    np.savez(folder / "a.npz", u=u)
    mapping = {"values": "u", "axes": "n t x", "length": 1.0, "dt": 0.1}
    settings = DataSettings.model_validate({"files": str(folder / "a.npz"), "mapping": mapping, **given})
    return open_dataset(settings, sidecar=folder / "data.json")


def test_samples_are_not_shifted_where_a_shift_makes_no_solution(tmp_path):
    u = travelling_waves(40, 6, 32) + bump()
    for _ in ("read", "remembered"):
        dataset = opened(tmp_path, u, boundary="periodic")
        assert dataset.system.fixed_axes == (0,) and dataset.shift_axes("auto") == dataset.shift_axes(False) == ()
        assert dataset.shift_axes(True) == (3,)  # asked for
    assert opened(tmp_path, u, boundary="neumann").system.fixed_axes == (0,)  # has ends, so nothing can tell
    free = opened(tmp_path, travelling_waves(40, 6, 32), boundary="periodic")
    assert free.system.fixed_axes == () and free.shift_axes("auto") == (3,)


def test_a_known_task_knows_better_than_its_data(tmp_path):
    dataset = opened(tmp_path, travelling_waves(40, 6, 32) + bump(), task="burgers1d", boundary="periodic")
    assert dataset.inhomogeneities == () and dataset.shift_axes("auto") == (3,)


def test_a_large_set_is_judged_by_a_sample(tmp_path, monkeypatch):
    monkeypatch.setattr("ups.data.homogeneity.TRAJECTORIES", 16)
    monkeypatch.setattr("ups.data.homogeneity.BYTES", 1)
    u = travelling_waves(40, 20, 32) + bump()
    assert opened(tmp_path, u, boundary="periodic", in_memory_mb=0.0).system.fixed_axes == (0,)
