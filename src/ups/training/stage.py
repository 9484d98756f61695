"""What the loop knows of a stage: a model, batches, a loss and a score."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Batch(Protocol):
    """Samples that a loss works on."""

    @property
    def size(self) -> int:
        """Number of samples."""
        ...

    def to(self, device: torch.device) -> Any:
        """The same batch on `device`."""
        ...


@dataclass(frozen=True)
class Progress:
    """Where training stands.

    Attributes:
        step: Optimizer steps done.
        epoch: Epochs done, with their fraction; exact where an epoch ends.
        fraction: Share of the stage done, in [0, 1).
    """

    step: int
    epoch: float
    fraction: float


def command_unknown() -> str:
    """The default of `Stage.command`: whatever command trains the stage, started over."""
    return "--fresh"


def whole(batch: Any, progress: Progress) -> Iterable[tuple[Any, float]]:
    """The default of `Stage.chunks`: the batch in one piece."""
    return [(batch, 1.0)]


@dataclass(frozen=True)
class Stage:
    """A stage of training.

    Attributes:
        name: As in the config and in the names of its checkpoints.
        model: All that is optimised and saved.
        batches: Endless batches from a micro-step on: resuming is indexing.
        steps_per_epoch: Micro-batches in an epoch.
        loss: (model, batch, progress) -> "loss" and whatever is to be logged.
        score: Held-out error of a model; lower is better.
        chunks: Splits a batch into pieces with weights that add up to 1; work that they share is done here, once.
        fingerprint: Dotted names and plain values that must not change when a stage goes on.
        payload: What else belongs into the stage's checkpoints.
        file: Stem of its checkpoints; the name unless given.
        notes: Sentences for the user, shown when training starts.
        command: The command that trains the stage from scratch, for errors.
    """

    name: str
    model: nn.Module
    batches: Callable[[int], Iterator[Any]]
    steps_per_epoch: int
    loss: Callable[[Any, Any, Progress], dict[str, Tensor]]
    score: Callable[[Any], float]
    chunks: Callable[[Any, Progress], Iterable[tuple[Any, float]]] = whole
    fingerprint: dict[str, Any] = field(default_factory=dict)
    payload: dict[str, Any] = field(default_factory=dict)
    file: str = ""
    notes: tuple[str, ...] = ()
    command: Callable[[], str] = command_unknown

    @property
    def stem(self) -> str:
        """Stem of the checkpoint files."""
        return self.file or self.name


class Log(Protocol):
    """Where epochs are recorded."""

    def rewind(self, stage: str, epoch: int) -> None:
        """Forgets what was recorded of `stage` after `epoch` epochs."""
        ...

    def write(self, entry: dict[str, Any]) -> None:
        """Records one epoch."""
        ...
