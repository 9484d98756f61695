"""The dry run: it measures what it says, on a clock that a test turns, and it leaves nothing behind."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from tests.orchestrate.waves import run, waves
from ups.config import Config
from ups.data.dataset import open_dataset
from ups.orchestrate import evaluation_timing, measure, stage_timing
from ups.orchestrate.dry_run import estimate
from ups.orchestrate.evaluation_timing import Shortened, evaluation_time, short_run
from ups.orchestrate.plan import Options, resolve
from ups.training import checkpoint, timing
from ups.training.loop import Trainer
from ups.training.tally import Tally
from ups.training.timing import step_seconds, steps_from


class Hands:
    """A clock that moves only when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    """The clock of all measurements."""
    hands = Hands()
    for module in (measure, stage_timing, evaluation_timing, timing):
        monkeypatch.setattr(module, "clock", hands)
    return hands


class Pretended:
    """As much of a trainer as steps are timed with; a step takes 1 s in the first half of the stage and 3 s after."""

    def __init__(self, hands: Hands, epochs: int):
        self.hands, self.epoch_steps, self.accum, self.settings = hands, 10, 2, SimpleNamespace(epochs=epochs)
        self.stage = SimpleNamespace(steps_per_epoch=19, batches=lambda step: iter(range(step, step + 1000)))
        self.model, self.tally = torch.nn.Identity(), Tally()
        self.groups: list[list[int]] = []
        self.first = True

    def optimizer_step(self, group: list[int], sums: dict[str, Any]) -> None:
        self.groups.append(group)
        self.hands.now += 3.0 if self.tally.step >= self.epoch_steps * self.settings.epochs / 2 else 1.0
        self.hands.now += 7.0 if self.first else 0.0
        self.first = False
        self.tally.step += 1


def test_steps_are_timed_all_over_a_stage_and_first_steps_apart(hands: Hands) -> None:
    trainer = Pretended(hands, epochs=100)
    assert step_seconds(cast(Trainer, trainer)) == (7.0, 2.0)


def test_timed_steps_see_the_batches_that_training_will_give_them(hands: Hands) -> None:
    trainer = Pretended(hands, epochs=1)
    steps_from(cast(Trainer, trainer), 8, 3)
    assert trainer.groups[:2] == [[16, 17], [18]]


def test_a_stage_of_a_single_step_can_be_timed(hands: Hands) -> None:
    trainer = Pretended(hands, epochs=1)
    trainer.epoch_steps, trainer.stage.steps_per_epoch = 1, 1
    assert step_seconds(cast(Trainer, trainer))[1] == 3.0


