"""Cells of the benchmarks: what is finished is not run again, and all of them take fifteen hours."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.catalogue import all_cells, outdated
from bench.cells import Cell, Phase, Work, pending, records, run_cell, store
from bench.contenders import CONTENDERS, VARIANTS
from bench.problems import MAIN
from bench.scale import FULL, SHORT, Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "results", tmp_path / "runs", tmp_path / "data")


def half(place: Place, folder: Path) -> dict[str, Any]:
    return {"score": 0.5}


def cell(name: str, phase: Phase = Phase.TRAINING, work: Work = half, **more: Any) -> Cell:
    return Cell("toy", name, phase, {"seed": 0, "pair": (1, 2), **more}, work)


def test_a_finished_cell_is_not_run_again(place: Place) -> None:
    cells = [cell("a"), cell("b")]
    assert pending(cells, place) == cells
    run_cell(cells[0], place)
    assert pending(cells, place) == cells[1:]
    (place.results / "toy.jsonl").unlink()
    assert pending(cells, place) == cells


def test_a_line_is_replaced_by_a_new_one_of_its_cell_and_others_stay(place: Place) -> None:
    for name in ("b", "a"):
        run_cell(cell(name), place)
    run_cell(cell("a", work=lambda place, folder: {"score": 0.25}), place)
    lines = [json.loads(line) for line in (place.results / "toy.jsonl").read_text().splitlines()]
    assert [(line["cell"], line["score"]) for line in lines] == [("a", 0.25), ("b", 0.5)]


def test_a_setting_that_came_after_a_measurement_does_not_outdate_it_and_another_value_does(place: Place) -> None:
    run_cell(cell("a"), place)
    assert pending([cell("a", position="auto")], place) == [] and pending([cell("a", pair=(1, 3))], place)


def test_every_score_of_the_tree_stands_once_and_is_no_curve() -> None:
    for path in (Path(__file__).parents[2] / "bench" / "results").glob("*.jsonl"):
        cells = [json.loads(line) for line in path.read_text().splitlines()]
        assert len({c["cell"] for c in cells}) == len(cells)
        for scores in (row for c in cells for row in c.get("scores", {}).values()):
            assert not [key for part in scores.values() if isinstance(part, dict) for key in part if "per_" in key]


def test_data_are_generated_again_where_only_their_result_is_left(place: Place) -> None:
    made = Cell("toy", "data", Phase.DATA, {}, half, product=lambda place: place.data / "train.hdf5")
    run_cell(made, place)
    assert pending([made], place) == [made]
    place.data.mkdir()
    (place.data / "train.hdf5").touch()
    assert pending([made], place) == []


def test_a_cell_whose_settings_changed_is_run_again_in_another_folder(place: Place) -> None:
    run_cell(cell("a", minutes=1), place)
    changed = cell("a", minutes=3)
    assert pending([changed], place) == [changed] and changed.folder(place) != cell("a", minutes=1).folder(place)


def test_results_that_no_cell_would_leave_today_are_found(place: Place) -> None:
    (chosen,) = [c for c in all_cells(SHORT) if c.title == "speed/start"]
    store(place, {"bench": "speed", "cell": "start", "settings": chosen.settings})
    assert outdated(place, SHORT) == [] and outdated(place, FULL) == ["speed/start"]
    store(place, {"bench": "speed", "cell": "gone", "settings": {}})
    assert outdated(place, SHORT) == ["speed/gone"]


def test_what_was_chosen_for_ups_on_a_problem_holds_there_alone_and_gives_way_to_what_is_asked_for() -> None:
    ups, fno = CONTENDERS["ups"], CONTENDERS["fno"]
    assert ups.on(MAIN).training.amp is True and ups.on("ks").training.amp is False
    assert ups.on(MAIN).changed("training.amp=false").training.amp is False
    assert ups.changed("training.amp=false").on(MAIN).training.amp is False
    assert fno.on(MAIN) == fno


def test_a_size_changes_the_size_alone() -> None:
    for name, (base, contender) in VARIANTS.items():
        changed = contender.on(MAIN).settings()
        usual = CONTENDERS[base].on(MAIN).settings()
        assert changed != usual and changed.get("stages") == usual.get("stages"), name


def test_a_result_says_what_was_measured_where_and_with_what(place: Place) -> None:
    run_cell(cell("a"), place)
    (record,) = records(place, "toy")
    assert record["score"] == 0.5 and record["settings"] == {"seed": 0, "pair": [1, 2]}
    assert record["machine"]["threads"] >= 1 and "torch" in record["machine"]["versions"]


def test_a_cell_that_fails_or_has_a_number_that_is_none_leaves_no_result(place: Place) -> None:
    def failing(place: Place, folder: Path) -> dict[str, Any]:
        raise ValueError("out of luck")

    for broken in (cell("a", work=failing), cell("a", work=lambda place, folder: {"score": float("nan")})):
        with pytest.raises(ValueError):
            run_cell(broken, place)
        assert pending([broken], place) == [broken]


def test_phases_come_in_their_order_and_patterns_choose(place: Place) -> None:
    cells = [cell("speed", Phase.ALONE), cell("train"), cell("data", Phase.DATA)]
    assert [c.name for c in pending(cells, place)] == ["data", "train", "speed"]
    assert [c.name for c in pending(cells, place, "toy/t*")] == ["train"]


@pytest.mark.parametrize("scale", [FULL, SHORT])
def test_cells_have_names_of_their_own_and_settings_that_can_be_stored(scale: Any) -> None:
    cells = all_cells(scale)
    assert len({c.title for c in cells}) == len(cells) and all("/" not in c.name for c in cells)
    assert all(json.dumps(c.settings) for c in cells)


def test_all_of_it_takes_eighteen_hours_on_two_cores() -> None:
    cells = all_cells(FULL)
    alone = sum(c.seconds for c in cells if c.phase is Phase.ALONE)
    assert 17.5 < (alone + (sum(c.seconds for c in cells) - alone) / 2) / 3600 < 18.9
