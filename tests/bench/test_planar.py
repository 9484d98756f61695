"""The 2D benchmark: long forecasts that stay bounded or not, and a page that says where UPS is behind."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.cells import store
from bench.document import document
from bench.planar import FOLLOWED, LONG, bounded, cells
from bench.planar_section import planar
from bench.scale import FULL, SHORT, Place
from tests.small import advection
from ups.data.dataset import Dataset, open_dataset
from ups.data.settings import DataSettings

MACHINE = {"cpu": "a processor", "cores": 2, "python": "3.11", "versions": {"torch": "2.13"}}
SPLITS = {split: {"trajectories": 1, "hash": split[0] * 64} for split in ("train", "validation", "test")}
SYSTEM = "gray_scott2d"


class Growing:
    """A forecaster whose frame n is the first one times growth^n."""

    def __init__(self, growth: float):
        self.growth = growth

    def rollout(self, truth: Tensor, start: int, steps: int, params: Tensor, members: int, seed: int) -> Tensor:
        powers = self.growth ** torch.arange(1.0, steps + 1)
        assert len(truth) == len(params) <= FOLLOWED
        return truth[:, None, start, None] * powers.view(1, 1, -1, *[1] * (truth.ndim - 2))


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    advection(tmp_path)
    return open_dataset(DataSettings(task="advection1d", root=str(tmp_path)))


def test_the_largest_value_is_over_ten_times_the_frames_and_in_deviations(data: Dataset) -> None:
    steps, first = LONG * data.test.frames, data.test.trajectories(0, FOLLOWED)[:, 0]
    expected = 1.01**steps * float(first.abs().max()) / data.statistics.std[0]
    found = bounded(Growing(1.01), data)  # type: ignore[arg-type]
    assert found["bounded"] == pytest.approx(expected, rel=1e-3) and found["finite"]
    assert bounded(Growing(100.0), data) == {"bounded": None, "finite": False}  # type: ignore[arg-type]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "results", tmp_path / "runs", tmp_path / "data")


def trained(
    place: Place, model: str, seed: int, rollout: float | None, largest: float | None = 5.0, **more: Any
) -> None:
    """The result of a training of ten minutes."""
    record = {
        "bench": "planar",
        "cell": f"{SYSTEM}_{model}_10min_seed{seed}",
        "settings": {"system": SYSTEM, "model": model, "length": "10min", "seed": seed},
        "machine": MACHINE,
        "seconds": 700.0,
        "training": {"seconds": 600.0, "best_score": 0.1},
        "candidate": "muon_0.008",
        "one_step": 0.01,
        "rollout": rollout,
        "correlation_time": 100.0,
        "correlation_lost": True,
        "bounded": largest,
        "largest_true": 5.5,
        "ms_per_step": 4.5,
        "weights": 123456,
        "updates": 2000,
        "data": {"data_hash": "d" * 64, "splits": SPLITS},
    }
    store(place, record | more)


def tried(place: Place, candidate: str, score: float | None) -> None:
    settings = {"system": SYSTEM, "model": "fno", "rate": 1e-3}
    record = {"bench": "planar", "cell": f"{SYSTEM}_fno_{candidate}", "settings": settings, "machine": MACHINE}
    store(place, {**record, "training": {"best_score": score, "seconds": 120.0}, "seconds": 125.0})


def line(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(f"| {start} |"))


def test_the_mean_and_range_over_seeds_stand_in_the_table_with_costs_and_the_choice(place: Place) -> None:
    for seed, rollout in enumerate((0.1, 0.2, 0.3)):
        trained(place, "ups", seed, rollout)
    assert line(planar(place), "UPS") == (
        "| UPS | 0.01 (0.01–0.01) | 0.2 (0.1–0.3) | 100 (100–100) | 5 (5–5) | 4.5 | 123,456 | 2,000 | 600 "
        "| `muon_0.008` |"
    )
    assert f"| {SYSTEM} | `{'d' * 12}` | `{'t' * 12}` | `{'v' * 12}` | `{'t' * 12}` |" in planar(place)
    assert planar(place) in document(place)


def test_rows_ahead_of_ups_are_named_and_means_held_are_a_row_of_their_own(place: Place) -> None:
    trained(place, "ups", 0, 0.2)
    held = {"one_step_held": 0.01, "rollout_held": 0.15, "correlation_time_held": 120.0}
    trained(place, "fno", 0, 0.3, **held, correlation_lost_held=True, bounded_held=4.0)
    trained(place, "convnext", 0, None, None)
    text = planar(place)
    assert "**UPS (0.2) is behind FNO, means held (0.15) in the rollout.**" in text
    assert "**UPS (100) is behind FNO, means held (120) in correlation time.**" in text
    assert "in one step.**" not in text
    assert line(text, "FNO, means held").startswith("| FNO, means held | 0.01 | 0.15 | 120 | 4 |")
    assert line(text, "ConvNeXt U-Net").startswith("| ConvNeXt U-Net | 0.01 | 1 of 1 diverged |")
    assert "Long rollouts exceed twice the largest value of the data: ConvNeXt U-Net." in text


def test_a_rollout_of_ups_that_diverges_is_said_to_be_behind_all(place: Place) -> None:
    trained(place, "ups", 0, None)
    trained(place, "unet", 0, 5.0)
    assert "**UPS (diverged) is behind U-Net (5) in the rollout.**" in planar(place)


def test_every_configuration_that_was_tried_stands_there_and_the_best_is_marked(place: Place) -> None:
    trained(place, "fno", 0, 0.3)
    for candidate, score in (("complex", 0.4), ("real", 0.3), ("wild", None)):
        tried(place, candidate, score)
    text = planar(place)
    shown = [line(text, f"{SYSTEM}: FNO, `{candidate}`")[-12:] for candidate in ("complex", "real", "wild")]
    assert [row.split("|")[1].strip() for row in shown] == ["0.4", "**0.3**", "diverged"]


def test_without_results_there_is_no_section_and_a_short_look_has_no_cells(place: Place) -> None:
    assert planar(place) == ""
    tried(place, "real", 0.3)
    assert planar(place) == "" and cells(SHORT) == []


def test_the_page_reads_what_a_cell_leaves() -> None:
    """Names of cells are systems, models and lengths of the page."""
    titles = {cell.title for cell in cells(FULL)}
    assert {f"planar/{SYSTEM}_ups_10min_seed0", f"planar/{SYSTEM}_convnext_5000upd_seed2"} <= titles
