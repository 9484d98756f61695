"""The record of the steps: kept over processes, bound to its inputs, and never half written."""

import json
from pathlib import Path

import pytest

from ups.core.errors import UserError
from ups.orchestrate.state import Outcome, State, digest, file_hash
from ups.training.settings import StageSettings

DONE = Outcome("done", {"a": [1, None]}, {"b": 2.5})


def test_an_outcome_is_kept_for_the_next_process(tmp_path: Path) -> None:
    State(tmp_path / "state.json").record("train", "inputs", DONE, 1.5)
    again = State(tmp_path / "state.json")
    assert again.outcome("train", "inputs") == DONE and again.seconds("train") == 1.5
    assert again.outcome("train", "other inputs") is None and again.outcome("evaluate", "inputs") is None


def test_what_is_forgotten_is_gone(tmp_path: Path) -> None:
    state = State(tmp_path / "state.json")
    for name in ("a", "b", "c"):
        state.record(name, "inputs", DONE, 0.0)
    state.forget(["a", "b", "never done"])
    assert [State(state.path).outcome(name, "inputs") for name in ("a", "b", "c")] == [None, None, DONE]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 2, "steps": {}, "forced": null}', '{"format": 1, "steps": {"a": 1}}']
)
def test_a_damaged_record_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(text)
    with pytest.raises(UserError, match="is not the record of an orchestration") as error:
        State(path)
    assert "\n" not in str(error.value)


def test_the_record_is_strict_json(tmp_path: Path) -> None:
    state = State(tmp_path / "state.json")
    with pytest.raises(ValueError, match="JSON compliant"):
        state.record("train", "inputs", Outcome("", {"a": float("nan")}), 0.0)
    assert not state.path.exists() or json.loads(state.path.read_text())


def test_equal_inputs_have_equal_hashes(tmp_path: Path) -> None:
    assert digest([StageSettings(), Path("a"), {"x": 1, "y": 2}]) == digest([StageSettings(), "a", {"y": 2, "x": 1}])
    assert digest(StageSettings(epochs=1)) != digest(StageSettings(epochs=2))
    with pytest.raises(TypeError):
        digest(object())


def test_the_hash_of_a_file_is_that_of_its_content(tmp_path: Path) -> None:
    for name, text in (("a", "x"), ("b", "x"), ("c", "y")):
        (tmp_path / name).write_text(text)
    a, b, c = (file_hash(tmp_path / name) for name in "abc")
    assert a == b != c and file_hash(tmp_path / "none") is None
