"""What `--mode` scores: rows without test-time conditioning, the comparison with it, or both."""

from pathlib import Path

import pytest

from tests.small import config
from ups.config import load_config
from ups.core.errors import UserError
from ups.pipeline import train
from ups.scoring import evaluate_run

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
    plain = evaluate_run(trained, "validation")
    assert "ttc" not in plain and "ttc" not in {row["model"] for row in plain["rows"]}
    added = evaluate_run(trained, "validation", mode="ttc")
    assert {k: v for k, v in added.items() if k != "ttc"} == plain
    both = evaluate_run(trained, "validation", mode="both")
    row = next(row for row in both["rows"] if row["model"] == "ttc")
    mine = next(row for row in both["ttc"]["rows"] if row["strategy"] == both["ttc"]["strategy"])
    assert row["rollout"]["nrmse"] == pytest.approx(mine["nrmse"]) and row["nfe_per_step"] == mine["evaluations"]
    assert [row["nrmse"] for row in added["ttc"]["rows"]] == [row["nrmse"] for row in both["ttc"]["rows"]]
    assert 'id="ttc"' in (trained / "validation" / "report.html").read_text()


def test_changed_settings_are_no_addition_and_the_config_decides_unless_told(trained: Path) -> None:
    evaluate_run(trained, "validation")
    with pytest.raises(UserError, match="is of other data or settings"):
        evaluate_run(trained, "validation", mode="ttc", overrides=["evaluation.members=3"])
    assert evaluate_run(trained, "validation", overrides=["ttc.enabled=true"])["ttc"]["rows"]


def test_pictures_of_earlier_scores_are_not_taken_for_new_ones(tmp_path: Path) -> None:
    run = train(load_config(config(tmp_path)))
    drawn = evaluate_run(run, overrides=["evaluation.pictures=true"])["pictures"]
    assert {"report/ledger.png", "report/training.png"} < set(drawn) and all((run / name).exists() for name in drawn)
    assert evaluate_run(run)["pictures"] == ["report/training.png"]
    assert (run / "report/ledger.png").exists()


def test_a_run_without_a_sampler_says_what_is_missing(tmp_path: Path) -> None:
    run = train(load_config(config(tmp_path)))
    with pytest.raises(UserError, match="test-time conditioning needs a sampler for its candidates"):
        evaluate_run(run, "validation", mode="both")
