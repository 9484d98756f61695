"""What a surrogate takes: any real array and nothing that would be taken for one, bounded numbers, named parameters."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

import ups
from tests.models.systems import latent_model, surrogate, system
from ups.core.errors import ForecastWarning
from ups.core.memory import free_memory, require_room
from ups.surrogate.surrogate import Surrogate

U = np.sin(2 * np.pi * np.arange(32) / 32)
PARAMS = {"Nu": 0.02}


@pytest.fixture(scope="module")
def model() -> Surrogate:
    """An operator that moves fields a little, trained with Nu from 0.01 to 0.03 on values of mean 0.02."""
    torch.manual_seed(0)
    built = latent_model(replace(system(), param_range=((0.01, 0.03),)))
    with torch.no_grad():
        for weight in built.operator.parameters():
            weight += 0.05 * torch.randn_like(weight)
        built.operator.conditioning.param_mean.fill_(0.02)
        built.operator.conditioning.param_std.fill_(0.005)
    return Surrogate(built)


@pytest.mark.parametrize(
    ("values", "tolerance"),
    [
        (U.astype(">f8"), 0.0),
        (U.astype(">f4"), 0.0),
        (np.ascontiguousarray(U[::-1])[::-1], 0.0),
        (np.repeat(U, 3)[::3], 0.0),
        (U.astype("g"), 0.0),
        (U.astype("f2"), 1e-3),
        (U.tolist(), 0.0),
        (np.frombuffer(U.tobytes()), 0.0),
        (np.ma.masked_array(U), 0.0),
        (torch.tensor(U), 0.0),
        (torch.tensor(U, requires_grad=True), 0.0),
        (torch.tensor(U).half(), 1e-3),
    ],
    ids=repr,
)
def test_any_real_array_gives_the_forecast_of_float64(model, values, tolerance):
    expected = model.rollout(U, 2, params=PARAMS).values
    assert (expected[0, 0, -1] - torch.tensor(U)).abs().max() > 1e-2
    assert (model.rollout(values, 2, params=PARAMS).values - expected).abs().max() <= tolerance


def test_integers_and_booleans_are_numbers(model):
    counts = (100 * (U + 1)).astype("u2")
    for values in (counts, torch.tensor(counts)):
        found = model.rollout(values, 1, params=PARAMS).values
        assert torch.equal(found, model.rollout(counts.astype("f8"), 1, params=PARAMS).values)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (U + 1j * U, "real numbers expected, found complex128; hand over real and imaginary part as two channels"),
        (torch.tensor(U + 0j), "found complex numbers; hand over real and imaginary part"),
        (np.ma.masked_where(U > 0.9, U), "a value at every point expected, found a masked array"),
        ([np.ma.masked_where(U > 0.9, U)], "found a masked array"),
        (torch.tensor(U).to_sparse(), "found a sparse or nested tensor; hand over .to_dense()"),
        (torch.empty(32, device="meta"), "found a tensor without values"),
        (np.empty((0, 32)), r"hold no numbers: found shape \(0, 32\)"),
        (torch.empty(0), "hold no numbers"),
        (None, "an array of numbers expected, found None"),
        ("u0.npy", "an array of numbers expected, found 'u0.npy'"),
        ([[1.0, 2.0], [3.0]], "an array of numbers expected"),
        (U.astype(object), "an array of numbers expected, found an array of object"),
        (1e300 * (U + 2), "must be finite in single precision"),
        (np.where(U > 0.9, np.nan, U), "must be finite"),
        (U[:31], r"must have shape \(B, 1, 32\), found \(31,\)"),
        (np.float64(1.0), r"must have shape \(B, 1, 32\), found \(\)"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else type(value).__name__,
)
def test_what_is_no_field_is_refused_in_a_sentence(model, values, words):
    with pytest.raises(ups.UserError, match=words):
        model.rollout(values, 1, params=PARAMS)


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_quantised_tensors_are_refused(model):
    codes = torch.quantize_per_tensor(torch.tensor(U).float(), 0.1, 0, torch.qint8)
    with pytest.raises(ups.UserError, match=r"real numbers expected, found a quantised tensor; hand over .dequantize"):
        model.rollout(codes, 1, params=PARAMS)


@pytest.mark.parametrize("name", ["steps", "members", "nfe", "batch"])
@pytest.mark.parametrize("value", [0, -1, True, 1.5, "3", None, np.float32(2), 2**70])
def test_a_number_that_counts_is_whole_and_bounded(model, name, value):
    if (name, value) in (("nfe", None), ("batch", 2**70)):
        return
    options = {"steps": 2, "members": 1, name: value}
    words = f"{name} must be a whole number|of memory, but"
    with pytest.raises(ups.UserError, match=words):
        model.rollout(U, options.pop("steps"), params=PARAMS, **options)


@pytest.mark.parametrize("seed", [2**70, 2**63, -1, True, 0.5, None, "0"])
def test_a_seed_is_one_that_a_generator_takes(model, seed):
    with pytest.raises(ups.UserError, match=r"seed must be a whole number from 0 to 9223372036854775807, found "):
        model.rollout(U, 1, params=PARAMS, seed=seed)


def test_a_forecast_that_cannot_fit_is_refused_before_anything_is_allocated(model):
    with pytest.raises(ups.UserError, match=r"1 states, 1 members and 1000000000 steps takes 238 GiB of memory, but"):
        model.rollout(U, 10**9, params=PARAMS)
    with pytest.raises(ups.UserError, match="1000000000 members and 1 steps takes 238 GiB"):
        surrogate().rollout(U, 1, params=PARAMS, members=10**9)
    with pytest.raises(ups.UserError, match="nfe must be a whole number from 1 to 1000, found 1000000000"):
        model.rollout(U, 1, params=PARAMS, nfe=10**9)


def test_room_is_asked_for_what_is_free():
    free = free_memory()
    assert 2**20 < free < 2**50
    require_room((free // 16,), "a forecast", "")
    with pytest.raises(ups.UserError, match=r"a forecast takes .* GiB are free: ask for less"):
        require_room((free,), "a forecast", "ask for less")


def test_a_parameter_is_given_by_name_or_in_order_for_all_states_or_for_each(model):
    both = np.stack([U, U])
    one, other = (model.rollout(U, 1, params={"Nu": value}).values for value in (0.01, 0.03))
    assert not torch.equal(one, other)
    for params in ({"Nu": [0.01, 0.03]}, {"Nu": np.array([0.01, 0.03], ">f8")}, [[0.01], [0.03]]):
        assert torch.allclose(model.rollout(both, 1, params=params).values, torch.cat([one, other]))
    for params in ({"Nu": 0.01}, [0.01], np.array([0.01]), torch.tensor([0.01])):
        assert torch.allclose(model.rollout(both, 1, params=params).values, torch.cat([one, one]))


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"Nu": [0.01, 0.02, 0.03]}, r"parameter Nu takes one value, or one for each of 2 states, found shape \(3,\)"),
        ({"Nu": None}, "values of parameter Nu: an array of numbers expected, found None"),
        ({"Nu": "0.01"}, "values of parameter Nu: an array of numbers expected, found '0.01'"),
        ({"Nu": 1j}, "values of parameter Nu: real numbers expected"),
        ({"Nu": 1e300}, "values of parameter Nu must be finite in single precision"),
        ({"Nu": np.nan}, "values of parameter Nu must be finite"),
        ({"nu": 0.01}, "params must name Nu, found nu"),
        ({"Nu": 0.01, "beta": 1.0}, "params must name Nu, found Nu, beta"),
        ({}, "params must name Nu, found nothing"),
        ([0.01, 0.02], r"params must have shape \(2, 1\) or \(1,\) in the order Nu, found \(2,\)"),
        (0.01, r"params must have shape \(2, 1\) or \(1,\) in the order Nu, found \(\)"),
        ("Nu", "params: an array of numbers expected, found 'Nu'"),
        ([None], r"params: an array of numbers expected"),
    ],
)
def test_a_parameter_of_another_name_shape_or_type_is_refused(model, params, words):
    with pytest.raises(ups.UserError, match=words):
        model.rollout(np.stack([U, U]), 1, params=params)


def test_a_parameter_that_was_not_given_or_not_trained_is_said(model):
    with pytest.warns(ForecastWarning, match="no params given: Nu = 0.02 assumed, the training mean") as told:
        mean = model.rollout(U, 1)
    assert told[0].filename == __file__
    assert torch.equal(mean.values, model.rollout(U, 1, params={"Nu": 0.02}).values)
    with pytest.warns(ForecastWarning, match=r"Nu = 0.06 lies outside the trained range 0.01 to 0.03; nothing"):
        model.rollout(np.stack([U, U]), 1, params={"Nu": [0.02, 0.06]})


def test_a_parameter_that_never_varied_is_assumed_without_a_word(model):
    constant = Surrogate(latent_model(replace(system(), param_range=((0.02, 0.02),))))
    with warnings.catch_warnings(action="error"):
        constant.rollout(U, 1)
        model.rollout(U, 1, params={"Nu": np.float32(0.03)})
