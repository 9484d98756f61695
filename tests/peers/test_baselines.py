"""`evaluation.baselines`: a peer's row stands among the others and its training is not repeated."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.small import config
from ups.config import load_config
from ups.core.errors import UserError
from ups.report.scores import RunScores
from ups.run.score import evaluate_run
from ups.run.train import run


def rows(scores: RunScores) -> dict[str, dict[str, Any]]:
    return {row["model"]: row for row in scores.model_dump()["rows"]}


@pytest.mark.parametrize("name", ["fno", "unet", "convnext"])
def test_a_baseline_is_trained_once_for_the_operators_time_and_scored_as_it_is(tmp_path: Path, name: str) -> None:
    if name == "fno":
        pytest.importorskip("neuralop")
    path = config(tmp_path, evaluation={"bootstrap": 100, "pictures": False, "baselines": [name], "also_context": [4]})
    result = run(load_config(path))
    folder, metrics = result.folder, result.metrics
    assert metrics is not None
    found = rows(metrics)
    assert list(found).index(name) < list(found).index("operator")
    assert {key for key, value in found[name].items() if value is not None} == {
        key for key, value in found["operator"].items() if value is not None and key != "built_on"
    }
    assert found[name]["rollout"].keys() == found["operator"]["rollout"].keys() and found[name]["error"] is None
    assert found[name]["nfe_per_step"] == 1 and found[name]["train_seconds"] > 0
    assert found[name]["reference"] and found[name]["role"] == "peer"
    weights = (folder / "checkpoints" / f"{name}.pt").read_bytes()
    log = (folder / "reports/training_log.jsonl").read_text()
    assert {json.loads(line)["stage"] for line in log.splitlines()} == {"autoencoder", "operator", name}
    again = rows(evaluate_run(folder))
    assert again[name]["rollout"] == found[name]["rollout"]
    assert (folder / "checkpoints" / f"{name}.pt").read_bytes() == weights
    assert (folder / "reports/training_log.jsonl").read_text() == log


def test_without_baselines_nothing_is_trained(tmp_path: Path) -> None:
    result = run(load_config(config(tmp_path)))
    assert result.metrics is not None and not {"fno", "unet", "convnext"} & set(rows(result.metrics))


def test_an_unknown_baseline_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"evaluation\.baselines"):
        load_config(config(tmp_path, evaluation={"baselines": ["resnet"]}))
