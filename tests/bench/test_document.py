"""The page of the benchmarks: it is right about ratios, and plain about what was not reached."""

from pathlib import Path
from typing import Any

import pytest

from bench.cells import store, stored
from bench.classical import runs_of
from bench.document import document, write_document
from bench.problems import MAIN
from bench.scale import Place
from bench.speed import matched_solver
from bench.tables import number, over_seeds
from ups.evaluation.breakeven import SolverRun

MACHINE = {"cpu": "a processor", "cores": 2, "python": "3.11", "versions": {"torch": "2.13"}}


def scores(nrmse: float | None, time: float = 10.0) -> dict[str, Any]:
    """A row of a forecast with this error."""
    part = {"nrmse": nrmse, "crmse": 0.1, "frmse_low": 0.1, "frmse_mid": 0.1, "frmse_high": 0.1}
    rollout = {**part, "correlation_time": time, "correlation_lost": True}
    costs = {"ms_per_step": 1.0, "train_seconds": 180.0, "parameters": 1000, "error": None}
    return {"rollout": rollout, "rollout_context_10": rollout, "one_step": part, **costs}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """UPS at a fifth, then at half of the error of the FNO, whose third seed diverges on the second problem."""
    place = Place(tmp_path / "results", tmp_path / "runs", tmp_path / "data")
    for problem, ups in (("burgers-0.001", 0.2), ("burgers-0.01", 0.5), ("ks", 0.5)):
        for seed in range(3):
            for model, rows in (
                ("ups", {"model": scores(ups * (1 + seed / 10), 15.0), "latent space": scores(2 * ups)}),
                ("fno", {"model": scores(None if problem == "burgers-0.01" and seed == 2 else 1.0)}),
            ):
                settings = {"problem": problem, "model": model, "minutes": 3.0, "seed": seed}
                settings |= {"trajectories": 1080, "scale": "full"}
                training = {"step": 100, "seconds": 180.0, "best_score": 0.1, "compression": 0.125}
                record = {"settings": settings, "machine": MACHINE, "rate": 1e-3, "training": training, "scores": rows}
                store(place, {"bench": "peers", "cell": f"{problem}_{model}_{seed}", **record, "seconds": 200.0})
    return place


def line(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(f"| {start}"))


def test_targets_are_judged_by_the_mean_over_seeds(place: Place) -> None:
    text = document(place)
    for frame in (0, 9):
        verdict = line(text, f"burgers-0.001: error from frame {frame}, UPS / FNO |")
        assert verdict.endswith("| 0.22 (0.2–0.24) | 3 | ≤ 0.33 | yes |")
    assert line(text, "ks: correlation time, UPS / FNO |").endswith("| 1.5 (1.5–1.5) | 3 | ≥ 1.30 | yes |")
    assert line(text, "ks: correlation time, UPS re-encoded / in latent space").endswith("| ≤ 1.20 | **no** |")
    assert line(text, "burgers-0.001: error from frame 0, latents of an eighth").endswith(
        "| – | 0 | ≤ 1.10 | not measured |"
    )


def test_a_peer_that_diverges_is_said_to_and_is_no_victory(place: Place) -> None:
    verdict = line(document(place), "burgers-0.01: error from frame 0, UPS / FNO |")
    assert verdict.endswith("| 1 of 3 diverged | 3 | ≤ 0.33 | **no** |")


def change(place: Place, cell: str, **rollout: Any) -> None:
    """Changes the free rollout in a result."""
    record = stored(place, "peers")[cell]
    record["scores"]["model"]["rollout"].update(rollout)
    store(place, record)


def test_a_forecast_that_one_seed_never_loses_is_said_to_hold_longer_than_the_mean(place: Place) -> None:
    cells = [f"ks_ups_{seed}" for seed in range(3)]
    change(place, cells[0], correlation_lost=False, correlation_time=18.0)
    assert "| ≥ 16 (15–18), 2 of 3 lost |" in line(document(place).split("### ks")[1], "UPS |")
    for cell in cells:
        change(place, cell, correlation_lost=False)
    assert "| never lost |" in line(document(place).split("### ks")[1], "UPS |")


