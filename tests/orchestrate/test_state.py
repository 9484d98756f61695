"""The record of the steps: kept over processes, bound to its inputs, and never half written."""

import json
from pathlib import Path
from typing import Any

import pytest

from ups.core.errors import UserError
from ups.orchestrate.state import Outcome, State, digest, file_hash
from ups.training.settings import StageSettings

DONE = Outcome("done", {"a": [1, None]}, {"b": 2.5})
TRAINED = Outcome("trained", {}, {"weights": {"operator.pt": "12"}, "host_bytes": 5, "from_scratch": True})


def test_an_outcome_is_kept_for_the_next_process(tmp_path: Path) -> None:
    State(tmp_path / "state.json").record("train", "inputs", TRAINED, 1.5)
    again = State(tmp_path / "state.json")
    assert again.outcome("train", "inputs") == TRAINED and again.seconds("train") == 1.5
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
    with pytest.raises(
        UserError, match=r"state\.json is (damaged|not the record of an orchestration).*remove it"
    ) as error:
        State(path)
    assert "\n" not in str(error.value)


COST = {"seconds": 1.0, "host_bytes": 5}
ESTIMATE = {"data_seconds": 1.0, "training_seconds": 2.0, "host_bytes": 5, "stages": {}, "evaluations": {"test": COST}}
WHOLE = {
    "dry run": Outcome("measured", {}, {"estimate": ESTIMATE}),
    "train": TRAINED,
    "full evaluation": Outcome("scored", {}, {"metrics": "ab", "host_bytes": 5}),
    "full gate": Outcome("passed", {"passed": True}),
}
KEYS = ["format", "steps", "forced", "forced.inputs", "forced.kept", "forced.moved", "steps.train.inputs"]
KEYS += ["steps.train.outcome", "steps.train.seconds", "steps.train.outcome.sentence", "steps.train.outcome.private"]
KEYS += [f"steps.train.outcome.private.{key}" for key in ("weights", "host_bytes", "from_scratch")]
KEYS += ["steps.full evaluation.outcome.private.metrics", "steps.full gate.outcome.data.passed"]
KEYS += [
    f"steps.dry run.outcome.private.estimate.{key}" for key in ("stages", "host_bytes", "evaluations.test.seconds")
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", ["missing", None, "text", -1, float("inf"), 10**400, [[]]], ids=repr)
def test_every_key_that_is_read_back_is_checked(tmp_path: Path, key: str, value: Any) -> None:
    state = State(tmp_path / "state.json")
    for name, outcome in WHOLE.items():
        state.record(name, "inputs", outcome, 1.0)
    state.force("inputs", "checkpoints.1", moved=False)
    State(state.path)
    content = json.loads(state.path.read_text())
    *above, last = key.split(".")
    inner = content
    for part in above:
        inner = inner[part]
    inner.pop(last)
    if value != "missing":
        inner[last] = value
    state.path.write_text(json.dumps(content))
    free = {"metrics": (None, "text"), "forced": (None,), **dict.fromkeys(("inputs", "kept", "sentence"), ("text",))}
    if value in free.get(last, ()):
        return
    with pytest.raises(UserError) as error:
        State(state.path)
    said = str(error.value)
    assert last in said and "\n" not in said and said.endswith("; remove it, and every step is checked again")


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
