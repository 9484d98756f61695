"""What `--mode` scores: rows without test-time conditioning, the comparison with it, or both."""

import html
import json
import re
import shlex
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from tests.small import config
from ups.cli import app
from ups.config import load_config
from ups.core.errors import UserError
from ups.data.dataset import open_dataset
from ups.evaluation.progress import ScoringBar
from ups.run import train as pipeline
from ups.run.folder import config_hash, config_of
from ups.run.score import evaluate_run
from ups.run.train import train

SMALL = {"hidden_dim": 16, "depths": [1], "num_heads": 2, "group_size": 8, "reserve": 0.25}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    epochs = {name: {"epochs": 2} for name in ("autoencoder", "operator", "crps_ensemble")}
    evaluation = {"bootstrap": 100, "pictures": False, "members": 2, "lead_times": [1]}
    path = config(tmp_path_factory.mktemp("run"), stages=epochs, diffusion=SMALL, evaluation=evaluation)
    return train(load_config(path))


def test_modes_add_up(trained: Path) -> None:
    with pytest.raises(UserError, match=r"mode ttc adds to scores that are there, but .* is missing; use mode both"):
        evaluate_run(trained, "validation", mode="ttc")
    plain = evaluate_run(trained, "validation").model_dump()
    assert "ttc" not in plain and "ttc" not in {row["model"] for row in plain["rows"]}
    added = evaluate_run(trained, "validation", mode="ttc").model_dump()
    assert {k: v for k, v in added.items() if k != "ttc"} == plain
    both = evaluate_run(trained, "validation", mode="both").model_dump()
    row = next(row for row in both["rows"] if row["model"] == "ttc")
    mine = next(row for row in both["ttc"]["rows"] if row["strategy"] == both["ttc"]["strategy"])
    assert row["rollout"]["nrmse"] == pytest.approx(mine["nrmse"]) and row["nfe_per_step"] == mine["evaluations"]
    assert [row["nrmse"] for row in added["ttc"]["rows"]] == [row["nrmse"] for row in both["ttc"]["rows"]]
    assert 'id="ttc"' in (trained / "validation" / "report.html").read_text()


def test_rows_and_strategies_are_told_while_they_are_scored(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, set[str]] = {}

    class Bar(ScoringBar):
        def __call__(self, name: str, done: int, total: int) -> None:
            told.setdefault(self.what, set()).add(name)

    monkeypatch.setattr("ups.run.score.ScoringBar", Bar)
    found = evaluate_run(trained, "validation", mode="both").model_dump()
    rows, strategies = {row["model"] for row in found["rows"]}, {row["strategy"] for row in found["ttc"]["rows"]}
    assert list(told.values()) == [rows, strategies]


