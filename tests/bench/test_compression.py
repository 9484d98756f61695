"""The bench of small latents: its contenders compress as its cells say, and its table is right about ratios."""

from pathlib import Path
from typing import Any

import pytest

from bench.cells import store
from bench.compression import RATIOS, SYSTEMS, cells, contender
from bench.compression_section import compression
from bench.planar import SYSTEMS as PLANAR
from bench.scale import FULL, SHORT, Place
from tests.models.systems import system
from ups.models.latent_operator import codec_of


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("channels", [1, 2])
def test_latents_are_as_many_times_smaller_as_the_cell_says(ratio: int, channels: int) -> None:
    codec = codec_of(system((64, 64), channels=channels), contender(ratio).config.latent)
    assert codec.compression == ratio and codec.exact == (ratio == 1)


def test_there_is_a_cell_for_each_ratio_and_system_and_its_settings_tell_them_apart() -> None:
    found = cells(FULL)
    assert len({str(cell.settings) for cell in found}) == len(found) == len(FULL.seeds) * len(SYSTEMS) * len(RATIOS)
    assert "compression/kolmogorov2d-0.5_32x_10min_seed0" in {cell.title for cell in found}
    assert cells(SHORT) == [] and set(SYSTEMS) <= set(PLANAR)


def record(ratio: int, seed: int, rollout: float | None, **others: Any) -> dict[str, Any]:
    """A fabricated result."""
    scores = {"floor": 0.01, "one_step": 0.02, "rollout": rollout, "rollout_latent": 0.4, "correlation_time": 50.0}
    costs = {"ms_per_step": 2.0, "ms_per_step_latent": 1.0, "weights": 12345, "updates": 1000 + 10 * seed}
    settings = {"system": "gray_scott2d", "ratio": ratio, "seed": seed}
    return {"bench": "compression", "cell": f"{ratio}x_seed{seed}", "settings": settings, **scores, **costs, **others}


def test_the_table_has_means_over_seeds_and_the_rollout_over_that_of_the_exact_codec(tmp_path: Path) -> None:
    place = Place(tmp_path / "results", tmp_path / "runs", tmp_path / "data")
    assert compression(place) == ""
    for seed in range(2):
        store(place, record(1, seed, 0.1 + 0.1 * seed, floor=0.0, rollout_latent=0.1 + 0.1 * seed))
        store(place, record(8, seed, 0.3))
        store(place, record(64, seed, None if seed else 0.3))
    rows = {line.split(" | ")[0]: line for line in compression(place).splitlines() if line.startswith("| gray")}
    assert rows["| gray_scott2d, exact"].endswith(
        " | 0 (0–0) | 0.02 (0.02–0.02) | 0.15 (0.1–0.2) | 0.15 (0.1–0.2) | 50 (50–50) | 1.00 | 2 / 1 | 12,345 | 1,005 |"
    )
    assert " | 0.3 (0.3–0.3) | 0.4 (0.4–0.4) | 50 (50–50) | 2.00 | " in rows["| gray_scott2d, 8×"]
    assert " | 1 of 2 diverged | " in rows["| gray_scott2d, 64×"] and " | – | 2 / 1 | " in rows["| gray_scott2d, 64×"]
    assert len(rows) == 3
