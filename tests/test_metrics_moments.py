"""Moments beside those of independent truths, and energies in bands, against closed forms."""

import math

import pytest
import torch

from tests.plain_units import compare_members, compare_moments, true_moments
from ups import metrics


def draws(n: int, m: int, seed: int, scale: float = 1.0, shift: float = 0.0, points: int = 64) -> torch.Tensor:
    """Members `(n, m, 2, 1, points)` around the mean field 5, with a deviation that varies over the grid."""
    deviation = 0.5 + torch.arange(points) / points
    noise = torch.randn(n, m, 2, 1, points, generator=torch.Generator().manual_seed(seed)).double()
    return 5 + shift + scale * deviation * noise


def test_an_ensemble_beside_itself_differs_in_nothing():
    members = draws(3, 6, 0)
    errors = compare_moments(true_moments(members), members)
    assert metrics.mean_nrmse(errors) == metrics.deviation_nrmse(errors) == 0
    assert metrics.deviation_ratio(errors).tolist() == [1.0]


def test_a_shifted_and_stretched_ensemble_has_the_errors_of_its_shift_and_stretch():
    members = draws(3, 6, 0)
    mean = members.mean(dim=1, keepdim=True)
    errors = compare_moments(true_moments(members), mean + 0.25 + 1.5 * (members - mean))
    expected = (0.25 / mean.square().mean(dim=-1).sqrt()).mean()
    assert metrics.mean_nrmse(errors).item() == pytest.approx(expected.item())
    assert metrics.deviation_ratio(errors).item() == pytest.approx(1.5)
    assert metrics.deviation_nrmse(errors).item() == pytest.approx(0.5)


@pytest.mark.parametrize(("m", "truths"), [(16, 16), (4, 32), (32, 9)])
def test_perfect_members_err_by_the_sampling_error_that_stands_beside_them(m, truths):
    errors = compare_moments(true_moments(draws(400, truths, 1)), draws(400, m, 2))
    assert metrics.mean_nrmse(errors).item() == pytest.approx(metrics.perfect_mean_nrmse(errors).item(), rel=0.03)
    variance = (0.5 + torch.arange(64) / 64).square().mean().item()
    expected = math.sqrt(variance * (1 / m + 1 / truths) / 25)
    assert metrics.perfect_mean_nrmse(errors).item() == pytest.approx(expected, rel=0.02)
    assert metrics.deviation_ratio(errors).item() == pytest.approx(1, abs=0.01)
    found, perfect = metrics.deviation_nrmse(errors).item(), metrics.perfect_deviation_nrmse(errors).item()
    assert found == pytest.approx(perfect, rel=0.08)
    normal = math.sqrt((1 / (m - 1) + 1 / (truths - 1)) / 2)
    assert perfect == pytest.approx(normal, rel=0.08)


def test_what_is_wrong_by_more_than_the_sampling_error_lies_above_it():
    errors = compare_moments(true_moments(draws(100, 16, 1)), draws(100, 16, 2, scale=0.5, shift=1.0))
    assert metrics.mean_nrmse(errors) > 2 * metrics.perfect_mean_nrmse(errors)
    assert metrics.deviation_nrmse(errors) > 2 * metrics.perfect_deviation_nrmse(errors)
    assert metrics.deviation_ratio(errors).item() == pytest.approx(0.5, abs=0.01)


def test_three_truths_have_no_halves_and_one_has_no_deviation():
    errors = compare_moments(true_moments(draws(2, 3, 0)), draws(2, 4, 1))
    assert metrics.perfect_deviation_nrmse(errors).isnan() and metrics.perfect_mean_nrmse(errors).isfinite()
    with pytest.raises(ValueError, match="at least two truths, found 1"):
        true_moments(draws(2, 1, 0))
    with pytest.raises(ValueError, match=r"expected members of shape \(2, 'M > 1', 2, 1, 64\)"):
        compare_moments(true_moments(draws(2, 3, 0)), draws(2, 1, 0))


def test_moments_of_batches_join_before_any_root():
    truths, members = draws(6, 8, 0), draws(6, 8, 1)
    parts = [compare_moments(true_moments(truths[i : i + 3]), members[i : i + 3]) for i in (0, 3)]
    whole = compare_moments(true_moments(truths), members)
    joined = metrics.MomentErrors.join(parts)
    assert metrics.deviation_ratio(joined).item() == pytest.approx(metrics.deviation_ratio(whole).item(), rel=1e-12)


def waves(*amplitudes: tuple[int, float], points: int = 64) -> torch.Tensor:
    """A field `(1, 1, 1, points)` of cosines of wavenumber k and an amplitude each."""
    x = 2 * math.pi * torch.arange(points).double() / points
    return sum((a * torch.cos(k * x) for k, a in amplitudes), torch.zeros(points).double())[None, None, None]


def test_energies_of_bands_are_those_of_their_waves():
    truth, member = waves((1, 2.0), (3, 1.0), (4, 1.0), (12, 0.5)), waves((2, 1.0), (11, 3.0), (20, 1.0))
    errors = compare_members(truth, member.unsqueeze(1))
    assert metrics.band_ratio(errors).tolist() == pytest.approx([1 / 5, 9.0, 4.0])
    assert metrics.band_share(errors).tolist() == pytest.approx([5 / 6.25, 1 / 6.25, 0.25 / 6.25])


def test_the_energy_of_members_is_averaged_over_them_and_not_that_of_their_mean():
    truth, member = waves((5, 1.0)), waves((5, 1.0))
    errors = compare_members(truth, torch.stack([member, -member], dim=1))
    assert metrics.band_ratio(errors)[1].item() == pytest.approx(1)


def test_round_off_is_no_energy_to_compare_with():
    errors = compare_members(waves((1, 1.0)), waves((1, 2.0), (6, 1e-3)).unsqueeze(1))
    low, mid, high = metrics.band_ratio(errors).tolist()
    assert low == pytest.approx(4) and math.isnan(mid) and math.isnan(high)


def test_a_band_that_the_grid_is_too_coarse_for_has_no_energy():
    low, mid, high = metrics.band_energy(metrics.power_spectrum(waves((1, 1.0), points=16), 1)).flatten().tolist()
    assert low == pytest.approx(0.5) and mid == pytest.approx(0, abs=1e-12) and math.isnan(high)
