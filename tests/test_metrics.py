"""Deterministic metrics and spectra against hand-computed values, numpy and scipy."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tests.plain_units import compare
from ups import metrics


def fields(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_nrmse_is_a_mean_of_ratios_and_pooled_is_a_ratio_of_sums():
    truth = torch.tensor([1.0, 10.0]).view(1, 2, 1, 1).expand(1, 2, 1, 4)
    prediction = truth + torch.tensor([0.5, 1.0]).view(1, 2, 1, 1)
    errors = compare(truth, prediction)
    assert metrics.nrmse(errors).item() == pytest.approx((0.5 + 0.1) / 2)
    assert metrics.nrmse_per_frame(errors).tolist() == pytest.approx([0.5, 0.1])
    assert metrics.nrmse_pooled(errors).item() == pytest.approx(math.sqrt((0.25 + 1) / (1 + 100)))
    assert metrics.rmse(errors).item() == pytest.approx(0.75)
    assert metrics.max_error(errors).item() == pytest.approx(0.75)


def test_scores_agree_with_the_formulas_written_in_numpy():
    u, v = fields(5, 7, 2, 24), fields(5, 7, 2, 24, seed=1)
    errors, a, b = compare(u, v), u.double().numpy(), v.double().numpy()
    per_field = np.sqrt(((b - a) ** 2).mean(-1))
    assert metrics.nrmse(errors).item() == pytest.approx((per_field / np.sqrt((a**2).mean(-1))).mean())
    assert metrics.vrmse(errors).item() == pytest.approx((per_field / np.sqrt(a.var(-1, ddof=1) + 1e-7)).mean())
    assert metrics.crmse(errors).item() == pytest.approx(np.sqrt(((b.mean(-1) - a.mean(-1)) ** 2).mean(0)).mean())
    ends = (b - a)[..., [0, -1]]
    assert metrics.brmse(errors).item() == pytest.approx(np.sqrt((ends**2).mean(-1)).mean())
    assert metrics.mae(errors).item() == pytest.approx(np.abs(b - a).mean())
    modes = np.abs(np.fft.rfft(b - a, axis=-1)) ** 2 / 24**2
    for band, k in {"low": slice(0, 4), "mid": slice(4, 12), "high": slice(12, None)}.items():
        expected = np.sqrt(modes[..., k].mean((0, -1))).mean()
        assert metrics.frmse(errors, band).item() == pytest.approx(expected)


def test_correlation_is_scipys_pearson():
    u, v = fields(3, 1, 2, 40), fields(3, 1, 2, 40, seed=1)
    correlation = compare(u, v).correlation
    for i in range(3):
        for c in range(2):
            expected = np.asarray(stats.pearsonr(u[i, 0, c].numpy(), v[i, 0, c].numpy()))[0]
            assert correlation[i, 0, c].item() == pytest.approx(expected, rel=1e-5)


def test_correlation_time_is_the_first_time_of_the_batch_mean_below_the_threshold():
    x = torch.linspace(0, 2 * math.pi, 65)[:-1]
    shift = torch.tensor([0.0, 0.5, 0.7, 0.9]).view(4, 1, 1)  # the correlation of shifted sines is cos(shift)
    truth, prediction = torch.sin(x).expand(1, 4, 1, 64), torch.sin(x + shift).unsqueeze(0)
    errors, times = compare(truth, prediction), torch.tensor([0.1, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(metrics.correlation_curve(errors), torch.cos(shift.flatten()), rtol=1e-5)
    assert metrics.correlation_time(errors, times, 0.8) == pytest.approx(0.3)
    assert metrics.correlation_time(errors, times, 0.5) == math.inf


def test_constant_fields_correlate_only_with_constant_fields():
    flat, wave = torch.ones(1, 1, 1, 8), fields(1, 1, 1, 8)
    assert compare(flat, flat * 2).correlation.item() == 1
    assert compare(flat, wave).correlation.item() == 0


@pytest.mark.parametrize("shape", [(16,), (15,), (8, 12), (9, 6), (6, 4, 8), (5, 6, 7)])
def test_power_spectrum_sums_to_the_mean_square(shape):
    u = fields(2, 3, *shape).double()
    power = metrics.power_spectrum(u, len(shape))
    torch.testing.assert_close(power.sum(-1), u.square().flatten(2).mean(-1))


@pytest.mark.parametrize("shape", [(15,), (16,), (8, 12), (5, 6, 7)])
def test_shells_count_every_mode_of_the_full_spectrum_once(shape):
    wavenumbers = np.meshgrid(*[np.fft.fftfreq(n, 1 / n) for n in shape], indexing="ij")
    radius = np.floor(np.sqrt(sum(k**2 for k in wavenumbers)) + 1e-9).astype(int)
    np.testing.assert_array_equal(metrics.shells(shape)[2], np.bincount(radius.ravel()))


def test_a_plane_wave_lives_in_the_shell_of_its_wavenumber():
    x = torch.arange(32) * 2 * math.pi / 32
    wave = torch.sin(3 * x.unsqueeze(1) + 4 * x.unsqueeze(0))
    power = metrics.power_spectrum(wave, 2)
    assert power[5].item() == pytest.approx(0.5, rel=1e-5) and power.sum().item() == pytest.approx(0.5, rel=1e-5)


@pytest.mark.parametrize(("wavenumber", "band"), [(0, "low"), (3, "low"), (4, "mid"), (11, "mid"), (12, "high")])
def test_frmse_puts_an_error_wave_into_its_band(wavenumber, band):
    x = torch.arange(64) * 2 * math.pi / 64
    truth, error = fields(2, 3, 1, 64), torch.cos(wavenumber * x)
    errors = compare(truth, truth + error)
    assert metrics.frmse(errors, band).item() > 0.05
    assert all(metrics.frmse(errors, other).item() < 1e-6 for other in {"low", "mid", "high"} - {band})


def test_frmse_of_a_band_the_grid_cannot_hold_is_nan():
    assert math.isnan(metrics.frmse(compare(fields(1, 1, 1, 16), fields(1, 1, 1, 16, seed=1)), "high"))


def test_spectrum_error_is_in_decades_and_ignores_round_off():
    power = torch.tensor([1.0, 0.1, 1e-16])
    assert metrics.spectrum_error(power, power * 10).item() == pytest.approx(math.sqrt(2 / 3), rel=1e-3)
    assert metrics.spectrum_error(power, power * torch.tensor([1.0, 1.0, 100.0])).item() < 1e-3


def test_boundary_points_in_2d_are_the_rim():
    truth = torch.ones(1, 1, 1, 4, 5)
    inner = truth.clone()
    inner[..., 1:-1, 1:-1] += 7
    assert metrics.brmse(compare(truth, inner)).item() == 0
    corner = truth.clone()
    corner[..., 0, 0] += 2
    assert metrics.brmse(compare(truth, corner)).item() == pytest.approx(math.sqrt(4 / 14))


def test_predicting_the_mean_has_vrmse_one():
    truth = fields(4, 3, 1, 64, 64)
    mean = truth.mean(dim=(-1, -2), keepdim=True).expand_as(truth)
    assert metrics.vrmse(compare(truth, mean)).item() == pytest.approx(1, rel=1e-3)


def test_joined_batches_score_as_one_batch():
    u, v = fields(7, 4, 2, 16), fields(7, 4, 2, 16, seed=1)
    joined = metrics.FieldErrors.join([compare(u[:3], v[:3]), compare(u[3:], v[3:])])
    whole = compare(u, v)
    for metric in (metrics.nrmse, metrics.nrmse_pooled, metrics.crmse, metrics.vrmse):
        assert metric(joined).item() == pytest.approx(metric(whole).item(), rel=1e-12)
    assert metrics.frmse(joined, "low").item() == pytest.approx(metrics.frmse(whole, "low").item(), rel=1e-12)


@settings(max_examples=25, deadline=None)
@given(scales=st.tuples(st.floats(1e-15, 1e15), st.floats(1e-15, 1e15)), seed=st.integers(0, 1000))
def test_no_score_but_the_wells_own_hangs_on_the_units_of_a_channel(scales, seed):
    u, v = fields(2, 2, 2, 16, seed=seed).double(), fields(2, 2, 2, 16, seed=seed + 1).double()
    by = torch.tensor(scales, dtype=torch.float64)
    one = compare(u, v)
    scaled = metrics.compare(by.view(2, 1) * u, by.view(2, 1) * v, by)
    scores = ("nrmse", "nrmse_pooled", "nrmse_pdebench", "rmse", "mae", "max_error", "crmse", "brmse", "vrmse")
    for score in (getattr(metrics, name) for name in scores):
        assert score(scaled).item() == pytest.approx(score(one).item(), rel=1e-9)
    well = (scaled.square.sqrt() * by / (scaled.truth_variance * by**2 + 1e-7).sqrt()).mean()
    assert metrics.vrmse_well(scaled).item() == pytest.approx(well.item(), rel=1e-6)


def test_channels_of_unlike_units_weigh_alike():
    truth = fields(3, 4, 2, 32) * torch.tensor([1e5, 1.0]).view(2, 1)
    noise = fields(3, 4, 2, 32, seed=1) * torch.tensor([1e5, 1.0]).view(2, 1)
    wrong = [truth + noise * torch.tensor(which).view(2, 1) for which in ([1.0, 0.0], [0.0, 1.0])]
    large, small = (metrics.mae(metrics.compare(truth, v, [1e5, 1.0])).item() for v in wrong)
    assert small == pytest.approx(large, rel=0.2)


def test_a_channel_that_never_changes_in_training_is_in_no_score():
    u, v = fields(2, 3, 2, 16), fields(2, 3, 2, 16, seed=1)
    u[:, :, 1] = 7.0
    errors = metrics.compare(u, v, [2.0, 0.0])
    assert errors.square.shape == (2, 3, 1)
    assert torch.equal(errors.square, metrics.compare(u[:, :, :1], v[:, :, :1], [2.0]).square)
    with pytest.raises(ValueError, match="nothing to score"):
        metrics.compare(u, v, [0.0, 0.0])
    with pytest.raises(ValueError, match="each of 2 channels"):
        metrics.compare(u, v, [1.0])


def test_a_field_that_vanishes_counts_as_a_hundredth_of_its_deviation():
    """A wave that stands still passes through zero: the error of one per cent of sigma is an nRMSE of 1 there."""
    truth = torch.ones(1, 2, 1, 8)
    truth[:, 1] = 1e-16
    errors = compare(truth, truth + 0.01)
    assert metrics.nrmse_per_frame(errors).tolist() == pytest.approx([0.01, 1.0], rel=1e-5)
    assert metrics.nrmse_pdebench(errors).item() > 1e13
    nothing = compare(0 * truth, 0 * truth)
    assert metrics.nrmse(nothing).item() == metrics.nrmse_pooled(nothing).item() == metrics.vrmse(nothing).item() == 0


@settings(max_examples=25, deadline=None)
@given(shift=st.integers(0, 31), seed=st.integers(0, 1000))
def test_scores_but_the_boundarys_do_not_change_when_both_fields_are_shifted(shift, seed):
    u, v = fields(2, 2, 1, 32, seed=seed), fields(2, 2, 1, 32, seed=seed + 1)
    one, moved = compare(u, v), compare(u.roll(shift, -1), v.roll(shift, -1))
    for metric in (metrics.nrmse, metrics.vrmse, metrics.crmse, metrics.max_error, metrics.correlation_curve):
        torch.testing.assert_close(metric(moved), metric(one))
    torch.testing.assert_close(metrics.frmse(moved, "mid"), metrics.frmse(one, "mid"))


def test_a_nan_in_one_point_reaches_every_score():
    u, v = fields(3, 4, 1, 32), fields(3, 4, 1, 32, seed=1)
    v[1, 2, 0, 5] = math.nan
    errors = compare(u, v)
    for metric in (metrics.nrmse, metrics.nrmse_pooled, metrics.rmse, metrics.max_error, metrics.crmse, metrics.vrmse):
        assert math.isnan(metric(errors))
    assert metrics.nrmse_per_frame(errors).isnan().tolist() == [False, False, True, False]
    assert metrics.correlation_time(errors, torch.arange(4.0), -1.0) == 2.0


def test_fields_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(1, 2, 1, 8\)"):
        compare(torch.ones(1, 2, 1, 8), torch.ones(1, 3, 1, 8))
