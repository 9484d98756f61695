"""The simulated trajectories are solutions: exact formulas, conservation laws, refinement, theory of the noise."""

from dataclasses import replace

import numpy as np
import pytest

from ups.simulate.generate import GenerateSettings, ensemble, refinement_error
from ups.simulate.initial import pdebench_waves, weak_noise
from ups.simulate.pdes import PDES
from ups.simulate.solver import Grid, compiled, solve


def simulate(n: int = 4, **values: object) -> np.ndarray:
    """The first trajectories, (n, T, C, *S) float64."""
    return GenerateSettings.model_validate(values).simulation().run(range(n))


@pytest.mark.parametrize(
    ("values", "rows"),
    [
        ({"pde": "advection1d"}, 8),
        ({"pde": "burgers1d", "frames": 21}, 4),
        ({"pde": "burgers1d", "frames": 4, "params": {"Nu": 0.004}}, 4),
        ({"pde": "forced_burgers1d"}, 4),
        ({"pde": "diffusion1d"}, 8),
        ({"pde": "fisher_kpp1d"}, 4),
        ({"pde": "fisher_kpp1d", "params": {"Nu": 0.01, "Rho": 10.0}}, 4),
        ({"pde": "ks1d", "frames": 11}, 4),
        ({"pde": "kdv1d"}, 4),
        ({"pde": "kolmogorov2d", "frames": 3, "dt": 0.1}, 1),
        ({"pde": "swift_hohenberg3d", "frames": 4}, 2),
    ],
)
def test_twice_the_points_and_half_the_step_change_little(values: dict, rows: int) -> None:
    assert refinement_error(GenerateSettings(**values), rows) < 1e-3


def test_gray_scott_is_right_to_half_a_percent_on_the_grid_of_the_data() -> None:
    settings = GenerateSettings(pde="gray_scott2d", frames=4)
    assert settings.resolved().points == 64
    assert refinement_error(settings, 2) < 5e-3


