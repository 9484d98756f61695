"""What listens to a run besides its JSONL log: Weights & Biases and TensorBoard, as its settings say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

from ups.tracking.evaluation import pictures, scores, split_of, tables
from ups.tracking.scalars import scalars
from ups.tracking.tensorboard import TensorBoard
from ups.tracking.wandb_client import Mode, RunIdentity
from ups.tracking.wandb_context import WandBContext, open_wandb_context


class Wandb(Protocol):
    """Settings of Weights & Biases."""

    @property
    def mode(self) -> Mode: ...
    @property
    def project(self) -> str: ...
    @property
    def entity(self) -> str | None: ...
    @property
    def tags(self) -> tuple[str, ...]: ...
    @property
    def finish_seconds(self) -> float: ...


class Tracking(Protocol):
    """Settings of all that listens."""

    @property
    def wandb(self) -> Wandb: ...
    @property
    def tensorboard(self) -> bool: ...


class TrackerSink(Protocol):
    """One of those that listen; nothing here blocks or raises."""

    def epoch(self, entry: Mapping[str, Any]) -> None: ...
    def evaluation(self, metrics: Mapping[str, Any], folder: Path) -> None: ...
    def file(self, path: Path) -> None: ...
    def close(self, failed: bool) -> None: ...


class Tracker:
    """Hands everything on to all that listen; as a context it closes them.

    Args:
        sinks: Those that listen.
    """

    def __init__(self, sinks: Sequence[TrackerSink] = ()):
        self.sinks = sinks

    def epoch(self, entry: dict[str, Any]) -> None:
        """A line of the training log; fit to be a sink of `TrainingLogger`."""
        for sink in self.sinks:
            sink.epoch(entry)

    def evaluation(self, metrics: Mapping[str, Any], folder: Path) -> None:
        """The scores of an evaluation, as in `metrics.json`, and the `folder` that it and its pictures lie in."""
        for sink in self.sinks:
            sink.evaluation(metrics, folder)

    def file(self, path: Path) -> None:
        """A file to keep, such as a checkpoint."""
        for sink in self.sinks:
            sink.file(path)

    def close(self, failed: bool = False) -> None:
        """Waits a bounded time for what is under way."""
        for sink in self.sinks:
            sink.close(failed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self.close(failed=kind is not None)


class WandbSink:
    """Feeds a Weights & Biases run."""

    def __init__(self, context: WandBContext):
        self.context = context

    def epoch(self, entry: Mapping[str, Any]) -> None:
        values = scalars(entry)
        step = int(values.pop("global_step"))
        self.context.log_training_metrics(entry["stage"], values, step)

    def evaluation(self, metrics: Mapping[str, Any], folder: Path) -> None:
        split = split_of(metrics)
        self.context.log_eval_summary(scores(metrics), split)
        for name, table in tables(metrics).items():
            self.context.log_table(f"{split}/{name}", *table)
        for path in pictures(metrics, folder):
            self.context.log_image(f"{split}/{path.stem}", path)
        self.context.save_file(folder / "metrics.json")

    def file(self, path: Path) -> None:
        self.context.save_file(path)

    def close(self, failed: bool) -> None:
        self.context.finish(int(failed))


class TensorBoardSink:
    """Feeds TensorBoard; evaluations stand at the run's last global step.

    Args:
        board: The event files.
        step: The last global step that was trained before.
    """

    def __init__(self, board: TensorBoard, step: int = 0):
        self.board, self.step = board, step

    def epoch(self, entry: Mapping[str, Any]) -> None:
        values = scalars(entry)
        self.step = int(values.pop("global_step"))
        self.board.scalars({f"{entry['stage']}/{k}": v for k, v in values.items()}, self.step, purge=True)

    def evaluation(self, metrics: Mapping[str, Any], folder: Path) -> None:
        split = split_of(metrics)
        self.board.scalars(scalars(scores(metrics), split), self.step)
        for name, table in tables(metrics).items():
            self.board.table(f"{split}/{name}", *table, self.step)
        for path in pictures(metrics, folder):
            self.board.image(f"{split}/{path.stem}", path, self.step)

    def file(self, path: Path) -> None:
        """Event files hold no files."""

    def close(self, failed: bool) -> None:
        self.board.close()


def open_sinks(settings: Tracking, folder: Path, config: Mapping[str, Any], step: int = 0) -> list[TrackerSink]:
    """All that is to listen to the run in `folder`.

    Args:
        settings: Which; a run handed on by a parent process listens in any case.
        folder: The run folder; the trackers get folders `wandb` and `tensorboard` in it.
        config: The run's settings, shown beside its curves; numbers, texts, lists and dicts.
        step: The run's last global step so far.

    Raises UserError if a package is not installed.
    """
    wandb, folder = settings.wandb, folder.absolute()
    place = (wandb.mode, wandb.project, wandb.entity)
    identity = RunIdentity("", *place, folder.name, tuple(wandb.tags), folder, wandb.finish_seconds)
    context = open_wandb_context(identity, config)
    sinks: list[TrackerSink] = [WandbSink(context)] if context.enabled else []
    if settings.tensorboard:
        sinks.append(TensorBoardSink(TensorBoard(folder / "tensorboard"), step))
    return sinks
