"""Samplers and students against distributions whose velocity fields are known in closed form."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from ups.models.consistency import Jumps, consistency_loss, heun_step, jumps, student_sample
from ups.models.samplers import denoised, evaluations, levels, sample, score

Velocity = Callable[[Tensor, Tensor], Tensor]


def gaussian(mean: float, std: float) -> Velocity:
    """v = E[eps - r | x] for r ~ N(mean, std^2): linear in x."""

    def velocity(x: Tensor, tau: Tensor) -> Tensor:
        t = tau.view(-1, *[1] * (x.ndim - 1))
        variance = (1 - t) ** 2 * std**2 + t**2
        gap = x - (1 - t) * mean
        return t / variance * gap - (mean + (1 - t) * std**2 / variance * gap)

    return velocity


def two_modes(x: Tensor, tau: Tensor) -> Tensor:
    """v for r = +-2 with a deviation of 0.2 around each, equally likely."""
    t = tau.view(-1, 1)
    modes, std = torch.tensor([-2.0, 2.0]), 0.2
    variance = (1 - t) ** 2 * std**2 + t**2
    gaps = x[..., None] - (1 - t)[..., None] * modes
    weight = torch.softmax(-(gaps**2) / (2 * variance[..., None]), -1)
    mean_r = (weight * (modes + ((1 - t) * std**2 / variance)[..., None] * gaps)).sum(-1)
    mean_eps = (weight * (t / variance)[..., None] * gaps).sum(-1)
    return mean_eps - mean_r


@pytest.mark.parametrize("solver,steps", [("heun", 12), ("euler", 100), ("stochastic", 200)])
def test_the_sampler_recovers_a_gaussian(solver: str, steps: int) -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(20_000, 1, generator=generator)
    x = sample(gaussian(1.5, 0.7), noise, steps, solver, generator)
    assert float(x.mean()) == pytest.approx(1.5, abs=0.03)
    assert float(x.std()) == pytest.approx(0.7, abs=0.03)


@pytest.mark.parametrize("solver,steps", [("heun", 32), ("stochastic", 200)])
def test_the_sampler_recovers_two_modes(solver: str, steps: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x = sample(two_modes, torch.randn(20_000, 1, generator=generator), steps, solver, generator)
    assert float((x > 0).float().mean()) == pytest.approx(0.5, abs=0.02)
    assert float(x.abs().mean()) == pytest.approx(2.0, abs=0.03)
    assert float(x[x > 0].std()) == pytest.approx(0.2, abs=0.05)


@pytest.mark.parametrize("solver,order", [("euler", 1), ("heun", 2)])
def test_samplers_converge_with_their_order(solver: str, order: int) -> None:
    noise = torch.randn(500, 1, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    exact = 0.5 + 0.3 * noise  # the flow of a Gaussian is linear and keeps quantiles
    errors = [float((sample(gaussian(0.5, 0.3), noise, k, solver) - exact).abs().mean()) for k in (16, 32, 64)]
    for coarse, fine in pairwise(errors):
        assert coarse / fine == pytest.approx(2**order, rel=0.35)


def test_the_score_follows_from_the_flow() -> None:
    x, tau = torch.randn(100, 3), torch.rand(100) * 0.9 + 0.05
    v = gaussian(0.4, 0.8)(x, tau)
    t = tau[:, None]
    exact = -(x - (1 - t) * 0.4) / ((1 - t) ** 2 * 0.8**2 + t**2)
    torch.testing.assert_close(score(x, tau, v), exact, rtol=1e-3, atol=1e-3)


def test_denoising_gives_the_posterior_mean() -> None:
    x, tau = torch.randn(50, 1), torch.full((50,), 0.5)
    expected = 1 + 0.5 * 4 / (0.25 * 4 + 0.25) * (x - 0.5)
    torch.testing.assert_close(denoised(x, tau, gaussian(1.0, 2.0)(x, tau)), expected, rtol=1e-4, atol=1e-4)


def test_levels_fall_from_one_to_zero_and_evaluations_are_counted() -> None:
    grid = levels(7)
    assert grid[0] == 1 and abs(float(grid[-1])) < 1e-7 and (grid.diff() < 0).all()
    calls = 0

    def counted(x: Tensor, tau: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return gaussian(0.0, 1.0)(x, tau)

    for solver in ("heun", "euler", "stochastic"):
        calls = 0
        sample(counted, torch.randn(3, 2), 5, solver)
        assert calls == evaluations(solver, 5)


class Student(torch.nn.Module):
    """A teacher's velocity on the line, or none, plus a small network that is zero at first."""

    def __init__(self, teacher: Velocity | None = None) -> None:
        super().__init__()
        self.teacher = teacher
        self.net = torch.nn.Sequential(
            torch.nn.Linear(2, 64), torch.nn.SiLU(), torch.nn.Linear(64, 64), torch.nn.SiLU(), torch.nn.Linear(64, 1)
        )
        for parameter in self.net[-1].parameters():
            torch.nn.init.zeros_(parameter)

    def forward(self, x: Tensor, tau: Tensor) -> Tensor:
        correction = self.net(torch.cat([x, tau.view(-1, 1)], -1))
        return correction if self.teacher is None else self.teacher(x, tau) + correction


