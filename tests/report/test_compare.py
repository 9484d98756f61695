"""Runs side by side: what may be compared, by how much they differ, and what is refused."""

import json
import re
import shutil
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from tests.toy_process import Process
from ups.core.errors import UserError
from ups.evaluation.evaluate import evaluate
from ups.evaluation.ledger import paired_gain
from ups.evaluation.settings import EvaluationSettings
from ups.report.compare import SAME, compare, gain_over_first, read_runs, require_same_protocol

SETTINGS = EvaluationSettings(lead_times=(1,), trajectories=20, store=0, members=4, pictures=False)


@pytest.fixture(scope="module")
def runs(split, system, tmp_path_factory) -> tuple[Path, Path]:
    """Two runs with other seeds, configs and costs; the forecasts of the second are the true process."""
    folders = tmp_path_factory.mktemp("plain"), tmp_path_factory.mktemp("sampled")
    protocol = {"data_hash": "ab" * 32, "split": "test", "split_hash": "cd" * 32, "stride": {"space": 1, "time": 1}}
    for seed, (folder, noise) in enumerate(zip(folders, (False, True), strict=True)):
        given = {**protocol, "config_hash": f"hash {seed}", "seed": seed}
        evaluate({"operator": Process(noise)}, split, system, SETTINGS, folder, given, seed=seed, std=[1.0])
    return folders


def printed(table: object) -> str:
    console = Console(width=80, record=True, file=StringIO())
    console.print(table)
    return console.export_text()


def changed(folder: Path, target: Path, **protocol: object) -> Path:
    """A copy of a run whose protocol differs."""
    shutil.copytree(folder, target)
    metrics = json.loads((target / "metrics.json").read_text())
    metrics["protocol"] |= protocol
    (target / "metrics.json").write_text(json.dumps(metrics))
    return target


def test_every_row_of_every_run_is_in_the_table_and_the_picture_is_drawn(runs, tmp_path):
    table, picture = compare(runs, tmp_path / "compare.png")
    text = printed(table)
    assert picture.read_bytes().startswith(b"\x89PNG") and "…" not in text
    assert re.search(r"operator +plain", text) and text.count("sampled") >= 2 and text.count("plain") >= 2


def test_times_of_different_hardware_come_with_a_caveat(runs, tmp_path):
    other = changed(runs[1], tmp_path / "other", device="NVIDIA H200")
    text = " ".join(printed(compare([runs[0], other], tmp_path / "compare.png")[0]).split())
    assert re.search(r"different hardware \(plain0: cpu, \d+ threads?; other: NVIDIA H200\)", text)
    assert "different hardware" not in printed(compare(runs, tmp_path / "compare.png")[0])


def test_the_gain_is_that_of_the_trajectories_in_pairs(runs):
    first, second = read_runs(runs)
    old, new = (run.rows["operator"].per_trajectory.crps for run in (first, second))
    assert gain_over_first([first, second], second, "operator") == paired_gain(old, new, 1000)
    assert gain_over_first([first, second], first, "operator") is None
    unchanged = gain_over_first([first, second], second, "persistence")
    assert unchanged is not None and (unchanged.value, unchanged.low, unchanged.high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("key", SAME)
def test_a_protocol_that_differs_is_refused_by_the_name_of_the_field(runs, key):
    first, _ = read_runs(runs)
    other = replace(first, protocol=first.protocol.model_copy(update={key: "something else"}))
    with pytest.raises(UserError, match=f"cannot be compared: {key} is .* and something else in the second"):
        require_same_protocol(first, other)


def test_runs_that_differ_leave_no_picture(runs, tmp_path):
    other = changed(runs[0], tmp_path / "other", split="validation")
    with pytest.raises(UserError, match="cannot be compared: split is test in the first and validation in the second"):
        compare([runs[0], other], tmp_path / "compare.png")
    assert not (tmp_path / "compare.png").exists()


def test_runs_of_equal_name_are_told_apart(runs, tmp_path):
    twin = shutil.copytree(runs[0], tmp_path / runs[0].name)
    assert [run.name for run in read_runs([runs[0], twin])] == [str(runs[0]), str(twin)]


def test_a_row_that_one_run_lacks_or_could_not_score_is_shown_without_a_gain(runs, tmp_path):
    other = changed(runs[0], tmp_path / "other")
    metrics = json.loads((other / "metrics.json").read_text())
    metrics["rows"][1]["error"] = "the rollout of operator is not finite"
    extra = {**metrics["rows"][0], "model": "extra"}
    ledger = [*metrics["ledger"], {**metrics["ledger"][0], "model": "extra"}]
    spectra = {**metrics["spectra"], "extra": metrics["spectra"]["truth"]}
    more = {"rows": [*metrics["rows"], extra], "ledger": ledger, "spectra": spectra}
    (other / "metrics.json").write_text(json.dumps({**metrics, **more}))
    text = printed(compare([runs[0], other], tmp_path / "compare.png")[0])
    assert "no score" in text and "extra" in text


def test_steady_states_of_other_trajectories_have_no_gain(runs, tmp_path):
    folders = [changed(runs[0], tmp_path / name) for name in ("first", "same", "stricter")]
    for folder, tolerance in zip(folders, (0.1, 0.1, 0.01), strict=True):
        metrics = json.loads((folder / "metrics.json").read_text())
        steady = {"trajectories": 20, "of": 20, "tolerance": tolerance}
        metrics["rows"].append({**metrics["rows"][1], "model": "steady_prior", "steady": steady})
        metrics["ledger"].append({**metrics["ledger"][1], "model": "steady_prior"})
        (folder / "metrics.json").write_text(json.dumps(metrics))
    found = read_runs(folders)
    gain = gain_over_first(found, found[1], "steady_prior")
    assert gain is not None and gain.value == 0.0
    assert gain_over_first(found, found[2], "steady_prior") is None


@pytest.mark.parametrize("name", ["x.txt", "x"])
def test_a_name_that_no_picture_can_have_is_refused(runs, tmp_path, name):
    with pytest.raises(UserError, match=r"expected the name of a picture, such as x\.png or \.pdf"):
        compare(runs, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_what_is_no_evaluated_run_is_refused(runs, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "metrics.json").write_text("{")
    for folders, says in (
        ([runs[0]], "at least two runs, found 1"),
        ([runs[0], tmp_path], "has no metrics.json"),
        ([runs[0], tmp_path / "broken"], r"metrics\.json is damaged \(.*\); evaluate again"),
    ):
        with pytest.raises(UserError, match=says):
            compare(folders, tmp_path / "compare.png")
