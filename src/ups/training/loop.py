"""The one training loop of all stages.

Everything random and everything scheduled is a function of the step, and the resume state holds the rest, so a run
that was killed at any moment and started again ends with the same bits as one that was not. Only the schedules of a
stage with a time to fill (`seconds`) follow the clock instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ups.core.errors import DivergenceError, Stopped, UserError
from ups.training import checkpoint
from ups.training.budget import Budget, Clock, Seconds, Steps, epoch_ended, wall_clock
from ups.training.clipping import clip_gradients
from ups.training.compilation import compile_if_possible, compiler_errors
from ups.training.ema import Average
from ups.training.optim import build_optimizers, learning_rate
from ups.training.precision import Precision
from ups.training.progress import ProgressBar
from ups.training.settings import StageSettings, TrainingSettings
from ups.training.signals import StopRequest
from ups.training.stage import Log, Progress, Stage
from ups.training.stage_files import StageFiles
from ups.training.tally import Tally


class Trainer:
    """One stage in training: the state that changes, and the steps that change it."""

    def __init__(
        self,
        stage: Stage,
        settings: StageSettings,
        training: TrainingSettings,
        folder: Path,
        log: Log,
        seed: int,
        device: torch.device,
        clock: Clock = wall_clock,
    ):
        self.stage, self.settings, self.training, self.log = stage, settings, training, log
        self.clock = clock
        self.files, self.seed, self.device = StageFiles(stage, folder), seed, device
        self.model = stage.model.to(device)
        self.average = Average(self.model, training.ema_decay) if training.ema_decay else None
        self.optimizers = build_optimizers(self.model, settings.optimizer)
        self.precision = Precision(training.amp, device)
        self.tally = Tally()
        self.accum = training.accum_steps
        self.epoch_steps = math.ceil(stage.steps_per_epoch / self.accum)
        timed, epochs = settings.seconds, settings.epochs
        self.budget: Budget = Seconds(epochs, timed) if timed else Steps(epochs, self.epoch_steps)
        self.stop = StopRequest()

    # -- state ---------------------------------------------------------------------------------------------------------
    def restore(self) -> None:
        """Goes on from the resume state if there is one."""
        saved = self.files.read_resume()
        if saved is not None:
            checkpoint.load_state(self.model, saved.state, self.files.resume)
            if self.average:
                checkpoint.load_state(self.average.module, saved.average or {}, self.files.resume)
            try:
                for optimizer, state in zip(self.optimizers, saved.optimizers, strict=True):
                    optimizer.load_state_dict(state)
                self.precision.scaler.load_state_dict(saved.scaler)
            except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
                problem = f"{self.files.resume} holds no state of these optimizers ({error!r})"
                raise UserError(f"{problem}; {self.files.afresh}") from error
            self.tally = saved.tally
        else:
            self.save_resume()
        self.log.rewind(self.stage.name, self.tally.epoch)

    def save_resume(self) -> None:
        """Everything that is needed to go on."""
        state = {
            "state": self.model.state_dict(),
            "average": self.average.module.state_dict() if self.average else None,
            "optimizers": [o.state_dict() for o in self.optimizers],
            "scaler": self.precision.scaler.state_dict(),
        }
        self.files.save_resume(self.tally, state)

    def save_weights(self, name: str) -> None:
        """The weights, and their average beside them, as users load them."""
        self.files.save_weights(name, self.tally, self.model, self.average.module if self.average else None)

    # -- steps ---------------------------------------------------------------------------------------------------------
    @property
    def progress(self) -> Progress:
        """Where training stands before the next step."""
        used = self.budget.used(self.tally)
        return Progress(self.tally.step, self.budget.epoch(self.tally), used / self.budget.total)

    @property
    def next_batch(self) -> int:
        """The micro-batch to go on from."""
        passes, within = divmod(self.tally.step, self.epoch_steps)
        return passes * self.stage.steps_per_epoch + within * self.accum

    def set_rate(self) -> float:
        """Sets and returns this step's learning rate."""
        s, t = self.settings, self.tally
        rate = learning_rate(s.scheduler, s.optimizer.lr, t.step, self.progress.epoch, s.epochs, t.reductions)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        return rate

    def next_step(self, batches: Iterator[Any], sums: dict[str, Tensor]) -> None:
        """One optimizer step on the next micro-batches of the epoch."""
        micro = (self.tally.step % self.epoch_steps) * self.accum
        self.optimizer_step(list(islice(batches, min(self.accum, self.stage.steps_per_epoch - micro))), sums)

    def optimizer_step(self, group: list[Any], sums: dict[str, Tensor]) -> None:
        """Accumulates the gradients of a group of micro-batches, weighted by their sizes, and steps."""
        self.accumulate(group, sums, self.tally.counts)
        for optimizer in self.optimizers:
            self.precision.scaler.unscale_(optimizer)
        norm = clip_gradients(self.model.parameters(), self.training.grad_clip or math.inf)
        for optimizer in self.optimizers:
            self.precision.scaler.step(optimizer)
            optimizer.zero_grad(set_to_none=True)
        self.precision.scaler.update()
        if self.average:
            self.average.update(self.model, self.tally.step)
        if self.precision.scaler.is_enabled():  # a step with an overflow was skipped
            norm = norm.nan_to_num(0.0, 0.0, 0.0)
        sums["grad_norm"] = sums.get("grad_norm", 0) + norm.detach().double()
        self.tally.counts["grad_norm"] = self.tally.counts.get("grad_norm", 0.0) + 1
        self.tally.step += 1

    def accumulate(self, group: list[Any], sums: dict[str, Tensor], counts: dict[str, float]) -> None:
        """Adds the gradients of a step's micro-batches, and their losses to `sums`, their samples to `counts`."""
        torch.manual_seed((self.seed * 1_000_003 + self.tally.step) % 2**63)
        self.tally.rate = self.set_rate()
        progress, total = self.progress, sum(b.size for b in group)
        for batch in group:
            with self.precision.autocast():
                pieces = list(self.stage.chunks(batch.to(self.device), progress))
            for chunk, share in pieces:
                weight = share * batch.size / total
                with self.precision.autocast():
                    losses = self.stage.loss(self.model, chunk, progress)
                self.precision.scaler.scale(losses["loss"] * weight).backward()
                for name, value in losses.items():
                    sums[name] = sums.get(name, 0) + value.detach().double() * weight * total
                    counts[name] = counts.get(name, 0.0) + weight * total

    def run_epoch(self, batches: Iterator[Any], bar: ProgressBar) -> None:
        """The rest of the current epoch, then its evaluation, log line and checkpoints."""
        t = self.tally
        self.model.train()
        sums = {k: torch.tensor(v, dtype=torch.double, device=self.device) for k, v in t.sums.items()}
        began, saved = self.clock() - t.epoch_seconds, t.epoch_seconds
        while not epoch_ended(self.budget, self.settings.epochs, t):
            self.next_step(batches, sums)
            t.epoch_seconds = self.clock() - began
            bar.reach(self.budget.used(t))
            if self.stop or t.epoch_seconds - saved > self.training.checkpoint_seconds:
                t.sums = {k: float(v) for k, v in sums.items()}
                self.require_finite(t.sums)
                self.save_resume()
                saved = t.epoch_seconds
            if self.stop:
                raise Stopped(
                    f"stopped in stage {self.stage.name} after {t.step} steps; run the same command again to go on",
                    self.stop.signum,
                )
        reached = {k: float(v) for k, v in sums.items()}  # waits for a GPU
        t.epoch_seconds = self.clock() - began
        self.finish_epoch(reached, bar)

    def require_finite(self, sums: dict[str, float]) -> None:
        """A loss that is not finite ends the stage; the last good resume state stays."""
        if not all(math.isfinite(v) for v in sums.values()):
            bad = ", ".join(k for k, v in sums.items() if not math.isfinite(v))
            raise DivergenceError(
                f"stage {self.stage.name}: {bad} stopped being finite in epoch {self.tally.epoch + 1}; "
                f"lower stages.{self.stage.name}.optimizer.lr or set training.grad_clip "
                f"(the last good state is {self.files.resume})"
            )

    def finish_epoch(self, sums: dict[str, float], bar: ProgressBar) -> None:
        """Scores, logs, and saves what an epoch has reached."""
        t, settings, seconds = self.tally, self.settings, self.tally.epoch_seconds
        self.require_finite(sums)
        means = {k: v / t.counts[k] for k, v in sums.items()}
        norm = means.pop("grad_norm")
        t.epoch, t.seconds, t.epoch_seconds, t.sums, t.counts = t.epoch + 1, t.seconds + seconds, 0.0, {}, {}
        t.best_loss = min(t.best_loss, means["loss"])
        last = t.epoch >= settings.epochs
        began = self.clock()
        score = self.evaluate() if t.epoch % settings.validate_every == 0 or last else None
        t.seconds += self.clock() - began
        if score is not None and t.improves(score, settings.scheduler.patience):
            self.save_weights(self.stage.stem)
        interval = self.training.copy_interval(settings)
        if interval and t.epoch % interval == 0:
            self.save_weights(f"{self.stage.stem}_epoch_{t.epoch}")
        patient = settings.patience is None or t.since_improve <= settings.patience
        t.done = last or not patient or means["loss"] <= settings.target_loss
        if t.done and not math.isfinite(t.best_score):
            raise DivergenceError(
                f"stage {self.stage.name} never had a finite score on the validation split: its forecasts diverge, "
                "or a field that it is compared with is zero; lower the learning rate or train for longer"
            )
        entry = {
            "stage": self.stage.name,
            "epoch": t.epoch,
            **means,
            "lr": t.rate,
            "grad_norm": norm,
            "score": score,
            **t.standing(),
            "epoch_time_sec": round(seconds, 4),
        }
        self.log.write(entry)
        self.save_resume()
        bar.epoch(entry)

    def evaluate(self) -> float:
        """The held-out score of the averaged model if there is one, else of the model."""
        model = self.average.module if self.average else self.model
        model.eval()
        with torch.no_grad():
            score = self.stage.score(model)
        return score if math.isfinite(score) else math.inf

    def compiled(self, batches: Iterator[Any]) -> tuple[Iterator[Any], str]:
        """Compiles the model, tried on the first batch; all batches again, and a sentence where the compiler fails."""
        began, first = self.clock(), next(batches)
        self.model.train()
        note = compile_if_possible(self.model, self.training.compile_mode, lambda: self.accumulate([first], {}, {}))
        self.tally.epoch_seconds += self.clock() - began
        return chain([first], batches), note

    def fit(self) -> nn.Module:
        """Trains to the end, or goes on to it, and returns the best model."""
        self.restore()
        if not self.tally.done and self.settings.epochs:
            batches = self.stage.batches(self.next_batch)
            notes = [*self.stage.notes, self.precision.note]
            if self.training.compiles(self.settings):
                batches, note = self.compiled(batches)
                notes.append(note)
            with (
                ProgressBar(
                    self.stage.name, self.settings.epochs, self.budget.total, self.budget.used(self.tally)
                ) as bar,
                self.stop.listening(),
                compiler_errors(self.stage.name),
            ):
                for note in notes:
                    bar.note(note)
                while not self.tally.done:
                    self.run_epoch(batches, bar)
                if self.stop:
                    raise Stopped(
                        f"stopped after stage {self.stage.name}; run the same command again", self.stop.signum
                    )
        if self.tally.done:
            self.files.finish(self.tally.seconds)
        self.files.load_best(self.model, self.average is not None)
        return self.model.eval()


def fit(
    stage: Stage,
    settings: StageSettings,
    training: TrainingSettings,
    folder: Path,
    log: Log,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    clock: Clock = wall_clock,
) -> nn.Module:
    """Trains a stage, resuming where it stands, and returns its best model.

    Args:
        stage: What is trained.
        settings: The stage's own settings.
        training: What all stages share.
        folder: The run's `checkpoints/`.
        log: Where epochs are recorded.
        seed: Fixes all randomness.
        device: Where training runs.
        clock: Seconds from any start, which fill the time of a stage.
    """
    return Trainer(stage, settings, training, folder, log, seed, torch.device(device), clock).fit()
