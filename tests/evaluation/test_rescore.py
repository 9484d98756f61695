"""Stored forecasts score as they did when they were made, and under other settings as if they were made anew."""

import json

import pytest

from tests.evaluation.test_evaluate import Diverging
from tests.toy_process import Process
from ups.core.errors import UserError
from ups.evaluation.baselines import FLOOR, AutoencoderFloor
from ups.evaluation.evaluate import evaluate
from ups.evaluation.rescore import rescore
from ups.evaluation.scores import read_scores
from ups.evaluation.settings import EvaluationSettings

SETTINGS = EvaluationSettings(
    members=4, store=None, lead_times=(1, 5), trajectories=20, batch=7, also_context=(3,), pictures=False
)
CHANGED = {"lead_times": (2,), "correlation_threshold": 0.5, "bootstrap": 200}


def scored(folder, split, system, settings=SETTINGS):
    """An evaluation of the toy process."""
    forecasters = {FLOOR: AutoencoderFloor(lambda u: 1.01 * u), "perfect": Process(True), "diverging": Diverging(True)}
    protocol = {"config_hash": "first", "task": system.task, "boundary": list(system.boundary), "params": []}
    return evaluate(forecasters, split, system, settings, folder, protocol, seed=3, std=[1.0]).model_dump()


@pytest.fixture
def folder(whole, tmp_path):
    """A copy of an evaluation."""
    for name in ("metrics.json", "predictions.h5"):
        (tmp_path / name).write_bytes((whole / name).read_bytes())
    return tmp_path


@pytest.fixture(scope="module")
def whole(split, system, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored")
    scored(folder, split, system)
    return folder


def metrics_in(folder):
    return json.loads((folder / "metrics.json").read_text())


def write(folder, metrics):
    (folder / "metrics.json").write_text(json.dumps(metrics))


def again(folder, settings, config_hash):
    return rescore(folder, read_scores(folder / "metrics.json"), settings, config_hash).model_dump()


def untimed(metrics):
    """The same without what depends on a clock, or on the rollouts from further contexts."""
    apart = ("ms_per_step", "rollout_context_3")

    def rest(rows):
        return [{key: value for key, value in row.items() if key not in apart} for row in rows]

    return {**metrics, "rows": rest(metrics["rows"]), "ledger": rest(metrics["ledger"])}


def test_under_the_same_settings_nothing_changes(folder):
    before = (folder / "metrics.json").read_bytes()
    found = again(folder, SETTINGS, "first")
    assert (folder / "metrics.json").read_bytes() == before and found == json.loads(before)


def test_other_settings_score_as_if_the_forecasts_were_made_under_them(folder, split, system, tmp_path_factory):
    settings = SETTINGS.model_copy(update=CHANGED)
    expected = scored(tmp_path_factory.mktemp("anew"), split, system, settings)
    before = untimed(metrics_in(folder))
    found = untimed(again(folder, settings, "first"))
    assert found == untimed(expected)
    assert all(found[key] != before[key] for key in ("protocol", "rows", "ledger", "spectra"))


def test_what_is_no_score_of_a_stored_forecast_stays(folder):
    before = metrics_in(folder)
    settled = {"trajectories": 20, "of": 29, "tolerance": 0.1}
    steady = {**before["rows"][2], "model": "steady_prior", "steady": settled}
    kept, entry = {"break_even": "never"}, {**before["ledger"][2], "model": "steady_prior"}
    added = {"rows": [*before["rows"], steady], "ledger": [*before["ledger"], entry]}
    write(folder, {**before, **kept, **added})
    found = again(folder, SETTINGS.model_copy(update=CHANGED), "second")
    assert found["rows"][-1] == steady and {key: found[key] for key in kept} == kept
    for key in ("ms_per_step", "rollout_context_3"):
        assert found["rows"][2][key] == before["rows"][2][key]
    assert found["protocol"]["config_hash"] == "second"


def test_forecasts_that_were_not_all_stored_are_refused(split, system, tmp_path):
    few = SETTINGS.model_copy(update={"store": 19})
    scored(tmp_path, split, system, few)
    before = (tmp_path / "metrics.json").read_bytes()
    with pytest.raises(UserError, match=r"holds only some of the 20 scored .* --set evaluation\.store=null"):
        again(tmp_path, few, "first")
    assert (tmp_path / "metrics.json").read_bytes() == before


def test_forecasts_of_another_evaluation_are_refused(folder):
    metrics = metrics_in(folder)
    metrics["protocol"]["seed"] = 4
    write(folder, metrics)
    with pytest.raises(UserError, match=r"is of another evaluation than metrics.json beside it \(seed differs\)"):
        again(folder, SETTINGS, "first")
    (folder / "metrics.json").unlink()
    with pytest.raises(UserError, match=r"there are no scores .*metrics.json; evaluate the run first"):
        again(folder, SETTINGS, "first")
