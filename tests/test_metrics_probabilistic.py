"""Probabilistic metrics against scoringrules, closed forms, and ensembles that are calibrated by construction."""

import math

import numpy as np
import pytest
import scoringrules
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.plain_units import compare, compare_members
from ups import metrics


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def calibrated(n: int, m: int, spread: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """A truth and members drawn from the same normal around a shared centre, the members' spread off by a factor."""
    centre = normal(n, 1, 2, 1, 32, seed=1)
    return centre[:, 0] + normal(n, 2, 1, 32, seed=2), centre + spread * normal(n, m, 2, 1, 32, seed=3)


@pytest.mark.parametrize("m", [2, 3, 16])
def test_fair_crps_is_that_of_scoringrules(m):
    truth, members = normal(4, 3, 1, 8).double(), normal(4, m, 3, 1, 8, seed=1).double()
    observed, forecast = truth.numpy(), members.numpy()
    expected = scoringrules.crps_ensemble(observed, forecast, m_axis=1, estimator="fair")  # pyright: ignore
    np.testing.assert_allclose(metrics.fair_crps(truth, members).numpy(), expected, rtol=1e-12, atol=1e-14)


@settings(max_examples=25, deadline=None)
@given(m=st.integers(2, 9), seed=st.integers(0, 1000))
def test_fair_crps_is_the_double_sum(m, seed):
    truth, x = normal(5, seed=seed).double(), normal(5, m, seed=seed + 1).double()
    pairs = (x.unsqueeze(1) - x.unsqueeze(2)).abs().sum(dim=(1, 2))
    expected = (x - truth.unsqueeze(1)).abs().mean(dim=1) - pairs / (2 * m * (m - 1))
    torch.testing.assert_close(metrics.fair_crps(truth, x), expected)


def test_crps_stays_accurate_in_float32_far_from_zero():
    truth, members = 1000 + normal(2, 1, 1, 64), 1000 + normal(2, 8, 1, 1, 64, seed=1)
    exact = metrics.fair_crps(truth.double(), members.double())
    torch.testing.assert_close(metrics.fair_crps(truth, members).double(), exact, rtol=1e-5, atol=1e-6)


def test_crps_of_one_member_is_the_mean_absolute_error_and_its_spread_is_zero():
    truth, members = normal(3, 4, 2, 16), normal(3, 1, 4, 2, 16, seed=1)
    ensemble = compare_members(truth, members)
    assert metrics.crps(ensemble).item() == pytest.approx(metrics.mae(compare(truth, members[:, 0])).item())
    assert metrics.spread_skill(ensemble).tolist() == [0, 0]


def test_crps_of_a_normal_ensemble_approaches_the_closed_form():
    truth, members = torch.full((1, 1, 1, 1), 0.7).double(), normal(1, 20000, 1, 1, 1).double()
    expected = scoringrules.crps_normal(0.7, 0.0, 1.0)
    assert metrics.fair_crps(truth, members).item() == pytest.approx(expected, abs=0.01)


def test_fair_scores_do_not_depend_on_the_ensemble_size():
    scores = [compare_members(*calibrated(400, m)) for m in (2, 16)]
    assert metrics.crps(scores[0]).item() == pytest.approx(metrics.crps(scores[1]).item(), rel=0.02)
    assert metrics.energy_score(scores[0]).item() == pytest.approx(metrics.energy_score(scores[1]).item(), rel=0.02)


def test_energy_score_is_that_of_scoringrules_over_the_grid():
    truth, members = normal(3, 2, 1, 9).double(), normal(3, 5, 2, 1, 9, seed=1).double()
    observed, forecast = truth[:, :, 0].numpy(), members[:, :, :, 0].movedim(1, 2).numpy()
    expected = scoringrules.es_ensemble(observed, forecast, m_axis=2, estimator="fair")  # pyright: ignore
    score = metrics.fair_energy_score(truth, members)[..., 0] * math.sqrt(9)
    np.testing.assert_allclose(score.numpy(), np.asarray(expected), rtol=1e-10)


def test_energy_score_of_one_grid_point_is_the_crps():
    truth, members = normal(4, 3, 2, 1).double(), normal(4, 6, 3, 2, 1, seed=1).double()
    torch.testing.assert_close(metrics.fair_energy_score(truth, members), metrics.fair_crps(truth, members).squeeze(-1))


@pytest.mark.parametrize("m", [2, 5, 16])
def test_a_perfect_ensemble_has_spread_skill_one_flat_ranks_and_nominal_coverage(m):
    ensemble = compare_members(*calibrated(400, m))
    assert metrics.spread_skill(ensemble).item() == pytest.approx(1, abs=0.02)
    assert metrics.reliability_distance(ensemble).item() < 0.05
    for level in (0.5, 0.9):
        assert metrics.coverage(ensemble, level).item() == pytest.approx(metrics.nominal_coverage(m, level), abs=0.015)
        nominal = metrics.nominal_interval_coverage(m, level)
        assert metrics.interval_coverage(ensemble, level).item() == pytest.approx(nominal, abs=0.05)


def test_sixteen_perfect_members_cover_about_four_fifths_with_their_five_to_ninety_five_per_cent_interval():
    assert metrics.nominal_interval_coverage(16, 0.9) == pytest.approx(0.794, abs=1e-3)
    assert metrics.nominal_coverage(16, 0.9) == pytest.approx(15 / 17)
    assert metrics.nominal_coverage(16, 0.5) == pytest.approx(9 / 17)


def test_too_little_spread_shows_in_spread_skill_ranks_and_coverage():
    ensemble = compare_members(*calibrated(100, 16, spread=0.5))
    histogram = metrics.rank_histogram(ensemble)
    assert metrics.spread_skill(ensemble).item() == pytest.approx(0.5, abs=0.05)
    assert histogram[0] > 2 / 17 and histogram[-1] > 2 / 17 and metrics.reliability_distance(ensemble) > 0.3
    assert metrics.coverage(ensemble, 0.9).item() < 0.7


def test_interval_coverage_is_that_of_numpys_quantiles():
    truth, members = calibrated(20, 7)
    low, high = np.quantile(members.double().numpy(), [0.05, 0.95], axis=1)
    inside = (low <= truth.double().numpy()) & (truth.double().numpy() <= high)
    assert metrics.interval_coverage(compare_members(truth, members), 0.9).item() == pytest.approx(inside.mean())


def test_ranks_count_members_below_and_spread_ties_evenly():
    truth = torch.zeros(1, 1, 1, 20000)
    below = torch.tensor([-2.0, -1.0, 1.0]).view(1, 3, 1, 1, 1).expand(1, 3, 1, 1, 20000)
    assert metrics.rank_histogram(compare_members(truth, below)).tolist() == [0, 0, 1, 0]
    tied = metrics.rank_histogram(compare_members(truth, torch.zeros(1, 3, 1, 1, 20000)))
    np.testing.assert_allclose(tied, 0.25, atol=0.015)


def test_rank_ties_are_broken_by_the_seed_alone():
    truth, members = torch.zeros(2, 1, 1, 50), torch.zeros(2, 3, 1, 1, 50)
    first, again, other = (compare_members(truth, members, seed).ranks for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(5)), shift=st.floats(-100, 100), scale=st.floats(0.01, 100))
