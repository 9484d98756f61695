"""Files of our own that were edited or damaged: one sentence that says what to do, or a file that still works."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import h5py
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from tests.report.report_run import COMMAND, CONFIG, TTC, ReportRun, report_run
from ups.core.errors import UserError
from ups.core.system import System
from ups.evaluation.predictions import read_predictions
from ups.evaluation.rescore import rescore
from ups.evaluation.scores import read_scores
from ups.evaluation.settings import EvaluationSettings
from ups.report.compare import compare, comparison_table, read_runs
from ups.report.figures import draw_pictures
from ups.report.html.report import write_report
from ups.report.scores import RunScores
from ups.report.terminal import show

Key = tuple[str | int, ...]
OPTIONAL = {"split", "task", "params", "boundary", "stride", "splits", "files", "data_hash", "split_hash"}
OPTIONAL |= {"config_hash", "break_even", "ttc", "unit", "axes", "floor", "reference", "steady", "settings"}
"""Keys that a file may lack."""
ODD = (None, True, -1, 0, 10**18, 1e300, float("nan"), float("inf"), "text", "", [], [[]], [1.0], {}, {"a": 1})
"""What a value is replaced by."""


@pytest.fixture(scope="module")
def run(split: Any, system: System, tmp_path_factory: pytest.TempPathFactory) -> ReportRun:
    """An evaluated run with test-time conditioning."""
    found = report_run(tmp_path_factory.mktemp("own") / "run", split, system)
    scores = RunScores.model_validate({**found.metrics, "ttc": TTC, "break_even": "never"})
    return ReportRun(found.folder, scores.model_dump())


def keys(content: Any, key: Key = ()) -> Iterator[Key]:
    """Keys of all values; of a list the first and the last."""
    if key:
        yield key
    inner = content.items() if isinstance(content, dict) else ()
    if isinstance(content, list) and content:
        inner = {0: content[0], len(content) - 1: content[-1]}.items()
    for name, value in inner:
        yield from keys(value, (*key, name))


def without(content: Any, key: Key) -> Any:
    """A copy that lacks a value."""
    new = copy.deepcopy(content)
    inner = new
    for part in key[:-1]:
        inner = inner[part]
    del inner[key[-1]]
    return new


def with_value(content: Any, key: Key, value: Any) -> Any:
    """A copy with another value."""
    new = copy.deepcopy(content)
    inner = new
    for part in key[:-1]:
        inner = inner[part]
    inner[key[-1]] = value
    return new


def read(folder: Path, content: Any) -> RunScores:
    """The content as it is read back."""
    (folder / "metrics.json").write_text(json.dumps(content))
    return read_scores(folder / "metrics.json", RunScores)


def use(folder: Path, content: Any) -> None:
    """All that shows scores in words and tables."""
    scores, runs = read(folder, content), read_runs([folder, folder])
    Console(width=80, file=StringIO()).print(comparison_table(runs))
    write_report(folder, scores, CONFIG, folder / "training_log.jsonl", COMMAND)
    show(scores, folder, folder)


def draw(folder: Path, content: Any) -> None:
    """All that shows them in pictures."""
    read(folder, content)
    compare([folder, folder], folder / "compare.png")
    draw_pictures(folder)


@pytest.fixture
def folder(run: ReportRun, tmp_path: Path) -> Path:
    """A copy of the run."""
    return Path(shutil.copytree(run.folder, tmp_path / "run"))


def test_the_whole_file_works(run: ReportRun, folder: Path) -> None:
    use(folder, run.metrics)
    draw(folder, run.metrics)


def test_every_key_that_is_missing_is_named(run: ReportRun, folder: Path) -> None:
    named = [key for key in keys(run.metrics) if isinstance(key[-1], str) and OPTIONAL.isdisjoint(key)]
    named = [key for key in named if "schema_version" not in key]
    assert len(named) > 200
    unnamed = []
    for key in named:
        (folder / "metrics.json").write_text(json.dumps(without(run.metrics, key)))
        try:
            read_scores(folder / "metrics.json", RunScores)
        except UserError as error:
            said = str(error)
            assert said.startswith(f"{folder}/metrics.json: ") and said.endswith("; evaluate again")
            if f"{key[-1]} is missing" in said:
                continue
        unnamed.append(key)
    free = {"vrmse_windows", "6:12", "u"}
    assert [key for key in unnamed if key[-1] not in free] == []


def test_a_row_is_called_by_its_name(run: ReportRun, folder: Path) -> None:
    with pytest.raises(UserError) as raised:
        draw(folder, without(run.metrics, ("rows", 2, "rollout", "nrmse")))
    assert str(raised.value) == f"{folder}/metrics.json: rows.operator.rollout.nrmse is missing; evaluate again"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: m["rows"][2].update(ms_per_step="1"), "rows.operator.ms_per_step: expected a number, found '1'"),
        (lambda m: m["rows"][2].update(rollout=3), "rows.operator.rollout: expected a mapping, found 3"),
        (lambda m: m["rows"].insert(0, "row"), "rows.0: expected a mapping, found 'row'"),
        (lambda m: m.update(rows=[]), "rows is empty"),
        (lambda m: m.update(rows="rows"), "rows: expected a list, found 'rows'"),
        (lambda m: m["rows"][2]["rollout"].update(nrmse=float("nan")), "rows.operator.rollout.nrmse: expected"),
        (lambda m: m["rows"][2]["per_trajectory"]["crps"].pop(), "rows.operator.per_trajectory.crps has 59 of 60"),
        (lambda m: m["rows"].pop(), "rows and ledger do not name the same models"),
        (lambda m: m["protocol"].update(context=99), "protocol.times has 12 of 12 frames, 99 of them given"),
        (lambda m: m["ttc"].update(strategy="none"), "ttc.rows.none is missing"),
        (lambda m: m.pop("schema_version"), "was written by another version (schema 1, expected 2); evaluate again"),
    ],
)
def test_what_is_wrong_is_said(run: ReportRun, folder: Path, change: Callable[[Any], Any], says: str) -> None:
    content = copy.deepcopy(run.metrics)
    change(content)
    with pytest.raises(UserError) as raised:
        use(folder, content)
    assert says in str(raised.value) and str(raised.value).count("\n") == 0


@pytest.mark.parametrize(
    "text", ["", "[" * 100_000, "[" * 100_000 + "]" * 100_000, '{"a":' * 100_000, "1" * 5000, '"\\ud800"', "nul", "\0"]
)
def test_text_that_is_no_scores_is_one_sentence(folder: Path, text: str) -> None:
    (folder / "metrics.json").write_text(text)
    with pytest.raises(UserError, match=r"metrics\.json.*; evaluate again$"):
        read_scores(folder / "metrics.json")


CHANGES = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, len(ODD))), min_size=1, max_size=2)
"""Which value is changed, and to what; the number after the last of `ODD` drops it."""


def damaged(content: Any, changes: list[tuple[int, int]]) -> Any:
    """Scores with one or two values dropped or replaced."""
    for place, odd in changes:
        found = list(keys(content))
        key = found[place % len(found)]
        content = without(content, key) if odd == len(ODD) else with_value(content, key, ODD[odd])
    return content


def refused_or_harmless(folder: Path, content: Any, how: Callable[[Path, Any], None]) -> None:
    try:
        how(folder, content)
    except UserError as error:
        assert str(folder) in str(error) and str(error).endswith("evaluate again")


SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@settings(SLOW, max_examples=100)
@given(changes=CHANGES)
def test_any_damage_is_refused_or_does_no_harm(run: ReportRun, folder: Path, changes: list[tuple[int, int]]) -> None:
    refused_or_harmless(folder, damaged(run.metrics, changes), use)


@settings(SLOW, max_examples=12)
@given(changes=CHANGES)
def test_any_damage_is_refused_or_drawn(run: ReportRun, folder: Path, changes: list[tuple[int, int]]) -> None:
    refused_or_harmless(folder, damaged(run.metrics, changes), draw)


DATASETS = ["truth", "params", "times", "coords", "coords/x", "rows", "rows/00/rollout", "rows/01/one_step"]


@pytest.mark.parametrize("name", DATASETS)
@pytest.mark.parametrize("new", ["missing", "a number", "text", "whole numbers", "another shape", "empty", "sparse"])
def test_stored_forecasts_that_are_damaged_are_one_sentence(folder: Path, name: str, new: str) -> None:
    with h5py.File(folder / "predictions.h5", "a") as file:
        shape = getattr(file[name], "shape", (3,))
        del file[name]
        match new:
            case "a number":
                file[name] = 3.0
            case "text":
                file[name] = "text"
            case "whole numbers":
                file.create_dataset(name, shape, dtype="i4")
            case "another shape":
                file[name] = [[0.5] * 7]
            case "empty":
                file[name] = h5py.Empty("f4")
            case "sparse" if all(shape):
                file.create_dataset(name, (2**28, *shape[1:]), dtype="f4", chunks=(1, *shape[1:]))
            case "sparse":
                file[name] = [0.5]
    with pytest.raises(UserError) as raised:
        read_predictions(folder / "predictions.h5", slice(0, 4))
    assert "predictions.h5" in str(raised.value) and str(raised.value).endswith("; evaluate again")


@pytest.mark.parametrize("value", [None, 3, "{", "[" * 100_000, "[]", h5py.Empty("f4"), [1, 2]])
def test_a_protocol_that_is_damaged_is_one_sentence(run: ReportRun, folder: Path, value: Any) -> None:
    with h5py.File(folder / "predictions.h5", "a") as file:
        del file.attrs["protocol"]
        if value is not None:
            file.attrs["protocol"] = value if not isinstance(value, str) else value[:60_000]
    before = read_scores(folder / "metrics.json")
    with pytest.raises(UserError, match=r"predictions\.h5: .*protocol.*; evaluate again$"):
        rescore(folder, before, EvaluationSettings(), "")


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"text"])
def test_a_file_of_forecasts_that_is_none_is_one_sentence(folder: Path, content: bytes) -> None:
    (folder / "predictions.h5").write_bytes(content)
    with pytest.raises(UserError, match=r"predictions\.h5 is damaged .*; evaluate again$"):
        read_predictions(folder / "predictions.h5")
