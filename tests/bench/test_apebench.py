"""APEBench's metric, the sizes of both columns, and the table."""

from pathlib import Path

import pytest
import torch

from bench.apebench import COLUMNS, CONFIG, batch_nrmse
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


def test_the_small_column_has_at_most_as_many_weights_as_the_published_networks() -> None:
    x = tuple(i / 160 for i in range(160))
    system = System(("u",), (160,), (x,), ("periodic",), (), 1.0)
    sizes = {}
    for column, changes in COLUMNS.items():
        config = load_config(CONFIG, changes)
        model = LatentModel(system, config.latent, config.operator)
        sizes[column] = sum(p.numel() for p in model.parameters())
    assert sizes["small"] <= 33_000 < sizes["default"] < 60_000


def test_the_table_names_the_best_published_network_and_the_ratio_to_it(tmp_path: Path) -> None:
    place = Place(tmp_path / "results", tmp_path / "runs", tmp_path / "data")
    assert apebench(place) == ""
    record = {"bench": "apebench", "cell": "x", "settings": {"scenario": "diff_ks", "column": "small"}}
    store(place, {**record, "score": 0.0155, "weights": 30000, "updates": 10000, "seconds": 250.0})
    assert "| diff_ks, small | 0.0155 | 0.155 (Dil) | 0.100 | 30,000 | 10,000 | 250 |" in apebench(place)


@pytest.mark.parametrize("column", COLUMNS)
def test_both_columns_are_valid_configs(column: str) -> None:
    assert load_config(CONFIG, COLUMNS[column]).latent.codec == "exact"