def test_scores_ignore_member_order_and_follow_a_change_of_units(order, shift, scale):
    truth, members = normal(3, 2, 1, 8).double(), normal(3, 5, 2, 1, 8, seed=1).double()
    one = compare_members(truth, members)
    other = compare_members(scale * truth + shift, scale * members[:, list(order)] + shift)
    assert metrics.crps(other).item() == pytest.approx(scale * metrics.crps(one).item(), rel=1e-7)
    assert metrics.energy_score(other).item() == pytest.approx(scale * metrics.energy_score(one).item(), rel=1e-7)
    torch.testing.assert_close(metrics.spread_skill(other), metrics.spread_skill(one))
    torch.testing.assert_close(metrics.rank_histogram(other), metrics.rank_histogram(one))


def test_a_member_has_the_truths_spectrum_where_the_ensemble_mean_is_too_smooth():
    truth, members = normal(50, 1, 1, 64), normal(50, 8, 1, 1, 64, seed=1)
    mean = members.mean(dim=1, keepdim=True)
    assert metrics.log_spectrum_error(compare_members(truth, members)).item() < 0.1
    assert metrics.log_spectrum_error(compare_members(truth, mean)).item() == pytest.approx(math.log10(8), abs=0.1)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_member_that_is_not_finite_reaches_every_score(bad):
    truth, members = normal(2, 3, 1, 8), normal(2, 4, 3, 1, 8, seed=1)
    members[1, 2, 1, 0, 3] = bad
    ensemble = compare_members(truth, members)
    scores = [metrics.crps(ensemble), metrics.spread_skill(ensemble)[0], metrics.reliability_distance(ensemble)]
    scores += [metrics.coverage(ensemble, 0.9), metrics.interval_coverage(ensemble, 0.9)]
    scores += [metrics.energy_score(ensemble), metrics.log_spectrum_error(ensemble)]
    assert not any(math.isfinite(score) for score in scores)
    assert math.isfinite(metrics.crps(ensemble.frames(slice(0, 1))))


def test_joined_batches_score_as_one_batch():
    truth, members = calibrated(10, 4)
    parts = [compare_members(truth[:4], members[:4]), compare_members(truth[4:], members[4:])]
    joined, whole = metrics.EnsembleErrors.join(parts), compare_members(truth, members)
    for metric in (metrics.crps, metrics.spread_skill, metrics.energy_score, metrics.log_spectrum_error):
        torch.testing.assert_close(metric(joined), metric(whole))


def test_members_of_another_grid_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 3, 1, 8\).*\(2, 4, 3, 1, 9\)"):
        compare_members(torch.ones(2, 3, 1, 8), torch.ones(2, 4, 3, 1, 9))
