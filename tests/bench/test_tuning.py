"""Tuning: every model is tried alike, the validation split chooses, and what was measured before stays valid."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import planar, tuning
from bench.cells import Phase, store
from bench.contenders import CONTENDERS, Candidate, Contender, rates
from bench.planar import MODELS, SYSTEMS, TUNED_ON
from bench.scale import FULL, SHORT, Place
from bench.tuning import Tuning
from ups.core.errors import DivergenceError, UserError
from ups.peers.fno import FNOSettings
from ups.peers.settings import PeerSettings

THREE = Contender(rates(2e-3, 1e-3, 4e-3), PeerSettings(network="unet"))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "results", tmp_path / "runs", tmp_path / "data")


def trials(contender: Contender = THREE) -> Tuning:
    return Tuning("toy", "waves_unet", {"problem": "waves"}, contender, lambda place: None, 1.0)  # type: ignore[arg-type]


def measured(place: Place, scores: dict[float, float | None], of: Tuning) -> None:
    for cell in of.cells():
        if cell.settings["rate"] in scores:
            found = {"best_score": scores[cell.settings["rate"]]}
            store(place, {"bench": "toy", "cell": cell.name, "settings": cell.settings, "training": found})


def test_the_smallest_validation_error_chooses_and_a_candidate_that_diverged_has_none(place: Place) -> None:
    measured(place, {2e-3: 0.3, 1e-3: 0.2, 4e-3: None}, trials())
    assert trials().best(place).rate == 1e-3
    measured(place, {1e-3: 0.4}, trials())
    assert trials().best(place).rate == 2e-3
    measured(place, {2e-3: None, 1e-3: None}, trials())
    with pytest.raises(UserError, match="all 3 candidates diverged"):
        trials().best(place)


def test_nothing_is_chosen_before_all_were_tried_as_they_are_set_today(place: Place) -> None:
    measured(place, {2e-3: 0.3, 1e-3: 0.2}, trials())
    with pytest.raises(UserError, match=r"missing: toy/waves_unet_0\.004"):
        trials().best(place)
    measured(place, {4e-3: 0.1}, trials())
    wider = trials(replace(THREE, overrides=("training.ema_decay=0.99",)))
    with pytest.raises(UserError, match="these are missing"):
        wider.best(place)


def test_a_single_candidate_needs_no_trial(place: Place) -> None:
    single = trials(replace(THREE, candidates=rates(2e-3)))
    assert single.cells() == [] and single.best(place).rate == 2e-3
    assert tuning.cells(SHORT) == []


def test_a_trial_that_diverges_has_a_result_without_a_score(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    class Data:
        def describe(self) -> dict[str, Any]:
            return {"data_hash": "a"}

    def diverging(*given: Any) -> None:
        raise DivergenceError("out of luck")

    monkeypatch.setattr("bench.tuning.train", diverging)
    (cell, *_) = replace(trials(), data=lambda place: Data()).cells()  # type: ignore[arg-type]
    assert cell.work(place, place.runs)["training"]["best_score"] is None


def test_a_candidate_changes_what_it_names_and_nothing_else() -> None:
    changes = ("fno.products=real", "optimizer=muon", "fno.width=8", "batch_size=4")
    peer = PeerSettings(network="fno", fno=FNOSettings(modes=16))
    found = Contender((), peer).at(Candidate(8e-3, changes)).peer
    wanted = FNOSettings(width=8, modes=16, products="real")
    assert found == peer.model_copy(update={"lr": 8e-3, "optimizer": "muon", "batch_size": 4, "fno": wanted})
    ups = Contender((), base=planar.SHIPPED).at(Candidate(3e-3, ("training.batch_size=8",)))
    assert (ups.config.stages.of("operator").optimizer.lr, ups.config.training.batch_size) == (3e-3, 8)
    for wrong in ("fno.wdth=8", "batch_size", "optimizer=muon"):
        with pytest.raises((UserError, ValueError)):
            Contender((), peer).at(Candidate(8e-3, (wrong,)))


def test_the_results_of_trials_of_rates_keep_their_names_and_settings() -> None:
    path = Path(__file__).parents[2] / "bench" / "results" / "tuning.jsonl"
    found = {record["cell"] for record in map(json.loads, path.read_text().splitlines())}
    cells = tuning.cells(FULL)
    assert found == {cell.name for cell in cells} and all(cell.measured(Place(path.parent)) for cell in cells)
    assert tuning.tuning("ups", "advection", FULL).stem == "burgers-0.001_ups"


@pytest.mark.parametrize("models", [CONTENDERS, MODELS], ids=["1D", "2D"])
def test_every_model_is_tried_in_as_many_configurations_no_two_of_them_the_same(models: dict[str, Contender]) -> None:
    assert len({len(contender.candidates) for contender in models.values()}) == 1
    for contender in models.values():
        setups = [json.dumps(contender.at(c).settings(), sort_keys=True) for c in contender.candidates]
        assert len(set(setups)) == len(setups) == len({c.name for c in contender.candidates})


def test_in_2d_all_train_with_the_settings_that_ship_and_for_as_long() -> None:
    trainings = [contender.config.training for contender in MODELS.values()]
    shared = {(t.ema_decay, t.grad_clip, t.shift_augmentation, t.select_by) for t in trainings}
    assert len(shared) == 1
    cells = [cell for cell in planar.cells(FULL) if cell.phase is Phase.TUNING]
    assert len({cell.seconds for cell in cells}) == 1 and len(cells) == 4 * len(MODELS) * len(set(TUNED_ON.values()))


def test_in_2d_the_first_seed_of_everything_comes_first_and_two_spacings_share_a_choice() -> None:
    seeds = [cell.settings["seed"] for cell in planar.cells(FULL) if cell.phase is Phase.TRAINING]
    assert seeds == sorted(seeds) and seeds.count(0) == 2 * len(SYSTEMS) * len(MODELS)
    short, long = planar.tuning("kolmogorov2d-0.1", "fno"), planar.tuning("kolmogorov2d-0.5", "fno")
    assert [c.title for c in short.cells()] == [c.title for c in long.cells()]
