"""The loop: exact accumulation, exact resume, exact patience."""

import copy
import math
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.toy import Memory, stage
from ups.core.errors import Stopped, UserError
from ups.training import checkpoint
from ups.training.loop import Trainer, fit
from ups.training.optim import OptimizerSettings, SchedulerSettings
from ups.training.settings import StageSettings, TrainingSettings
from ups.training.stage_files import StageFiles
from ups.training.tally import Tally


def settings(epochs: int = 3, **options: Any) -> StageSettings:
    return StageSettings(epochs=epochs, **options)


def weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("name", ["adamw", "muon", "adam", "sgd"])
def test_training_lowers_the_error(tmp_path: Path, name: str) -> None:
    log, made = Memory(), stage()
    before = made.score(made.model)
    rate = {"sgd": 0.1}.get(name, 1e-2)
    model = fit(
        made,
        settings(40, optimizer=OptimizerSettings.model_validate({"name": name, "lr": rate})),
        TrainingSettings(),
        tmp_path,
        log,
    )
    assert made.score(model) < 0.6 * before
    assert [e["epoch"] for e in log.entries] == list(range(1, 41))


@pytest.mark.parametrize("batch,accum", [(8, 2), (4, 4), (7, 3)])
def test_accumulated_micro_batches_equal_one_big_batch(tmp_path: Path, batch: int, accum: int) -> None:
    sgd = settings(2, optimizer=OptimizerSettings(name="sgd", lr=0.1), scheduler=SchedulerSettings(name="constantlr"))
    quiet = {"grad_clip": None, "ema_decay": None}
    samples = batch * accum * 2 + 3  # the last group is smaller
    small = fit(
        stage(batch, samples),
        sgd,
        TrainingSettings.model_validate({"accum_steps": accum, **quiet}),
        tmp_path / "a",
        Memory(),
    )
    large = fit(stage(batch * accum, samples), sgd, TrainingSettings.model_validate(quiet), tmp_path / "b", Memory())
    torch.testing.assert_close(weights(small), weights(large), rtol=1e-5, atol=1e-6)


class Killed(Exception):
    """Stands for a kill: nothing is saved when it strikes."""


