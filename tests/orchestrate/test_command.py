"""The command `orchestrate`: what reaches the orchestration, its exit codes, and what broken input is told."""

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

import ups.orchestrate
from tests.orchestrate.waves import waves
from ups.cli.guard import GuardedGroup
from ups.cli.orchestrate import Metric, add_commands
from ups.orchestrate import GateSettings, Options
from ups.orchestrate.gates import METRICS

app = typer.Typer(cls=GuardedGroup)
app.callback()(lambda: None)
add_commands(app)


def ups_(*arguments: Any) -> Result:
    """Runs the command in this process."""
    return CliRunner().invoke(app, ["orchestrate", *map(str, arguments)], prog_name="ups")


@pytest.fixture
def verdict(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """An orchestration that only records its options and gives the verdict that is put in front of them."""
    record: list[Any] = ["passed"]

    def orchestrated(options: Options, say: Any) -> ups.orchestrate.Result:
        record.append(options)
        return ups.orchestrate.Result(Path("runs/a"), {"verdict": record[0]})

    monkeypatch.setattr(ups.orchestrate, "orchestrate", orchestrated)
    return record


def test_the_seed_command_line_needs_nothing_else(verdict: list[Any]) -> None:
    assert ups_("--train-config", "config.yaml", "--train-stage", "all").exit_code == 0
    assert verdict[1] == Options(Path("config.yaml"))


def test_every_flag_reaches_the_orchestration(verdict: list[Any]) -> None:
    flags = "--train-config c.yaml --train-stage operator --small-eval-config s.yaml --full-eval-config f.yaml "
    flags += "--config-override a.b=1 --config-override c=2 --run-id i --run-dir d --skip-validation --skip-dry-run "
    flags += "--skip-training --skip-small-eval --skip-full-eval --force-train --redo-small-eval --redo-full-eval "
    flags += "--gate-ratio 0.9 --min-nrmse-delta 0.1 --min-one-step-delta 0.2 --min-crps-delta -0.3 "
    flags += "--min-spread-skill-delta 0.4 --improvement-metric crps --tag x --tag y --notes n --wandb-mode offline "
    flags += "--wandb-project p"
    assert ups_(*flags.split()).exit_code == 0
    deltas = {"nrmse": 0.1, "nrmse_one_step": 0.2, "crps": -0.3, "spread_skill": 0.4}
    assert verdict[1] == Options(
        Path("c.yaml"),
        train_stage="operator",
        small_eval_config=Path("s.yaml"),
        full_eval_config=Path("f.yaml"),
        overrides=("a.b=1", "c=2"),
        run_id="i",
        run_dir=Path("d"),
        skip_validation=True,
        skip_dry_run=True,
        skip_training=True,
        skip_small_eval=True,
        skip_full_eval=True,
        force_train=True,
        redo_small_eval=True,
        redo_full_eval=True,
        gate=GateSettings("crps", 0.9, deltas),
        tags=("x", "y"),
        notes="n",
        wandb_mode="offline",
        wandb_project="p",
    )


@pytest.mark.parametrize(
    ("found", "strict", "code"),
    [("passed", True, 0), ("not judged", True, 0), ("failed", False, 0), ("failed", True, 3)],
)
def test_a_failed_gate_is_exit_code_3_where_that_is_asked_for(
    verdict: list[Any], found: str, strict: bool, code: int
) -> None:
    verdict[0] = found
    result = ups_("-c", "config.yaml", *(["--strict-exit"] if strict else []))
    assert result.exit_code == code and f"{found}: runs/a/summary.json" in result.output


def test_the_metrics_of_the_command_line_are_those_of_the_gates() -> None:
    assert [metric.value for metric in Metric] == list(METRICS)


def test_help_names_the_exit_code_and_gives_examples() -> None:
    text = ups_("--help").output
    assert "Examples" in text and "code 3" in text


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--train-config", "nowhere.yaml"], "nowhere.yaml: there is no such file"),
        (["--skip-training", "--force-train"], "--skip-training and --force-train contradict each other: leave one of"),
        (["--skip-small-eval", "--redo-small-eval"], "--skip-small-eval and --redo-small-eval contradict each other"),
        (["--skip-full-eval", "--redo-full-eval"], "--skip-full-eval and --redo-full-eval contradict each other"),
        (["--gate-ratio", "0"], "--gate-ratio: expected a number above 0, found 0.0"),
        (["--run-id", "a/b"], "--run-id: expected a name that a folder can have, found 'a/b'"),
        (["--config-override", "stages.operatr.epochs=1"], "stages.operatr: unknown key; did you mean"),
        (["--config-override", "stages"], "expected `section.key=value`, found `stages`"),
        (["--small-eval-config", "nowhere.yaml"], "nowhere.yaml: there is no such file"),
        (["--train-stage", "steady_prior"], "nothing to train for --train-stage steady_prior"),
        (["--config-override", "run.device=cuda:99"], "run.device: cuda:99 is not available here"),
        (["--config-override", "data.files=[nowhere.npz]"], "nowhere.npz"),
    ],
)
def test_broken_input_is_one_sentence_and_exit_code_2(tmp_path: Path, flags: list[str], told: str) -> None:
    result = ups_("--train-config", waves(tmp_path), *flags)
    assert result.exit_code == 2 and told in result.output
    assert result.output.count("error: ") == 1 and result.output.strip().splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize(("name", "told"), [("orchestrate/state.json", "is damaged"), ("../leaderboard.csv", "is not")])
def test_damaged_files_are_one_sentence_and_kept(tmp_path: Path, name: str, told: str) -> None:
    path = waves(tmp_path)
    file = tmp_path / "runs/waves" / name
    (tmp_path / "runs/waves/orchestrate").mkdir(parents=True)
    file.write_text("damaged")
    result = ups_("--train-config", path, "--skip-dry-run")
    assert result.exit_code == 2 and f"error: {file.resolve()} {told}" in result.output.replace("waves/../", "")
    assert file.read_text() == "damaged"
    assert not (tmp_path / "runs/waves/checkpoints").exists()
