"""APEBench's metric, the sizes of both columns, and the table."""

from pathlib import Path

import pytest
import torch

from bench.apebench import COLUMNS, CONFIG, SCENARIOS, axes_of, batch_nrmse, changes_of, own_score
from bench.apebench_section import apebench
from bench.cells import store
from bench.scale import Place
from ups.config import load_config
from ups.core.system import System
from ups.models.latent_operator import LatentModel


def test_the_metric_is_summed_over_channels_and_averaged_over_trajectories() -> None:
    truth = torch.randn(3, 5, 2, 16)
    forecast = truth.clone()
    forecast[:, 0] *= 2  # an error as large as the truth in both channels
    forecast[0, 1, 0] = 0.0  # and in one channel of one of three trajectories
    found = batch_nrmse(forecast, truth)
    torch.testing.assert_close(found, torch.tensor([2.0, 1 / 3, 0.0, 0.0, 0.0]))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_small_column_has_at_most_as_many_weights_as_the_published_networks(scenario: str) -> None:
    axes = axes_of(scenario)
    shape = (160,) if axes == 1 else (32, 32)
    coords = tuple(tuple(i / n for i in range(n)) for n in shape)
    system = System(("u",), shape, coords, ("periodic",) * axes, (), 1.0)
    sizes = {}
    for column in COLUMNS:
        config = load_config(CONFIG, changes_of(scenario, column))
        model = LatentModel(system, config.latent, config.operator)
        sizes[column] = sum(p.numel() for p in model.parameters())
    assert sizes["small"] <= 33_000 < sizes["default"] < 350_000


def test_the_score_is_the_geometric_mean_of_a_hundred_steps() -> None:
    curve = [0.01] * 50 + [0.04] * 50 + [9.0] * 100
    assert own_score(curve) == pytest.approx({"score": 0.02, "step_1": 0.01, "step_100": 0.04})


def test_the_table_names_the_best_published_network_and_the_ratio_to_it(tmp_path: Path) -> None:
    place = Place(tmp_path / "results", tmp_path / "runs", tmp_path / "data")
    assert apebench(place) == ""
    record = {"bench": "apebench", "cell": "x", "settings": {"scenario": "diff_ks", "column": "small"}}
    store(place, {**record, "score": 0.0155, "weights": 30000, "updates": 10000, "seconds": 250.0})
    assert "| diff_ks, small | 0.0155 | 0.155 (Dil) | 0.100 | 30,000 | 10,000 | 250 |" in apebench(place)


def test_its_own_networks_stand_beside_what_is_published_of_them(tmp_path: Path) -> None:
    place = Place(tmp_path / "results", tmp_path / "runs", tmp_path / "data")
    for column, score in (("small", 0.0155), ("Dil", 0.186)):
        record = {"bench": "apebench", "cell": column, "settings": {"scenario": "diff_ks", "column": column}}
        store(place, {**record, "score": score, "weights": 31777, "updates": 10000, "seconds": 400.0})
    page = apebench(place)
    assert "| diff_ks, Dil | 0.186 | 0.155 | 1.200 | 31,777 | 10,000 | 400 |" in page
    assert page.index("diff_ks, small") < page.index("by its own code") < page.index("diff_ks, Dil")
