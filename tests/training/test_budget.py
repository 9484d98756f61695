"""A stage that fills a time: the arithmetic, and the time that it then takes."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.toy import Memory, stage
from ups.training.budget import EVALUATIONS, Pace, fit_within, planned
from ups.training.fingerprint import fingerprint_of
from ups.training.settings import StageSettings, TrainingSettings
from ups.training.stage import Stage


def test_scores_are_paid_from_the_same_time_as_steps() -> None:
    assert Pace(step=0.1, score=0.0).steps(60) == 600
    assert Pace(step=0.1, score=2.5).steps(60) == 500
    assert Pace(step=1.0, score=9.0).steps(2) == EVALUATIONS


@pytest.mark.parametrize(("steps", "available", "accum"), [(600, 1350, 1), (9000, 1350, 1), (4, 5, 1), (600, 100, 2)])
def test_a_plan_takes_the_steps_that_are_wanted(steps: int, available: int, accum: int) -> None:
    plan = planned(StageSettings(), steps, available, accum)
    assert plan.steps_per_epoch is not None and plan.steps_per_epoch <= available
    assert steps - plan.epochs < plan.epochs * plan.steps_per_epoch // accum <= steps
    assert plan.epochs == EVALUATIONS * plan.validate_every


def test_a_stage_takes_about_the_time_that_it_is_given(tmp_path: Path) -> None:
    log, training = Memory(), TrainingSettings(ema_decay=None)
    built: list[StageSettings] = []

    def build(settings: StageSettings) -> Stage:
        built.append(settings)
        known = fingerprint_of({"stages.operator": settings})
        made = stage(batch=4, samples=4000)
        return replace(made, fingerprint=known, steps_per_epoch=settings.steps_per_epoch or made.steps_per_epoch)

    fit_within(1.0, build, StageSettings(), training, tmp_path, log)
    assert 0.3 < sum(entry["epoch_time_sec"] for entry in log.entries) < 3.0
    fit_within(5.0, build, StageSettings(), training, tmp_path, log)
    assert built[1] == built[3] and len(log.entries) == built[1].epochs
