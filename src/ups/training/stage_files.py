"""The files of a stage: its resume state, and its weights as users load them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from ups.core.errors import UserError
from ups.training import checkpoint
from ups.training.saved import Resume, Saved, read
from ups.training.stage import Stage
from ups.training.tally import Tally


@dataclass(frozen=True)
class StageFiles:
    """Where a stage's state lies.

    Attributes:
        stage: The stage.
        folder: The run's `checkpoints/`.
    """

    stage: Stage
    folder: Path

    @property
    def resume(self) -> Path:
        """The resume state."""
        return self.folder / f"{self.stage.stem}_resume.pt"

    def read_resume(self) -> Resume | None:
        """The resume state, or None; raises UserError if it was made with other settings, data or epochs."""
        if not self.resume.exists():
            return None
        saved = read(Resume, self.resume, self.afresh)
        theirs, ours, done = saved.fingerprint, self.stage.fingerprint, saved.tally
        changed = [key for key in sorted({*theirs, *ours}) if theirs.get(key) != ours.get(key)]
        epochs = f"stages.{self.stage.name}.epochs"
        if changed == [epochs]:
            state = "finished after" if done.done else "has done"
            raise UserError(
                f"stage {self.stage.name} {state} {done.epoch} of {theirs[epochs]} epochs, and its schedules end with "
                f"the last, so it cannot become one of {ours[epochs]}: keep it with --set {epochs}={theirs[epochs]}, "
                f"or {self.afresh}"
            )
        for key in changed:
            raise UserError(
                f"{self.resume} belongs to another config: {key} was {theirs.get(key)!r} and is now {ours.get(key)!r}; "
                f"choose another run.dir, or {self.afresh}"
            )
        if done.epoch > ours.get(epochs, done.epoch):
            raise UserError(f"{self.resume}: tally.epoch is {done.epoch} of {ours[epochs]}; {self.afresh}")
        return saved

    @property
    def afresh(self) -> str:
        """What starts the stage over, for errors."""
        return f"train from scratch with `{self.stage.command()}` (ups orchestrate: --force-train)"

    def save_resume(self, tally: Tally, state: dict[str, Any]) -> None:
        """Everything that is needed to go on."""
        common = {"kind": "resume", "stage": self.stage.name, "fingerprint": self.stage.fingerprint}
        checkpoint.save({**common, **state, "tally": tally.to_dict()}, self.resume)

    def save_weights(self, name: str, tally: Tally, model: nn.Module, average: nn.Module | None) -> None:
        """The weights, and their average beside them, as users load them."""
        common = {
            "kind": self.stage.name,
            "fingerprint": self.stage.fingerprint,
            "epoch": tally.epoch,
            "step": tally.step,
            "score": tally.best_score,
            "train_seconds": tally.seconds,
            **self.stage.payload,
        }
        checkpoint.save({**common, "state": model.state_dict()}, self.folder / f"{name}.pt")
        if average:
            checkpoint.save({**common, "state": average.state_dict()}, self.folder / f"{name}_ema.pt")

    def finish(self, seconds: float) -> None:
        """Writes into the best weights, where it is not yet, that the stage has ended and what time it took in all."""
        for suffix in ("", "_ema"):
            path = self.folder / f"{self.stage.stem}{suffix}.pt"
            payload = checkpoint.load(path) if path.exists() else {"finished": True}
            if not payload.get("finished"):
                checkpoint.save({**payload, "finished": True, "train_seconds": seconds}, path)

    def load_best(self, model: nn.Module, averaged: bool) -> None:
        """Puts the (averaged) weights of the best epoch into `model`."""
        path = self.folder / f"{self.stage.stem}{'_ema' if averaged else ''}.pt"
        if not path.exists():
            raise UserError(f"stage {self.stage.name} is recorded as begun in {self.folder}, but {path} is missing")
        checkpoint.load_state(model, read(Saved, path, self.afresh).state, path)
