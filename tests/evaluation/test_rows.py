"""Rows of metrics.json hold the right scores, are strict JSON, and say why a score is missing."""

import json
import math
from collections.abc import Sequence

import pytest
import torch

from tests.plain_units import compare, compare_members
from ups import metrics
from ups.evaluation.rows import ForecastErrors, plain, rollout_scores, score_row


def fields(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def row_of(
    truth: torch.Tensor, members: torch.Tensor, lead_times=(1, 3, 99), std: Sequence[float] | None = None
) -> dict:
    std = std or [1.0] * truth.shape[2]
    errors = ForecastErrors.of(truth, members, std, seed=0)
    leads = torch.arange(1, truth.shape[1] + 1) * 0.5
    return score_row("model", errors, errors.mean, leads, lead_times, dict(zip("pv", std, strict=False))).model_dump()


def test_a_deterministic_row_has_its_mean_absolute_error_as_crps():
    row = row_of(fields(4, 5, 1, 16), fields(4, 1, 5, 1, 16, seed=1))
    assert row["probabilistic"]["overall"]["crps"] == pytest.approx(row["rollout"]["mae"])
    assert row["rollout"] == row["member"] and row["probabilistic"]["rank_histogram"] is None


def test_the_rollout_scores_the_ensemble_mean_and_the_member_one_member():
    truth, members = fields(4, 5, 1, 16), fields(4, 8, 5, 1, 16, seed=1)
    row = row_of(truth, members)
    assert row["rollout"]["nrmse"] == metrics.nrmse(compare(truth, members.mean(dim=1))).item()
    assert row["member"]["nrmse"] == metrics.nrmse(compare(truth, members[:, 0])).item()
    assert row["rollout"]["nrmse"] < row["member"]["nrmse"]


def test_lead_times_are_steps_of_the_rollout_and_those_beyond_it_are_left_out():
    truth, members = fields(4, 5, 2, 16), fields(4, 8, 5, 2, 16, seed=1)
    scores = row_of(truth, members)["probabilistic"]
    third = compare_members(truth[:, 2:3], members[:, :, 2:3])
    assert scores["lead_times"] == [1, 3] and len(scores["per_frame"]["crps"]) == 5
    assert scores["crps"][1] == pytest.approx(metrics.crps(third).item())
    assert scores["spread_skill"][1] == pytest.approx(metrics.spread_skill(third).mean().item())
    assert len(scores["spread_skill_per_channel"]) == 2


def test_rank_histograms_at_lead_times_are_those_of_their_frames_and_average_to_the_whole():
    truth, members = fields(4, 3, 1, 16), fields(4, 8, 3, 1, 16, seed=1)
    members[:, :, 2] += 10
    scores = row_of(truth, members, (1, 2, 3))["probabilistic"]
    assert scores["rank_histograms"][2] == [1.0] + 8 * [0.0]
    first = metrics.rank_histogram(compare_members(truth[:, :1], members[:, :, :1])).tolist()
    assert scores["rank_histograms"][0] == pytest.approx(first)
    mean = torch.tensor(scores["rank_histograms"]).mean(dim=0).tolist()
    assert scores["rank_histogram"] == pytest.approx(mean)
    assert row_of(truth, members[:, :1])["probabilistic"]["rank_histograms"] is None


def test_energies_of_bands_stand_at_lead_times_and_over_all_frames():
    truth, members = fields(4, 3, 2, 64), fields(4, 8, 3, 2, 64, seed=1)
    members[:, :, 1] *= 3
    bands = row_of(truth, members, (1, 2, 9))["bands"]
    assert bands["lead_times"] == [1, 2] and set(bands["ratio"]) == {"low", "mid", "high"}
    assert bands["ratio"]["high"][1] == pytest.approx(9, rel=0.2)
    assert bands["ratio"]["high"][0] == pytest.approx(1, rel=0.2)
    assert sum(share[0] for share in bands["share"].values()) == pytest.approx(1)
    second = compare_members(truth[:, 1:2], members[:, :, 1:2])
    assert [bands["ratio"][name][1] for name in bands["ratio"]] == pytest.approx(metrics.band_ratio(second).tolist())
    assert set(bands["overall"]) == {"ratio", "share"} and bands["overall"]["ratio"]["high"] > 2
    coarse = row_of(fields(4, 3, 1, 16), fields(4, 2, 3, 1, 16, seed=1))["bands"]
    assert coarse["ratio"]["high"] == [None, None] and coarse["overall"]["share"]["high"] is None


def test_trajectory_scores_average_to_the_score():
    row = row_of(fields(4, 5, 1, 16), fields(4, 3, 5, 1, 16, seed=1))
    assert sum(row["per_trajectory"]["nrmse"]) / 4 == pytest.approx(row["rollout"]["nrmse"])
    assert sum(row["per_trajectory"]["crps"]) / 4 == pytest.approx(row["probabilistic"]["overall"]["crps"])


def test_windows_of_the_well_are_frames_6_to_12_and_13_to_30():
    truth, prediction = fields(2, 20, 1, 16), fields(2, 20, 1, 16, seed=1)
    scores = rollout_scores(compare(truth, prediction), torch.arange(20.0), 0.8)
    window = metrics.vrmse(compare(truth[:, 6:12], prediction[:, 6:12]))
    assert list(scores["vrmse_windows"]) == ["6:12"]
    assert scores["vrmse_windows"]["6:12"].item() == pytest.approx(window.item())


def test_a_correlation_that_holds_gives_the_last_lead_time_and_says_so():
    truth = fields(2, 4, 1, 16)
    held = rollout_scores(compare(truth, truth), torch.tensor([0.5, 1, 1.5, 2]), 0.8)
    assert held["correlation_time"] == 2 and not held["correlation_lost"]
    lost = rollout_scores(compare(truth, -truth), torch.tensor([0.5, 1, 1.5, 2]), 0.8)
    assert lost["correlation_time"] == 0.5 and lost["correlation_lost"]


def test_a_forecast_that_is_not_finite_has_null_scores_and_a_sentence():
    truth, members = fields(4, 5, 1, 16), fields(4, 3, 5, 1, 16, seed=1)
    members[2, 1, 3:] = math.nan
    row = row_of(truth, members)
    text = json.dumps(row, allow_nan=False)
    assert "null" in text and row["rollout"]["nrmse"] is None and row["probabilistic"]["overall"]["crps"] is None
    assert row["error"] == "the rollout of model is not finite in 1 of 4 trajectories, first at step 4 of 5"
    assert row["rollout"]["nrmse_per_frame"][2] is not None


def test_a_channel_that_vanishes_is_scored_like_any_other():
    truth = fields(3, 4, 2, 16)
    truth[1, :, 1] = 0  # in one trajectory
    truth[:, 2, 1] = 0  # in one frame
    row = row_of(truth, truth.unsqueeze(1) + 0.01)
    assert row["error"] is None and 0 < row["rollout"]["nrmse"] < 1
    assert row["rollout"]["nrmse_pdebench"] is None
    assert all(0 < value < math.inf for value in row["per_trajectory"]["nrmse"])


def test_scores_over_all_channels_are_in_deviations_and_those_of_a_channel_in_its_own_unit():
    truth, members = fields(4, 5, 2, 16), fields(4, 8, 5, 2, 16, seed=1)
    unit = torch.tensor([2.0**17, 2.0**-30]).view(2, 1)
    one, row = row_of(truth, members), row_of(unit * truth, unit * members, std=unit.flatten().tolist())
    for part in ("member", "one_step", "probabilistic", "bands", "per_trajectory"):
        without_well = [{k: v for k, v in r[part].items() if k != "vrmse_well"} for r in (one, row)]
        assert without_well[0] == without_well[1]
    for name, factor in (("p", 2.0**17), ("v", 2.0**-30)):
        mine, plain_units = row["channels"][name], one["channels"][name]
        assert all(mine[k] == plain_units[k] for k in ("nrmse", "vrmse", "spread_skill", "nrmse_one_step"))
        assert all(mine[k] == factor * plain_units[k] for k in ("rmse", "mae", "max", "crps", "energy_score"))
    mean = sum(one["channels"][name]["crps"] for name in "pv") / 2
    assert row["probabilistic"]["overall"]["crps"] == pytest.approx(mean)


def test_plain_keeps_numbers_and_turns_what_is_not_finite_into_none():
    value = {"a": torch.tensor([1.0, math.inf]), "b": (1, "x", math.nan)}
    assert plain(value) == {"a": [1.0, None], "b": [1, "x", None]}
