"""The estimate: it measures what it says, on a clock that a test turns, and it leaves nothing behind."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.orchestrate.waves import run, waves
from ups.config import Config
from ups.data.dataset import open_dataset
from ups.orchestrate import estimate as estimating
from ups.orchestrate import peaks
from ups.orchestrate.estimate import Estimate, estimate
from ups.orchestrate.plan import Options, resolve
from ups.training import checkpoint
from ups.training.loop import Trainer


def estimated(path: Path, **flags: Any) -> Estimate:
    plan = resolve(Options(path, **flags))
    data = open_dataset(plan.config.data)
    return estimate(plan, lambda: data, path.parent / "scratch")


def test_a_stage_is_its_steps_and_its_scores_at_the_pace_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps take 2 s and a score takes 5 s on a clock of their own; the first step of a stage takes 7 s more."""
    now, step, score = 0.0, Trainer.optimizer_step, Trainer.evaluate

    def slow_step(trainer: Trainer, *given: Any) -> None:
        nonlocal now
        now += 9.0 if trainer.tally.step == 0 else 2.0
        step(trainer, *given)

    def slow_score(trainer: Trainer) -> float:
        nonlocal now
        now += 5.0
        return score(trainer)

    monkeypatch.setattr(time, "perf_counter", lambda: now)
    monkeypatch.setattr(Trainer, "optimizer_step", slow_step)
    monkeypatch.setattr(Trainer, "evaluate", slow_score)
    overrides = ("stages.operator.epochs=5", "stages.operator.validate_every=2")
    operator = estimated(waves(tmp_path), overrides=overrides).stages["operator"]
    assert operator.step_seconds == 2.0
    assert operator.seconds == pytest.approx(7.0 + 2.0 * operator.steps + 5.0 * 3)


def test_a_stage_with_a_time_takes_this_time(tmp_path: Path) -> None:
    found = estimated(waves(tmp_path), overrides=("stages.operator.seconds=1000",))
    assert 1000 <= found.stages["operator"].seconds < 1030


def test_an_evaluation_is_estimated_from_what_grows_and_what_does_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now, path = 0.0, waves(tmp_path)

    def evaluate_run(folder: Path, split: str, config: Config, data: Any, tracker: object) -> None:
        nonlocal now
        settings = config.evaluation
        assert settings.baselines == ()
        now += 0.5 * min(data.test.n, settings.trajectories or data.test.n) + (10.0 if settings.pictures else 0.0)

    monkeypatch.setattr(time, "perf_counter", lambda: now)
    monkeypatch.setattr(estimating, "evaluate_run", evaluate_run)
    overrides = ("evaluation.pictures=true", "evaluation.baselines=[unet]")
    data = open_dataset(resolve(Options(path)).config.data)
    assert estimated(path, overrides=overrides).evaluations["test"].seconds == pytest.approx(0.5 * data.test.n + 10.0)


def test_stages_are_timed_though_those_that_they_build_on_take_several_epochs(tmp_path: Path) -> None:
    found = estimated(waves(tmp_path), overrides=("stages.autoencoder.epochs=3",))
    assert list(found.stages) == ["autoencoder", "operator"]


def test_every_stage_and_both_evaluations_are_estimated_and_nothing_is_left(tmp_path: Path) -> None:
    found = estimated(waves(tmp_path))
    per_epoch = found.stages["operator"].steps // 3
    assert list(found.stages) == ["autoencoder", "operator"] and found.stages["autoencoder"].steps == per_epoch
    assert list(found.evaluations) == ["validation", "test"]
    parts = [*found.stages.values(), *found.evaluations.values()]
    assert all(part.seconds > 0 and part.host_bytes > 2**26 for part in parts)
    assert not (tmp_path / "scratch").exists() and not (tmp_path / "runs").exists()
    assert found.host_bytes == max(part.host_bytes for part in parts)


def test_the_steps_that_are_estimated_are_those_that_the_run_then_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = ("training.accum_steps=4", "stages.operator.epochs=5")
    path, done, original = waves(tmp_path), Counter[str](), Trainer.optimizer_step
    found = estimated(path, overrides=overrides)

    def counted(trainer: Trainer, *given: Any) -> None:
        done[trainer.stage.name] += 1
        original(trainer, *given)

    monkeypatch.setattr(Trainer, "optimizer_step", counted)
    run(path, overrides=overrides)
    assert {name: stage.steps for name, stage in found.stages.items()} == done
    assert done["operator"] == 10


def test_a_baseline_takes_as_long_as_what_the_operator_uses(tmp_path: Path) -> None:
    found = estimated(waves(tmp_path), overrides=("evaluation.baselines=[unet]",))
    assert found.baseline_seconds == pytest.approx(found.training_seconds)
    evaluations = sum(part.seconds for part in found.evaluations.values())
    assert found.seconds == pytest.approx(2 * found.training_seconds + found.data_seconds + evaluations)


def test_only_what_will_be_done_is_estimated(tmp_path: Path) -> None:
    path = waves(tmp_path)
    for flags, stages, evaluations in (
        ({"train_stage": "operator", "skip_full_eval": True}, ["operator"], ["validation"]),
        ({"skip_training": True, "skip_small_eval": True}, [], ["test"]),
        ({"train_stage": "autoencoder"}, ["autoencoder"], []),
    ):
        found = estimated(path, **flags)
        assert (list(found.stages), list(found.evaluations)) == (stages, evaluations)


def test_a_dry_run_changes_no_bit_of_the_run(tmp_path: Path) -> None:
    path = waves(tmp_path)
    with_one, without = (run(path, skip_dry_run=skip, run_id=str(skip)).folder for skip in (False, True))
    for name in ("autoencoder.pt", "operator.pt", "operator_ema.pt"):
        one, two = (checkpoint.load(folder / "checkpoints" / name)["state"] for folder in (with_one, without))
        assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


def test_the_peak_is_that_since_the_reset() -> None:
    peaks.reset_peak()
    before = peaks.host_peak()
    held = torch.ones(2**26)
    assert peaks.host_peak() >= before + 0.9 * 2**28
    del held
    if peaks.CLEAR.exists():
        peaks.reset_peak()
        assert peaks.host_peak() < before + 2**27
