import numpy as np
import pytest

from tests.conftest import travelling_waves
from ups.data.inspect import check_files
from ups.data.settings import MappingSettings


def found(folder, **channels: np.ndarray) -> list[str]:
    """What `check_files` says of waves in periodic channels `(n, T, X)`."""
    np.savez(folder / "a.npz", allow_pickle=False, **{name: u.astype(np.float32) for name, u in channels.items()})
    mapping = MappingSettings(values=tuple(channels), axes="n t x", length=(1.0,), dt=0.1)
    said = [str(finding) for finding in check_files([folder / "a.npz"], mapping, ("periodic",))]
    return [text.removeprefix("warning: ").replace(f"{folder}/a.npz: ", "") for text in said]


@pytest.fixture
def u() -> np.ndarray:
    return travelling_waves(6, 9, 16)


def test_a_field_that_is_zero_is_named_with_its_trajectory_and_frames(tmp_path, u):
    v = u + 2
    u[1, [0, 4, 5]], u[3, 7], v[2] = 0, 1e-9, 0
    assert found(tmp_path, u=u, v=v) == [
        "trajectory 1 u: zero in frames 0, 4 to 5",
        "trajectory 2 v: zero in all 9 frames",
        "trajectory 3 u: zero in frame 7",
    ]


def test_what_all_trajectories_share_is_one_line(tmp_path, u):
    v = u + 2
    u[:, 3] = 0
    assert found(tmp_path, u=u, v=v) == ["u: zero in frame 3, in all 6 trajectories"]
    assert found(tmp_path, u=u, v=0 * u, w=0 * u + 300) == [
        "v is zero everywhere",
        "w is 300 everywhere",
        "u: zero in frame 3, in all 6 trajectories",
    ]


def test_a_start_from_rest_is_a_note_and_a_zero_or_frozen_tail_is_none(tmp_path, u):
    v = u + 2
    u[:, [0, 4, 8]] = 0
    assert found(tmp_path, u=u, v=v) == ["note: u: zero in frames 0, 4, 8, in all 6 trajectories, a start from rest"]
    assert found(tmp_path, u=u[:1], v=v[:1]) == ["note: trajectory 0 u: zero in frames 0, 4, 8, a start from rest"]
    assert found(tmp_path, u=u) == ["zero in frames 0, 4, 8, in all 6 trajectories"]  # nothing to forecast from
    w = u.copy()
    w[:, 7:] = w[:, 6:7]
    assert found(tmp_path, w=w, v=v) == [
        "w: zero in frames 0, 4, in all 6 trajectories",
        "w: frames 7 to 8 repeat frame 6, in all 6 trajectories",
    ]
    u[:, 7:] = 0
    assert found(tmp_path, u=u, v=v) == ["u: zero in frames 0, 4, 7 to 8, in all 6 trajectories"]
    u[0, 0] = 1
    assert not any(text.startswith("note") for text in found(tmp_path, u=u, v=v))


def test_a_simulation_that_has_stopped_is_found_from_its_first_repeated_frame_on(tmp_path, u):
    v = u + 2
    for values in (u, v):
        values[2, 5:] = values[2, 4]
    v[4, 8] = v[4, 7]
    v[5] = v[5, :1]
    assert found(tmp_path, u=u, v=v) == [
        "trajectory 2 frames 5 to 8 repeat frame 4",
        "trajectory 4 v: frame 8 repeats frame 7",
        "trajectory 5 v: never changes",
    ]


def test_a_solution_that_comes_to_rest_is_no_finding(tmp_path):
    x, t = np.arange(16) / 16, np.arange(60)[:, None]
    settled = 1 + np.random.default_rng(0).random((4, 1, 1)) * np.exp(-t) * np.sin(2 * np.pi * x)
    assert (settled.astype(np.float32)[:, -1] == settled.astype(np.float32)[:, -9]).all()
    assert found(tmp_path, u=settled) == []


def test_a_static_field_is_no_finding(tmp_path, u):
    k = np.repeat(np.random.default_rng(0).random((6, 1, 16)), 9, axis=1)
    k[3] = 0
    assert found(tmp_path, u=u, k=k) == []
    assert found(tmp_path, k=k) == ["nothing changes in time, in any trajectory"]


def test_a_large_or_small_unit_changes_no_finding(tmp_path, u):
    u[1, 3], u[2, 5:] = 0, u[2, 4]
    expected = ["trajectory 1 zero in frame 3", "trajectory 2 frames 5 to 8 repeat frame 4"]
    for unit in (1.0, 1e30, 1e-30):
        assert found(tmp_path, u=u * unit) == expected


def test_many_frames_are_counted_and_not_listed(tmp_path):
    u = travelling_waves(3, 60, 16)
    u[1, ::3] = 0
    assert found(tmp_path, u=u) == ["trajectory 1 zero in frames 0, 3, 6, 9, 12, 15, 18, 21, and 12 more"]
