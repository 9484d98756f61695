"""Learning rates against torch's schedulers, averages against their closed form."""

import math

import pytest
import torch
from torch import nn

from ups.training.ema import Average, decay_at
from ups.training.optim import OptimizerSettings, SchedulerSettings, build_optimizers, learning_rate


def torch_rates(make, epochs: int) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler, rates = make(optimizer), []
    for _ in range(epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_cosine_equals_torch_at_whole_epochs() -> None:
    ours = [learning_rate(SchedulerSettings(eta_min=0.01), 0.1, 0, e, 10) for e in range(10)]
    theirs = torch_rates(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 10, eta_min=0.01), 10)
    assert ours == pytest.approx(theirs)


def test_steps_equal_torch_at_whole_epochs() -> None:
    ours = [learning_rate(SchedulerSettings(name="steplr", step_size=3, gamma=0.5), 0.1, 0, e, 10) for e in range(10)]
    assert ours == pytest.approx(torch_rates(lambda o: torch.optim.lr_scheduler.StepLR(o, 3, 0.5), 10))


def test_warm_up_grows_evenly_to_the_peak() -> None:
    rates = [learning_rate(SchedulerSettings(name="constantlr", warmup_steps=4), 1.0, s, 0, 1) for s in range(6)]
    assert rates == [0.25, 0.5, 0.75, 1, 1, 1]


def test_plateaus_multiply_by_gamma_down_to_the_floor() -> None:
    chosen = SchedulerSettings(name="reducelronplateau", gamma=0.1, eta_min=1e-3)
    assert [learning_rate(chosen, 0.1, 0, 0, 1, n) for n in range(4)] == pytest.approx([0.1, 0.01, 1e-3, 1e-3])


def test_muon_takes_matrices_and_adamw_the_rest() -> None:
    model = nn.Sequential(nn.Linear(20, 20), nn.LayerNorm(20), nn.Conv1d(20, 20, 3))
    muon, adam = build_optimizers(model, OptimizerSettings(name="muon"))
    assert [(p.ndim, g["convolution"]) for g in muon.param_groups for p in g["params"]] == [(2, False), (3, True)]
    assert sum(len(g["params"]) for g in adam.param_groups) == 4


def test_small_and_frozen_matrices_are_left_to_adamw_or_alone() -> None:
    stack, thin, frozen = (nn.Parameter(torch.zeros(shape)) for shape in ((3, 16, 20), (3, 8, 20), (20, 20)))
    frozen.requires_grad_(False)
    model = nn.ParameterList([stack, thin, frozen])
    muon, adam = build_optimizers(model, OptimizerSettings(name="muon"))
    assert [p is stack for g in muon.param_groups for p in g["params"]] == [True]
    assert [p is thin for g in adam.param_groups for p in g["params"]] == [True]


def test_the_average_equals_its_closed_form() -> None:
    model = nn.Linear(1, 1, bias=False)
    average, values = Average(model, 0.9), [3.0, -1.0, 2.0, 5.0]
    expected = model.weight.item()
    for n, value in enumerate(values):
        nn.init.constant_(model.weight, value)
        average.update(model, n)
        d = min(0.9, (1 + n) / (10 + n))
        expected = d * expected + (1 - d) * value
    assert next(average.module.parameters()).item() == pytest.approx(expected)
    assert decay_at(0.9, 10_000) == 0.9 and math.isclose(decay_at(0.9, 0), 0.1)