@pytest.mark.parametrize("task", ["gray_scott2d", "kolmogorov2d", "swift_hohenberg3d"])
def test_single_precision_is_far_more_exact_than_the_grid(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = GenerateSettings(pde=task, frames=3, dt=0.1 if task == "kolmogorov2d" else None).simulation()
    name = runs.grid.pde
    u0 = PDES[name].initial(np.random.default_rng(0), runs.grid.mesh())[None]
    single = runs.advance(u0, range(1))
    monkeypatch.setitem(PDES, name, replace(PDES[name], single=False))
    compiled.cache_clear()
    double = runs.advance(u0, range(1))
    compiled.cache_clear()
    assert 0 < np.sqrt(np.mean((single - double) ** 2) / np.mean(double**2)) < 1e-4


def test_frames_that_come_one_by_one_are_those_of_one_long_way(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = Grid("kolmogorov", 2, 2 * np.pi, 16, 0.05, 4, 3)
    u0 = np.random.default_rng(0).normal(size=(2, 1, 16, 16))
    seen: list[int] = []
    u = solve(grid, u0, {"Nu": 0.1}, report=seen.append)
    again = solve(replace(grid, dt=0.15, frames=2, substeps=9), u0, {"Nu": 0.1})
    assert seen == [1, 1, 1] and u.shape == (2, 4, 1, 16, 16)
    np.testing.assert_allclose(u[:, -1], again[:, -1], rtol=0, atol=1e-4)


def test_a_solver_too_coarse_for_its_shocks_has_a_refinement_error() -> None:
    settings = GenerateSettings(pde="burgers1d", params={"Nu": 0.003}, resolution=64, points=64, substeps=26, frames=11)
    assert refinement_error(settings) > 1e-2


def test_initial_states_are_the_same_functions_on_every_grid() -> None:
    for seed in range(20):
        fine = pdebench_waves(np.random.default_rng(seed), [np.arange(128) / 128])
        coarse = pdebench_waves(np.random.default_rng(seed), [np.arange(32) / 32])
        np.testing.assert_allclose(fine[..., ::4], coarse, atol=1e-12)


def test_advection_is_the_shifted_initial_state() -> None:
    u = simulate(16, pde="advection1d", params={"beta": 0.4})[:, :, 0]
    shift = 0.4 * 0.05 * 16  # after 16 frames: 0.32 of the domain
    x = (np.arange(256) / 256 - shift) % 1.0
    exact = np.stack([pdebench_waves(np.random.default_rng([0, row, 0]), [x])[0] for row in range(16)])
    error = np.sqrt(np.mean((u[:, 16] - exact) ** 2) / np.mean(exact**2))
    assert error < 1e-3


def test_diffusion_without_source_is_the_fourier_decay() -> None:
    x, times = np.arange(64) / 64, 0.1 * np.arange(5)
    u0 = np.stack([np.cos(2 * np.pi * 3 * x) + 0.5, np.zeros(64)])[None]
    u = solve(Grid("diffusion", 1, 1.0, 64, 0.1, 5, 1), u0, {"Nu": 0.01, "k": 2.0})
    wave = np.exp(-(2.0 + 0.01 * (6 * np.pi) ** 2) * times)[:, None] * np.cos(2 * np.pi * 3 * x)
    np.testing.assert_allclose(u[0, :, 0], wave + 0.5 * np.exp(-2.0 * times)[:, None], atol=1e-12)


def test_diffusion_settles_where_source_sink_and_diffusion_balance() -> None:
    settings = GenerateSettings(pde="diffusion1d", frames=21, dt=1.0)
    runs = settings.simulation()
    u, k = runs.run(range(8)), runs.drawn_params(range(8))["k"]
    state, source = u[:, -1, 0], u[:, -1, 1]
    laplacian = np.fft.irfft(-((2 * np.pi * np.arange(65)) ** 2) * np.fft.rfft(state))
    np.testing.assert_allclose(0.01 * laplacian - np.reshape(k, (8, 1)) * state + source, 0, atol=1e-8)
    np.testing.assert_array_equal(u[:, :, 1], u[:, :1, 1].repeat(21, axis=1))
    assert np.abs(state.mean(axis=-1)).min() > 1e-3


def test_diffusion_is_steady_at_the_end_of_the_default_trajectory() -> None:
    u = simulate(16, pde="diffusion1d")[:, :, 0]
    change = np.sqrt(np.mean((u[:, -1] - u[:, -2]) ** 2, axis=-1) / np.mean(u[:, -1] ** 2, axis=-1))
    assert change.max() < 1e-3


def test_swift_hohenberg_falls_down_its_potential_and_its_waves_of_number_1_grow_first() -> None:
    # u_t = -dV/du, V = mean_x( ((1 + lap) u)^2 / 2 - r u^2 / 2 - u^3 / 3 + u^4 / 4 )
    u = simulate(2, pde="swift_hohenberg3d", frames=21)[:, :, 0]
    kappa = 2 * np.pi * np.fft.fftfreq(16, 4 * np.pi / 16)
    square = sum(k**2 for k in np.meshgrid(kappa, kappa, kappa, indexing="ij"))
    space = (-3, -2, -1)
    bent = np.fft.ifftn((1 - square) * np.fft.fftn(u, axes=space), axes=space).real
    potential = (bent**2 / 2 - 0.7 * u**2 / 2 - u**3 / 3 + u**4 / 4).mean(space)
    assert (np.diff(potential) < 0).all()
    energy = np.abs(np.fft.fftn(u[:, 1], axes=space)) ** 2
    assert (energy[:, np.abs(square - 1) < 0.5].sum(1) > 0.5 * energy.sum(space)).all()


def test_patterns_stay_finite_for_as_long_as_they_are_followed() -> None:
    u = simulate(1, pde="swift_hohenberg3d", frames=41, dt=8.0, points=16, substeps=16)
    assert np.isfinite(u).all() and 0.3 < np.abs(u[:, -1]).max() < 3.0


def test_weak_noise_is_the_same_function_on_every_grid() -> None:
    fine, coarse = (Grid("swift_hohenberg", 3, 1.0, n, 1.0, 2, 1).mesh() for n in (32, 16))
    u = weak_noise(np.random.default_rng(0), fine)
    np.testing.assert_allclose(u[:, ::2, ::2, ::2], weak_noise(np.random.default_rng(0), coarse), atol=1e-12)
    assert abs(u.mean()) < 1e-12 and np.sqrt(np.mean(u**2)) == pytest.approx(0.2)


def test_burgers_conserves_the_mean_and_loses_energy_at_the_viscous_rate() -> None:
    u = simulate(pde="burgers1d", frames=41, dt=0.01, params={"Nu": 0.1})[:, :, 0]
    np.testing.assert_allclose(u.mean(axis=-1), u[:, :1].mean(axis=-1).repeat(41, axis=1), atol=1e-10)
    energy = (u**2).mean(axis=-1) / 2
    assert (np.diff(energy) < 0).all()
    slope = np.fft.irfft(2j * np.pi * np.arange(129) * np.fft.rfft(u))
    loss = 0.1 / np.pi * (slope**2).mean(axis=-1)
    expected = (loss[:, 10:-1] + loss[:, 11:]) / 2 * 0.01
    np.testing.assert_allclose(-np.diff(energy)[:, 10:], expected, rtol=0.02)


def test_burgers_travels_with_a_mean_added_to_it() -> None:
    x, grid = np.arange(128) / 128, Grid("burgers", 1, 1.0, 128, 0.05, 6, 16)
    u0 = np.sin(2 * np.pi * x)[None, None]
    still = solve(grid, u0, {"Nu": 0.1})
    moved = solve(grid, u0 + 2.5, {"Nu": 0.1})
    step = round(2.5 * 0.05 * 4 * 128)  # 64 points after 4 frames
    np.testing.assert_allclose(moved[:, 4] - 2.5, np.roll(still[:, 4], step, axis=-1), atol=1e-8)


def test_burgers_follows_the_cole_hopf_solution() -> None:
    nu, t, x = 0.05 / np.pi, 0.3, np.arange(128) / 128
    grid = Grid("burgers", 1, 1.0, 128, t, 2, 60)
    u = solve(grid, np.sin(2 * np.pi * x)[None, None], {"Nu": 0.05})[0, 1, 0]
    y = np.linspace(-1.5, 2.5, 40001)
    potential = (1 - np.cos(2 * np.pi * y)) / (2 * np.pi)
    exponent = -potential / (2 * nu) - (x[:, None] - y) ** 2 / (4 * nu * t)
    weight = np.exp(exponent - exponent.max(axis=1, keepdims=True))
    exact = ((x[:, None] - y) / t * weight).sum(axis=1) / weight.sum(axis=1)
    np.testing.assert_allclose(u, exact, atol=1e-5)


def test_fisher_kpp_grows_like_the_logistic_equation_without_diffusion_to_do() -> None:
    times = 0.1 * np.arange(6)
    u = solve(Grid("fisher_kpp", 1, 1.0, 16, 0.1, 6, 10), np.full((1, 1, 16), 0.2), {"Nu": 0.5, "Rho": 2.0})
    np.testing.assert_allclose(u[0, :, 0, 0], 1 / (1 + 4 * np.exp(-2 * times)), rtol=1e-6)


def test_kdv_conserves_mean_and_energy_and_carries_a_soliton() -> None:
    u = simulate(pde="kdv1d")[:, :, 0]
    np.testing.assert_allclose(u.mean(axis=-1), u[:, :1].mean(axis=-1).repeat(41, axis=1), atol=1e-10)
    energy = (u**2).mean(axis=-1)
    np.testing.assert_allclose(energy, energy[:, :1].repeat(41, axis=1), rtol=1e-3)
    x, speed = np.arange(256) / 4, 1.5
    soliton = lambda t: 3 * speed / np.cosh(np.sqrt(speed) / 2 * (x - 20 - speed * t)) ** 2  # noqa: E731
    moved = solve(Grid("kdv", 1, 64.0, 256, 10.0, 2, 400), soliton(0.0)[None, None], {"delta": 1.0})
    np.testing.assert_allclose(moved[0, 1, 0], soliton(10.0), atol=1e-2)


def test_ks_stays_on_its_attractor_with_zero_mean() -> None:
    u = simulate(pde="ks1d", frames=41)[:, :, 0]
    np.testing.assert_allclose(u.mean(axis=-1), 0, atol=1e-9)
    rms = np.sqrt((u**2).mean(axis=-1))
    assert rms.min() > 0.9
    assert rms.max() < 1.8


def test_small_forced_burgers_is_an_ornstein_uhlenbeck_process() -> None:
    sigma, nu, members, dt = 1e-4, 0.2, 600, 0.5
    settings = GenerateSettings(
        pde="forced_burgers1d", resolution=16, points=16, substeps=2, dt=dt, params={"sigma": sigma, "Nu": nu}
    )
    u = ensemble(settings, np.zeros((1, 16)), members, frames=4, seed=0)[0]
    wave = 2 * np.fft.rfft(u)[..., 1:5] / 16
    rate = nu / np.pi * (2 * np.pi * np.arange(1, 5)) ** 2
    times = dt * np.arange(4)[:, None]
    theory = sigma**2 * (1 - np.exp(-2 * rate * times)) / (2 * rate)
    for part in (wave.real, wave.imag):
        np.testing.assert_allclose(part.var(axis=0)[1:], theory[1:], rtol=0.25)
    found = (wave.real**2 + wave.imag**2).mean(axis=0).sum(axis=1) / 2
    np.testing.assert_allclose(found[1:], theory.sum(axis=1)[1:], rtol=0.1)


def test_the_noise_does_not_depend_on_the_solver_step() -> None:
    settings = {"pde": "forced_burgers1d", "resolution": 64, "points": 64, "frames": 5, "params": {"Nu": 0.1}}
    coarse, fine = (simulate(**settings, substeps=substeps) for substeps in (8, 64))
    assert np.sqrt(np.mean((coarse - fine) ** 2) / np.mean(fine**2)) < 1e-3


def test_drawing_constant_parameters_or_ranges_of_one_value_is_the_same() -> None:
    settings = {"pde": "burgers1d", "resolution": 64, "points": 64, "substeps": 8, "frames": 3}
    shared = simulate(2, **settings, params={"Nu": 0.05})
    drawn = simulate(2, **settings, params={"Nu": (0.05, 0.05)})
    np.testing.assert_allclose(shared, drawn, atol=1e-12)
