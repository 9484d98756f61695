"""`ups log` and `ups compare` at the command line."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ups.cli import reports
from ups.cli.guard import GuardedGroup
from ups.cli.reports import BLOCKS, sparkline

APP = typer.Typer(cls=GuardedGroup, rich_markup_mode="rich", pretty_exceptions_enable=False)
reports.add_commands(APP)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with two stages in its log, the second of which explodes."""
    (tmp_path / "config.yaml").write_text("data:\n  task: burgers1d\ntraining:\n  grad_clip: null\n")
    (tmp_path / "reports").mkdir()
    entries = [
        {"stage": stage, "epoch": i, "global_step": i, "loss": 1 / i, "score": 0.5 / i, "grad_norm": norm}
        for stage, norm in (("autoencoder", 0.2), ("operator", 50.0))
        for i in range(1, 6)
    ]
    (tmp_path / "reports" / "training_log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return tmp_path


def call(*args: object):
    return CliRunner().invoke(APP, [str(arg) for arg in args], env={"COLUMNS": "80"})


def test_log_shows_every_stage_and_its_health_in_80_columns(run):
    result = call("log", run)
    assert result.exit_code == 0 and "…" not in result.output
    assert max(len(line) for line in result.output.splitlines()) <= 80
    lines = result.output.splitlines()
    assert any(line.startswith("fine") and "autoencoder" in line for line in lines)
    assert any(line.startswith("problem") and "operator" in line for line in lines)
    assert "lowest 0.1 at 5" in result.output and "█▅▃▂▁" in result.output


@pytest.mark.parametrize(
    ("missing", "says"), [("config.yaml", "not a run folder"), ("reports", "nothing has been trained")]
)
def test_log_of_what_is_no_run_is_one_sentence(run, missing, says):
    path = run / missing
    path.rename(run / "gone")
    result = call("log", run)
    assert result.exit_code == 2 and says in result.stderr and result.stderr.count("\n") == 1


def test_lines_of_a_log_that_are_no_epochs_are_skipped_and_counted(run):
    path, before = run / "reports" / "training_log.jsonl", call("log", run).output
    odd = {"stage": "[/x] $a$", "epoch": 1, "global_step": 11, "loss": 1.0}
    lines = [b"17", b"\xff latin-1 \xe9", b'{"stage": ["a"], "epoch": 1, "global_step": 1}', json.dumps(odd).encode()]
    path.write_bytes(path.read_bytes() + b'{"stage": "operator", "epo\n' + b"\n".join(lines) + b"\n")
    result = call("log", run)
    assert result.exit_code == 0 and "4 lines of the training log skipped" in result.output
    assert "[/x] $a$" in result.output and "skipped" not in before


def test_compare_of_a_folder_without_scores_is_one_sentence(run, tmp_path):
    result = call("compare", run, run, "-o", tmp_path / "out.png")
    assert result.exit_code == 2 and "has no metrics.json" in result.stderr and result.stderr.count("\n") == 1


def test_a_sparkline_rises_with_its_values_on_a_logarithmic_axis():
    assert sparkline([10.0**i for i in range(8)]) == BLOCKS
    assert sparkline([1.0, 1.0, 1.0]) == BLOCKS[3] * 3
    assert sparkline([-1.0, 0.0, 1.0]) == BLOCKS[0] + BLOCKS[4] + BLOCKS[7]


def test_a_long_curve_is_averaged_in_even_parts():
    assert sparkline([1.0] * 500 + [100.0] * 500, width=4) == BLOCKS[0] * 2 + BLOCKS[7] * 2
    assert len(sparkline(list(range(1, 1000)))) == reports.WIDTH