def distil(student: Student, loss: Callable[[Student, Tensor], Tensor], steps: int = 600) -> Student:
    optimizer = torch.optim.AdamW(student.parameters(), 3e-3)
    for k in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * (1 - k / steps)
        optimizer.zero_grad()
        loss(student, torch.randn(512, 1) * 0.5 + 2.0).backward()
        optimizer.step()
    return student


def from_teacher(student: Student, r: Tensor) -> Tensor:
    return consistency_loss(student, jumps(gaussian(2.0, 0.5), r, torch.rand(len(r))))


def test_the_student_samples_in_one_step_what_the_teacher_samples_in_many() -> None:
    torch.manual_seed(0)
    student = distil(Student(gaussian(2.0, 0.5)), from_teacher)
    noise = torch.randn(4000, 1, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for steps in (1, 2, 4):
            x = student_sample(student, noise, steps, torch.Generator().manual_seed(2))
            assert float(x.mean()) == pytest.approx(2.0, abs=0.1)
            assert float(x.std()) == pytest.approx(0.5, abs=0.1)
        teacher = sample(gaussian(2.0, 0.5), noise, 18)
        assert float((student_sample(student, noise, 1) - teacher).abs().mean()) < 0.1


def test_matching_the_input_instead_of_a_teacher_erases_the_drift() -> None:
    """MSE(z + drift, z), the literal distillation loss of some descriptions, is least where there is no drift."""
    torch.manual_seed(0)
    erased = distil(
        Student(gaussian(2.0, 0.5)), lambda student, r: (r + student(r, torch.rand(len(r))) - r).square().mean()
    )
    ours = distil(Student(gaussian(2.0, 0.5)), from_teacher)
    x, tau = torch.randn(500, 1) * 0.5 + 2.0, torch.rand(500)
    with torch.no_grad():
        teacher = float(gaussian(2.0, 0.5)(x, tau).abs().mean())
        assert float(erased(x, tau).abs().mean()) < 0.1 * teacher
        assert float(ours(x, tau).abs().mean()) > 0.5 * teacher


def test_the_boundary_condition_holds_by_construction() -> None:
    x = torch.randn(10, 1)
    assert torch.equal(student_sample(lambda x, tau: torch.zeros_like(x), x, 1), x)
    points = Jumps(x, torch.zeros(10), x, torch.zeros(10))
    assert consistency_loss(Student(), points).item() == 0


def test_a_heun_step_to_zero_is_eulers() -> None:
    x, tau = torch.randn(10, 1), torch.full((10,), 0.2)
    v = gaussian(1.0, 0.5)
    torch.testing.assert_close(heun_step(v, x, tau, torch.zeros(10)), x - 0.2 * v(x, tau))