@pytest.mark.parametrize("strike", [1, 4, 5, 11, 14])
def test_a_run_killed_at_any_step_ends_with_the_same_bits(
    tmp_path: Path, strike: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = TrainingSettings(checkpoint_seconds=1e-6) if strike % 2 else TrainingSettings()
    chosen = settings(3, optimizer=OptimizerSettings(name="muon", lr=1e-2), scheduler=SchedulerSettings(warmup_steps=3))
    whole, killed = Memory(), Memory()
    expected = fit(stage(noise=0.1), chosen, training, tmp_path / "whole", whole)
    original, count = Trainer.optimizer_step, 0

    def step(self: Trainer, *args: Any) -> None:
        nonlocal count
        count += 1
        if count == strike:
            raise Killed
        original(self, *args)

    monkeypatch.setattr(Trainer, "optimizer_step", step)
    with pytest.raises(Killed):
        fit(stage(noise=0.1), chosen, training, tmp_path / "killed", killed)
    result = fit(stage(noise=0.1), chosen, training, tmp_path / "killed", killed)
    assert torch.equal(weights(result), weights(expected))
    timeless = [[{k: v for k, v in e.items() if k != "epoch_time_sec"} for e in log.entries] for log in (whole, killed)]
    assert timeless[0] == timeless[1]


@pytest.mark.parametrize("accum", [1, 2])
def test_a_run_killed_between_the_last_step_of_an_epoch_and_its_end_goes_on_with_the_next_epoch(
    tmp_path: Path, accum: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = TrainingSettings(checkpoint_seconds=1e-6, accum_steps=accum)
    expected = fit(stage(noise=0.1), settings(3), training, tmp_path / "whole", Memory())

    def strike(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "finish_epoch", strike)
        with pytest.raises(Killed):
            fit(stage(noise=0.1), settings(3), training, tmp_path / "killed", Memory())
    result = fit(stage(noise=0.1), settings(3), training, tmp_path / "killed", Memory())
    assert torch.equal(weights(result), weights(expected))


def test_a_stage_with_a_time_fills_it_and_its_schedule_follows_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps take a second on a clock of their own; the rate of step k is that of k seconds."""
    now, rates, original = 0.0, [], Trainer.optimizer_step

    def step(self: Trainer, *args: Any) -> None:
        nonlocal now
        original(self, *args)
        rates.append(self.tally.rate)
        now += 1.0

    monkeypatch.setattr(Trainer, "optimizer_step", step)
    log = Memory()
    fit(stage(), settings(4, seconds=12.0), TrainingSettings(), tmp_path, log, clock=lambda: now)
    assert [e["steps"] for e in log.entries] == [3, 6, 9, 12]
    peak = OptimizerSettings().lr
    np.testing.assert_allclose(rates, [0.5 * peak * (1 + math.cos(math.pi * k / 12)) for k in range(12)], rtol=1e-6)
    assert checkpoint.load(tmp_path / "operator.pt")["train_seconds"] == 12.0


def test_a_signal_saves_and_the_same_command_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = fit(stage(noise=0.1), settings(), TrainingSettings(), tmp_path / "whole", Memory())
    original = Trainer.optimizer_step

    def step(self: Trainer, *args: Any) -> None:
        original(self, *args)
        if self.tally.step == 7:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "optimizer_step", step)
        with pytest.raises(Stopped, match="run the same command again") as stopped:
            fit(stage(noise=0.1), settings(), TrainingSettings(), tmp_path / "stopped", Memory())
    assert stopped.value.signum == signal.SIGTERM
    assert checkpoint.load(tmp_path / "stopped" / "operator_resume.pt")["tally"]["step"] == 7
    result = fit(stage(noise=0.1), settings(), TrainingSettings(), tmp_path / "stopped", Memory())
    assert torch.equal(weights(result), weights(expected))


def test_a_finished_stage_trains_no_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fit(stage(), settings(), TrainingSettings(), tmp_path, Memory())
    monkeypatch.setattr(Trainer, "optimizer_step", lambda *_: pytest.fail("a finished stage trained again"))
    again = fit(stage(), settings(), TrainingSettings(), tmp_path, Memory())
    assert torch.equal(weights(first), weights(again))


@pytest.mark.parametrize("file", ["operator.pt", "operator_ema.pt"])
def test_a_kill_after_the_last_save_leaves_the_right_training_time_to_the_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    def strike(*_: Any) -> None:
        raise Killed

    scores = [1.0, *range(2, 21)]  # the weights are those of the first epoch, the time is that of all
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(StageFiles, "finish", strike)
        fit(stage(scores=scores), settings(20), TrainingSettings(), tmp_path, Memory())
    seconds = checkpoint.load(tmp_path / "operator_resume.pt")["tally"]["seconds"]
    early = checkpoint.load(tmp_path / file)
    assert early["train_seconds"] < seconds and "finished" not in early
    fit(stage(), settings(20), TrainingSettings(), tmp_path, Memory())
    late = checkpoint.load(tmp_path / file)
    assert late["train_seconds"] == seconds and late["finished"] is True


@pytest.mark.parametrize("seconds", [None, 1.0])
def test_the_first_step_of_every_epoch_is_told_its_whole_number(tmp_path: Path, seconds: float | None) -> None:
    for epochs, samples in ((49, 49), (93, 8)):  # the share of the steps, times the epochs, falls short of some of them
        chosen = settings(epochs, seconds=seconds)
        trainer = Trainer(stage(8, samples), chosen, TrainingSettings(), tmp_path, Memory(), 0, torch.device("cpu"))
        for epoch in range(epochs):
            trainer.tally = Tally(step=epoch * trainer.epoch_steps, epoch=epoch, seconds=epoch / epochs)
            assert int(trainer.progress.epoch) == epoch


def test_patience_counts_evaluations_without_improvement_exactly(tmp_path: Path) -> None:
    log = Memory()
    fit(stage(scores=[5, 4, 4.5, 4.2, 4.1, 3]), settings(20, patience=2), TrainingSettings(), tmp_path, log)
    assert [e["epochs_since_improve"] for e in log.entries] == [0, 0, 1, 2, 3]
    assert log.entries[-1]["best_score"] == 4


def test_the_best_epoch_is_kept_and_not_the_last(tmp_path: Path) -> None:
    seen = []
    made = stage()
    scores = iter([3.0, 1.0, 2.0])
    watched = copy.copy(made)
    object.__setattr__(watched, "score", lambda model: (seen.append(weights(model).clone()), next(scores))[1])
    best = fit(watched, settings(3), TrainingSettings(), tmp_path, Memory())
    assert torch.equal(weights(best), seen[1])
    assert checkpoint.load(tmp_path / "operator.pt")["epoch"] == 2


def test_target_loss_ends_the_stage(tmp_path: Path) -> None:
    log = Memory()
    fit(stage(), settings(50, target_loss=1e6), TrainingSettings(), tmp_path, log)
    assert len(log.entries) == 1


def test_checkpoint_intervals_keep_the_weights_of_their_epochs(tmp_path: Path) -> None:
    fit(stage(), settings(5, checkpoint_interval=2), TrainingSettings(), tmp_path, Memory())
    assert sorted(p.name for p in tmp_path.glob("*epoch*")) == [
        f"operator{e}_epoch_{n}.pt".replace("_ema_epoch_", "_epoch_") if not e else f"operator_epoch_{n}_ema.pt"
        for n in (2, 4)
        for e in ("", "_ema")
    ]


def test_a_loss_that_explodes_is_one_sentence_and_keeps_the_last_good_state(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"stopped being finite in epoch .*lower stages.operator.optimizer.lr"):
        fit(
            stage(),
            settings(50, optimizer=OptimizerSettings(name="sgd", lr=100.0)),
            TrainingSettings(grad_clip=None),
            tmp_path,
            Memory(),
        )
    saved = checkpoint.load(tmp_path / "operator_resume.pt")
    assert all(torch.isfinite(v).all() for v in saved["state"].values())


def test_a_checkpoint_of_another_config_is_refused_by_name(tmp_path: Path) -> None:
    fit(stage(), settings(), TrainingSettings(), tmp_path, Memory())
    other = copy.copy(stage())
    object.__setattr__(other, "fingerprint", {"toy": 2})
    with pytest.raises(UserError, match="another config: toy was 1 and is now 2"):
        fit(other, settings(), TrainingSettings(), tmp_path, Memory())


def test_a_compiled_model_has_clean_keys_and_prefixes_of_older_files_are_stripped(tmp_path: Path) -> None:
    made = stage()
    state = {f"_orig_mod.{k}": v for k, v in made.model.state_dict().items()}
    checkpoint.load_state(made.model, state, tmp_path / "old.pt")
    made.model.compile()
    assert not any("_orig_mod" in k for k in made.model.state_dict())


def test_the_averaged_model_is_what_is_judged(tmp_path: Path) -> None:
    judged = []
    made = stage()
    watched = copy.copy(made)
    object.__setattr__(watched, "score", lambda model: (judged.append(weights(model).clone()), 1.0)[1])
    fit(watched, settings(1), TrainingSettings(ema_decay=0.9), tmp_path, Memory())
    state = checkpoint.load(tmp_path / "operator_ema.pt")["state"]
    assert torch.equal(judged[0], torch.cat([v.flatten() for v in state.values()]))


def test_bf16_where_it_is_asked_for_still_learns(tmp_path: Path) -> None:
    made = stage()
    before = made.score(made.model)
    model = fit(
        made, settings(20, optimizer=OptimizerSettings(lr=1e-2)), TrainingSettings(amp="bf16"), tmp_path, Memory()
    )
    assert made.score(model) < 0.7 * before