def test_results_of_other_settings_and_of_other_data_are_named(place: Place) -> None:
    assert "to be measured again: peers/burgers-0.001_fno_0, " in document(place)
    for seed in range(2):
        record = stored(place, "peers")[f"ks_ups_{seed}"]
        splits = {split: {"trajectories": 1, "hash": f"{seed}" * 64} for split in ("train", "validation", "test")}
        store(place, record | {"data": {"data_hash": "a" * 64, "splits": splits}})
    data = {"problem": "ks", "split": "test", "trajectories": 1, "scale": "full"}
    timed = {"seconds_per_trajectory": 0.1, "refinement_error": None}
    store(place, {"bench": "data", "cell": "ks", "settings": data, "machine": MACHINE, **timed})
    assert "Results of different data are mixed: ks, 1,080 trajectories." in document(place)


def sweep(place: Place, *runs: tuple[int, float | None, float]) -> list[SolverRun]:
    """A sweep of the solver: (points, nRMSE, seconds) of each run; returns those that stayed finite."""
    found = [{"points": points, "substeps": 4, "nrmse": error, "seconds": s} for points, error, s in runs]
    settings = {"problem": MAIN, "scale": "full"}
    record = {"settings": settings, "machine": MACHINE, "data": {"frames": 41}, "runs": found, "scores": {}}
    record["scores"] = {"persistence": scores(1.0)}
    store(place, {"bench": "classical", "cell": MAIN, **record})
    return list(runs_of(record))


def test_a_model_pays_against_the_cheapest_solver_that_is_as_accurate_as_its_mean_over_seeds(place: Place) -> None:
    # UPS: 0.2, 0.22, 0.24 in 40 ms a forecast after 180 s; a solver at 0.21 beats the first seed only
    runs = sweep(place, (256, 0.1, 0.4), (128, 0.215, 0.1), (64, 0.23, 0.05), (32, None, 0.01))
    text = document(place)
    assert "UPS (nRMSE 0.22): " in text and "128 points, 4 steps a frame (nRMSE 0.215)" in text
    assert matched_solver(place, runs) == runs[1]
    assert matched_solver(place, runs[2:]) == runs[2], "the most accurate where none is accurate enough"
    assert matched_solver(place, []) is None


def test_runs_of_the_solver_that_cost_more_and_are_no_better_are_left_out(place: Place) -> None:
    sweep(place, (256, 0.1, 0.4), (128, 0.10005, 0.2), (64, 0.3, 0.3), (32, 0.9, 0.1))
    section = document(place).split(f"### {MAIN}: the solver")[1].split("##")[0]
    assert [line.split(" points")[0] for line in section.splitlines() if "points" in line and line[0] == "|"] == [
        "| 128",
        "| 32",
    ]


def test_means_of_the_fno_are_held_beside_it_at_all_times_of_training(place: Place) -> None:
    for seed in range(3):
        record = stored(place, "peers")[f"{MAIN}_fno_{seed}"]
        record["scores"]["held means"] = scores(0.5)
        store(place, record)
        longer = {**record["settings"], "minutes": 10.0}
        store(place, {**record, "cell": f"{MAIN}_fno_10_{seed}", "settings": longer})
    assert "| FNO, means held | 0.5 (0.5–0.5) | 0.5 (0.5–0.5) |" in document(place)


def test_the_mean_and_range_of_every_model_stand_in_its_table(place: Place) -> None:
    assert "| UPS | 0.22 (0.2–0.24) | 0.22 (0.2–0.24) |" in document(place)


def test_without_results_the_page_says_so(tmp_path: Path) -> None:
    place = Place(tmp_path, tmp_path, tmp_path)
    path = write_document(place, tmp_path / "docs" / "benchmarks.md")
    assert "No results are there yet." in path.read_text() and "## " not in path.read_text()


def test_numbers_keep_three_digits() -> None:
    assert [number(x) for x in (0.012345, 1.5, 123.4, 12345.6, 2e-7, 0.0, None)] == [
        "0.0123",
        "1.5",
        "123",
        "12,346",
        "2.00e-07",
        "0",
        "diverged",
    ]
    assert over_seeds([0.5]) == "0.5" and over_seeds([]) == "–"