def test_stored_forecasts_are_scored_again_without_the_model(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate_run(trained, "validation")
    path = trained / "validation/metrics.json"
    before = path.read_bytes()
    monkeypatch.setattr("ups.run.score.Surrogate.load", lambda *_: pytest.fail("the model was loaded"))
    monkeypatch.setattr("ups.run.score.open_dataset", lambda *_, **__: pytest.fail("the data were opened"))
    command = ["evaluate", str(trained), "--split", "validation", "--rescore"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0 and path.read_bytes() == before, done.output
    done = CliRunner().invoke(app, [*command, "--set", "evaluation.lead_times=[2, 3]"])
    assert done.exit_code == 0 and json.loads(path.read_text())["protocol"]["lead_times"] == [2, 3], done.output
    for setting in ("evaluation.members=3", "run.seed=1", "evaluation.pictures=true"):
        done = CliRunner().invoke(app, [*command, "--set", setting])
        assert done.exit_code == 2 and "without the model only evaluation.lead_times" in done.stderr, setting


def test_other_settings_of_ttc_add_to_scores_that_are_there_and_are_told(trained: Path) -> None:
    before = evaluate_run(trained, "validation", mode="both").model_dump()
    command = ["evaluate", str(trained), "--split", "validation", "--mode", "ttc", "--set", "ttc.candidates=3"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    after = json.loads((trained / "validation" / "metrics.json").read_text())
    assert {k: v for k, v in after.items() if k != "ttc"} == {k: v for k, v in before.items() if k != "ttc"}
    row = next(row for row in after["rows"] if row["model"] == "ttc")
    own = next(row for row in after["ttc"]["rows"] if row["strategy"] == "best-of-n")
    assert (row["settings"]["candidates"], row["nfe_per_step"]) == (4, 1 + 4)
    assert (after["ttc"]["settings"]["candidates"], own["evaluations"]) == (3, 1 + 3)
    report = (trained / "validation" / "report.html").read_text()
    for told in ("Settings of ttc: candidates 4.", "Settings: candidates 3."):
        assert told in report and told in " ".join(done.output.split())


def test_the_budget_of_the_row_is_that_of_the_settings(trained: Path) -> None:
    both = evaluate_run(trained, "validation", mode="both", overrides=["ttc.max_evaluations=20"]).model_dump()
    row = next(row for row in both["rows"] if row["model"] == "ttc")
    mine = next(row for row in both["ttc"]["rows"] if row["strategy"] == "best-of-n")
    assert row["nfe_per_step"] == mine["evaluations"] == 20 / 8


def test_what_cannot_be_conditioned_is_told_before_anything_is_scored(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ups.run.score.evaluate", lambda *_, **__: pytest.fail("rows were scored"))
    refused = {
        "ttc.max_evaluations=7": r"ttc\.max_evaluations must be at least the 8 steps of the rollout, found 7",
        "ttc.sampler=diffusion": "needs the sampler 'diffusion' for its candidates",
    }
    for override, words in refused.items():
        with pytest.raises(UserError, match=words):
            evaluate_run(trained, "validation", mode="both", overrides=[override])


def test_changed_settings_are_no_addition_and_the_config_decides_unless_told(trained: Path) -> None:
    evaluate_run(trained, "validation")
    with pytest.raises(UserError, match="is of other data or settings"):
        evaluate_run(trained, "validation", mode="ttc", overrides=["evaluation.members=3"])
    assert evaluate_run(trained, "validation", overrides=["ttc.enabled=true"]).model_dump()["ttc"]["rows"]


@pytest.mark.parametrize("text", ["", '{"protocol": {"da', "[]", '{"rows": []}', '{"protocol": {}, "rows": [{}]}'])
def test_damaged_scores_are_not_added_to(trained: Path, text: str) -> None:
    path = trained / "metrics.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"metrics.json.*; evaluate again$"):
        evaluate_run(trained, mode="ttc")
    assert path.read_text() == text
    path.unlink()


def test_pictures_of_earlier_scores_are_not_taken_for_new_ones(tmp_path: Path) -> None:
    run = train(load_config(config(tmp_path)))
    drawn = evaluate_run(run, overrides=["evaluation.pictures=true"]).model_dump()["pictures"]
    assert "report/fields_operator.png" in drawn and all((run / name).exists() for name in drawn)
    assert evaluate_run(run).model_dump()["pictures"] == []
    assert (run / "report/fields_operator.png").exists()


def command_in(report: Path) -> list[list[str]]:
    """The words of the commands that a report names."""
    found = re.search(r"<code>(ups .*?)</code>", report.read_text())
    assert found
    return [shlex.split(command) for command in html.unescape(found[1]).split("&&")]


def repeated(words: list[str]) -> list[str]:
    """The values of `--set`."""
    return [value for option, value in pairwise(words) if option == "--set"]


def test_the_report_names_a_command_that_gives_the_same_run(tmp_path: Path) -> None:
    loaded = load_config(config(tmp_path), ["run.seed=3", "stages.operator.epochs=1", "evaluation.members=2"])
    metrics = pipeline.run(loaded).metrics
    (command,) = command_in(tmp_path / "run/report.html")
    assert command[:2] == ["ups", "run"]
    again = load_config(command[2], repeated(command))
    assert again.run.dir == tmp_path / "run_again"
    repetition = pipeline.run(again).metrics
    assert metrics is not None and repetition is not None
    same = ("config_hash", "data_hash", "split_hash", "seed", "members")
    assert all(getattr(repetition.protocol, key) == getattr(metrics.protocol, key) for key in same)
    assert [row.per_trajectory for row in repetition.rows] == [row.per_trajectory for row in metrics.rows]


def test_settings_of_the_evaluation_alone_are_part_of_the_command(trained: Path) -> None:
    evaluate_run(trained, "validation", mode="both", overrides=["evaluation.members=3", "ttc.rewards={mean: 2.0}"])
    first, second = command_in(trained / "validation/report.html")
    assert first[:4] == ["ups", "train", "--config", str(trained / "config.yaml")]
    again = load_config(first[3], repeated(first))
    assert second[:3] == ["ups", "evaluate", str(again.run.dir)]
    assert second[3:7] == ["--split", "validation", "--mode", "both"]
    scored = load_config(first[3], repeated(second))
    assert scored.evaluation.members == 3 and scored.ttc.rewards == {"mean": 2.0}


def test_a_run_without_a_sampler_says_what_is_missing(tmp_path: Path) -> None:
    run = train(load_config(config(tmp_path)))
    with pytest.raises(UserError, match="test-time conditioning needs a sampler for its candidates"):
        evaluate_run(run, "validation", mode="both")


def test_predict_conditions_as_the_config_of_the_run_says(trained: Path, tmp_path: Path) -> None:
    held = open_dataset(config_of(trained).data).test
    np.save(tmp_path / "u0.npy", held.trajectories(0, held.n)[:, 0].numpy())
    command = ["predict", str(trained), str(tmp_path / "u0.npy"), "--steps", "4", "-o"]

    def predicted(name: str, *options: str) -> tuple[np.ndarray, float]:
        done = CliRunner().invoke(app, [*command, str(tmp_path / name), *options])
        assert done.exit_code == 0, done.output
        with h5py.File(tmp_path / name) as file:
            return np.asarray(file["values"]), float(np.asarray(file.attrs["evaluations_per_step"]))

    plain, _ = predicted("plain.h5")
    chosen, spent = predicted("chosen.h5", "--ttc")
    assert chosen.shape == plain.shape and spent == 1 + 4 and not np.array_equal(chosen, plain)
    fewer, spent = predicted("fewer.h5", "--ttc", "--set", "ttc.candidates=2", "--set", "ttc.rewards={bounds: 1}")
    assert spent == 1 + 2 and not np.array_equal(fewer, chosen)
    cheap, spent = predicted("cheap.h5", "--ttc", "--set", "ttc.max_evaluations=4")
    assert spent == 1 and np.array_equal(cheap, plain)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--set", "ttc.candidates=2"], "--set changes settings of test-time conditioning"),
        (["--ttc", "--members", "2"], "--ttc makes one forecast"),
        (["--ttc", "--nfe", "2"], "--ttc makes one forecast"),
    ],
)
def test_predict_refuses_options_that_do_not_go_together(trained: Path, options: list[str], words: str) -> None:
    done = CliRunner().invoke(app, ["predict", str(trained), "u0.npy", "-o", "out.h5", *options])
    assert done.exit_code == 2 and words in done.stderr


def test_the_budget_must_cover_the_longest_rollout(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ups.run.score.evaluate", lambda *_, **__: pytest.fail("rows were scored"))
    late = ["evaluation.context=4", "evaluation.also_context=[1]", "ttc.max_evaluations=6"]
    with pytest.raises(UserError, match="must be at least the 8 steps of the rollout, found 6"):
        evaluate_run(trained, "validation", mode="both", overrides=late)


def test_the_hash_of_a_config_is_that_of_what_scores_depend_on(tmp_path: Path) -> None:
    """Data that moved and other ways to read them change nothing; other data, models and trainings do."""
    path = config(tmp_path)
    usual = config_hash(load_config(path))
    for same in (
        ["data.root=/elsewhere"],
        ["data.in_memory_mb=1", "training.num_workers=3", "training.pin_memory=true", "training.prefetch_factor=5"],
        ["training.log_path=other.jsonl", "training.checkpoint_seconds=5", "run.threads=2", "run.device=cuda"],
    ):
        assert config_hash(load_config(path, same)) == usual, same
    for other in (
        "data.limit=9",
        "latent.tokens=4",
        "training.batch_size=4",
        "stages.operator.epochs=9",
        "data.test=0.2",
    ):
        assert config_hash(load_config(path, [other])) != usual, other
    boundary = ["data.boundary=[periodic]", "data.task=null"]
    here, there, else_ = (load_config(path, [*boundary, f"data.files=[{f}]"]) for f in ("a/u.h5", "b/c/u.h5", "a/v.h5"))
    assert config_hash(here) == config_hash(there) != config_hash(else_)
