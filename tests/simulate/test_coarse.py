"""The coarse classical solver agrees with the fine one where it resolves the solution, and says when it cannot run."""

import numpy as np
import pytest

from ups.core.errors import UserError
from ups.simulate.coarse import coarse_solution
from ups.simulate.generate import GenerateSettings


def error(v: np.ndarray, u: np.ndarray) -> float:
    return float(np.sqrt(np.mean((v - u) ** 2) / np.mean(u**2)))


def test_the_error_falls_with_the_grid_and_the_time_is_measured() -> None:
    settings = GenerateSettings(pde="burgers1d", resolution=128, frames=5)
    u, times = settings.simulation().run(range(4)), 0.05 * np.arange(5)
    errors = []
    for points, substeps in ((32, 4), (128, 16)):
        v, seconds = coarse_solution("burgers1d", u[:, 0], times, {"Nu": 0.01}, points, substeps)
        assert v.shape == u.shape
        assert 0 < seconds < 1
        errors.append(error(v[:, 1:], u[:, 1:]))
    assert errors[0] > 9 * errors[1]
    assert errors[1] < 1e-2


def test_parameters_per_trajectory_and_several_channels_are_followed() -> None:
    runs = GenerateSettings(pde="diffusion1d").simulation()
    u = runs.run(range(4))
    v, _ = coarse_solution("diffusion1d", u[:, 0], 0.1 * np.arange(41), runs.drawn_params(range(4)), 32, 1)
    assert error(v, u) < 1e-5


def test_two_axes_come_back_on_the_grid_they_came_from() -> None:
    settings = GenerateSettings(pde="gray_scott2d", resolution=32, points=32, frames=2, dt=10.0)
    u = settings.simulation().run(range(1))
    v, _ = coarse_solution("gray_scott2d", u[:, 0], np.array([0.0, 10.0]), {}, 32, 5)
    assert v.shape == u.shape
    assert error(v, u) < 1e-2


def test_three_axes_come_back_on_the_grid_they_came_from() -> None:
    u = GenerateSettings(pde="swift_hohenberg3d", frames=2).simulation().run(range(1))
    v, _ = coarse_solution("swift_hohenberg3d", u[:, 0], np.array([0.0, 2.0]), {}, 12, 4)
    assert v.shape == u.shape
    assert error(v[:, 1:], u[:, 1:]) < 0.1


@pytest.mark.parametrize(
    ("task", "shape", "times", "params", "points", "sentence"),
    [
        ("forced_burgers1d", (1, 1, 32), [0, 1], {}, 16, "deterministic"),
        ("burgers1d", (1, 2, 32), [0, 1], {}, 16, r"shape \(B, 1, 32\)"),
        ("burgers1d", (1, 1, 32), [0, 1, 3], {}, 16, "evenly spaced"),
        ("burgers1d", (1, 1, 32), [0, 1e-9, 3e-9], {}, 16, "evenly spaced"),
        ("burgers1d", (1, 1, 32), [0, 1], {}, 64, "4 to 32 points"),
        ("diffusion1d", (1, 2, 32), [0, 1], {}, 16, "value of k"),
        ("burger1d", (1, 1, 32), [0, 1], {}, 16, "did you mean 'burgers1d'"),
    ],
)
def test_what_cannot_be_solved_is_one_sentence(
    task: str, shape: tuple[int, ...], times: list[float], params: dict, points: int, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        coarse_solution(task, np.zeros(shape), np.array(times), params, points, 1)
