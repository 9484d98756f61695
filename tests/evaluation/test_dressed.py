"""Noise with the covariance of the errors on validation is what turns a forecast into the ensemble to beat."""

import pytest
import torch

from tests.toy_process import Process, ToySplit
from ups import metrics
from ups.evaluation.dressed import DressedForecaster, dressed


def test_members_have_the_covariance_of_the_errors_at_each_lead_time_and_between_them() -> None:
    errors = torch.randn(5, 3, 1, 4, generator=torch.Generator().manual_seed(0))
    errors -= errors.mean(0)
    truth = torch.zeros(1, 4, 1, 4)
    noise = DressedForecaster(Process(False), errors).rollout(truth, 0, 3, torch.zeros(1, 0), 40_000, seed=1)
    flat, own = noise[0].flatten(1), errors.flatten(1)
    torch.testing.assert_close(flat.T.cov(), own.T.cov(), atol=0.05, rtol=0)


def test_a_lead_beyond_the_validation_has_the_noise_of_the_last() -> None:
    errors = torch.tensor([[[[1.0]]], [[[-1.0]]]]).expand(2, 2, 1, 32)
    noise = DressedForecaster(Process(False), errors).rollout(torch.zeros(1, 6, 1, 32), 0, 5, torch.zeros(1, 0), 3, 0)
    torch.testing.assert_close(noise[:, :, 4], noise[:, :, 1])


def test_a_perfect_mean_that_is_dressed_is_calibrated_and_gains_what_gaussian_errors_give() -> None:
    split = ToySplit(400)
    operator = Process(False)
    forecaster = dressed(operator, split.trajectories(0, 200), split.params[:200], 0)
    truth, params = split.trajectories(200, 400), split.params[200:400]
    assert forecaster is not None
    members = forecaster.rollout(truth, 0, truth.shape[1] - 1, params, 16, seed=3)
    errors = metrics.compare_members(truth[:, 1:], members, (1.0,), 0)
    single = operator.rollout(truth, 0, truth.shape[1] - 1, params, 1, 3)
    alone = metrics.compare_members(truth[:, 1:], single, (1.0,), 0)
    assert float(metrics.spread_skill(errors).mean()) == pytest.approx(1, abs=0.05)
    assert float(metrics.crps(errors) / metrics.crps(alone)) == pytest.approx(2**-0.5, abs=0.02)


def test_forecasts_that_diverge_on_validation_leave_no_dressed_operator_rather_than_an_error() -> None:
    class Diverging(Process):
        def rollout(self, *given, **more):
            return torch.full_like(super().rollout(*given, **more), torch.inf)

    split = ToySplit(6)
    assert dressed(Diverging(False), split.trajectories(0, 6), split.params[:6], 0) is None