def test_an_evaluation_is_estimated_from_what_grows_and_what_does_not(
    hands: Hands, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plan = resolve(Options(waves(tmp_path), overrides=("evaluation.pictures=true", "evaluation.batch=2")))
    data = open_dataset(plan.config.data)
    compiled: set[int] = set()

    def evaluate_run(folder: Path, split: str, config: Config, data: Any, tracker: object) -> None:
        part = data.test
        hands.now += 0.5 * part.n * part.frames + (10.0 if config.evaluation.pictures else 0.0)
        hands.now += 0.0 if part.frames in compiled else 20.0
        compiled.add(part.frames)

    monkeypatch.setattr(evaluation_timing, "evaluate_run", evaluate_run)
    found = evaluation_time(tmp_path, "test", plan.full, data)
    assert found.seconds == pytest.approx(0.5 * data.test.n * data.test.frames + 30.0)
    assert data.test.n > 2 and data.test.frames not in compiled


def test_a_short_run_spends_its_share_of_a_budget(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plan = resolve(Options(waves(tmp_path)))
    data, seen = open_dataset(plan.config.data), []
    monkeypatch.setattr(evaluation_timing, "evaluate_run", lambda *given: seen.append(given[2].ttc.max_evaluations))
    whole = data.test.frames - 1
    for budget, frames in ((10 * whole, 3), (whole, 4), (None, 3)):
        ttc = plan.full.ttc.model_copy(update={"max_evaluations": budget})
        short_run(tmp_path, "test", plan.full.model_copy(update={"ttc": ttc}), data, 1, frames)
    assert seen == [10 * 2, 3, None]


def test_a_shortened_split_is_the_beginning_of_it(tmp_path: Path) -> None:
    split = open_dataset(resolve(Options(waves(tmp_path))).config.data).test
    short = Shortened(split, 2, 4)
    assert torch.equal(short.trajectories(0, 2), split.trajectories(0, 2)[:, :4])
    assert short.params.shape[0] == 2 and short.times.tolist() == split.times[:4].tolist() and short.hash == split.hash


def test_stages_are_timed_though_those_that_they_build_on_take_several_epochs(tmp_path: Path) -> None:
    plan = resolve(Options(waves(tmp_path), overrides=("stages.autoencoder.epochs=3",)))
    found = estimate(plan, lambda: open_dataset(plan.config.data), tmp_path / "scratch")
    assert list(found.stages) == ["autoencoder", "operator"]


def test_every_stage_and_both_evaluations_are_estimated_and_nothing_is_left(tmp_path: Path) -> None:
    plan = resolve(Options(waves(tmp_path)))
    data = open_dataset(plan.config.data)
    found = estimate(plan, lambda: data, tmp_path / "scratch")
    per_epoch = found.stages["operator"].steps // 3
    assert list(found.stages) == ["autoencoder", "operator"] and found.stages["autoencoder"].steps == per_epoch
    assert list(found.evaluations) == ["validation", "test"]
    parts = [*found.stages.values(), *found.evaluations.values()]
    assert all(part.seconds > 0 and part.host_bytes > 2**26 for part in parts)
    assert not (tmp_path / "scratch").exists() and not plan.folder.exists()


def test_what_is_estimated_is_what_the_run_then_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = ("training.accum_steps=4", "stages.operator.epochs=5", "stages.operator.validate_every=2")
    overrides += ("stages.operator.checkpoint_interval=2", "evaluation.trajectories=2")
    path, done = waves(tmp_path), Counter[tuple[str, str]]()
    plan = resolve(Options(path, overrides=overrides))
    data = open_dataset(plan.config.data)
    found = estimate(plan, lambda: data, tmp_path / "scratch")

    def counts(method: str, what: str) -> None:
        work = getattr(Trainer, method)

        def counted(trainer: Trainer, *given: Any) -> Any:
            done[trainer.stage.name, what] += what != "copies" or "_epoch_" in given[0]
            return work(trainer, *given)

        monkeypatch.setattr(Trainer, method, counted)

    for method, what in {"optimizer_step": "steps", "finish_epoch": "epochs", "evaluate": "scores"}.items():
        counts(method, what)
    counts("save_weights", "copies")
    folder = run(path, overrides=overrides).folder
    for name, stage in found.stages.items():
        for what in ("steps", "epochs", "scores", "copies"):
            assert getattr(stage, what) == done[name, what], (name, what)
    assert [done["operator", what] for what in ("steps", "epochs", "scores", "copies")] == [10, 5, 3, 2]
    for target, part in ((folder / "validation", "validation"), (folder, "test")):
        protocol = json.loads((target / "metrics.json").read_text())["protocol"]
        expected = found.evaluations[part]
        assert (expected.trajectories, expected.frames) == (protocol["trajectories"], protocol["frames"])
        assert expected.trajectories == 2


def test_an_estimate_is_the_sum_of_its_parts(tmp_path: Path) -> None:
    plan = resolve(Options(waves(tmp_path)))
    data = open_dataset(plan.config.data)
    found = estimate(plan, lambda: data, tmp_path / "scratch")
    for stage in found.stages.values():
        parts = stage.once_seconds + stage.steps * stage.step_seconds + stage.epoch_seconds
        assert stage.seconds == pytest.approx(parts)
    assert found.training_seconds == pytest.approx(sum(stage.seconds for stage in found.stages.values()))
    evaluations = sum(part.seconds for part in found.evaluations.values())
    assert found.seconds == pytest.approx(found.data_seconds + found.training_seconds + evaluations)
    assert found.host_bytes == max(part.host_bytes for part in (*found.stages.values(), *found.evaluations.values()))


def test_a_baseline_takes_as_long_as_what_the_operator_uses(tmp_path: Path) -> None:
    plan = resolve(Options(waves(tmp_path), overrides=("evaluation.baselines=[unet]",)))
    data = open_dataset(plan.config.data)
    found = estimate(plan, lambda: data, tmp_path / "scratch")
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
        plan = resolve(replace(Options(path), **cast(Any, flags)))
        data = open_dataset(plan.config.data)
        found = estimate(plan, lambda data=data: data, tmp_path / "scratch")
        assert (list(found.stages), list(found.evaluations)) == (stages, evaluations)


def test_a_dry_run_changes_no_bit_of_the_run(tmp_path: Path) -> None:
    path = waves(tmp_path)
    with_one, without = (run(path, skip_dry_run=skip, run_id=str(skip)).folder for skip in (False, True))
    for name in ("autoencoder.pt", "operator.pt", "operator_ema.pt"):
        one, two = (checkpoint.load(folder / "checkpoints" / name)["state"] for folder in (with_one, without))
        assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


def test_the_peak_is_that_since_the_reset() -> None:
    measure.reset_peak()
    before = measure.host_peak()
    held = torch.ones(2**26)
    assert measure.host_peak() >= before + 0.9 * 2**28
    del held
    if measure.CLEAR.exists():
        measure.reset_peak()
        assert measure.host_peak() < before + 2**27
