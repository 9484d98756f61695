"""A Weights & Biases run that several processes share, and that can neither stop nor slow down what it records."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ups.core.errors import UserError
from ups.tracking.background import Background, warn
from ups.tracking.scalars import scalars
from ups.tracking.wandb_client import SECONDS, Client, RunIdentity, abandon, asked_mode, connect, require_wandb
from ups.tracking.wandb_run_file import RunFile, read_run_file

Connect = Callable[[RunIdentity, Mapping[str, Any], str | None, Callable[[str], None]], Client]

CONTEXT_VARIABLE = "WANDB_CONTEXT_FILE"
"""Environment variable with the path of the file that hands a run on to another process."""


class WandBContext:
    """Records into one run from a thread of its own: every method returns at once and raises nothing of wandb's.

    Without an identity it does nothing.

    Args:
        identity: The run; None disables.
        config: Settings shown with it.
        service: Where another process may still have it open.
        connect: Opens the run.
    """

    def __init__(
        self,
        identity: RunIdentity | None = None,
        config: Mapping[str, Any] | None = None,
        service: str | None = None,
        connect: Connect = connect,
    ):
        self.identity = identity
        self.handover = RunFile(identity)
        self._client: Client | None = None
        self._background: Background | None = None
        if identity is not None:
            require_wandb(identity.mode)
            self._background = Background("W&B", SECONDS[identity.mode])
            self._background.submit(lambda: self._connect(connect, config or {}, service))

    @property
    def enabled(self) -> bool:
        """Whether anything is recorded."""
        return self._background is not None

    def log_training_metric(self, stage: str, name: str, value: float, step: int) -> None:
        """One value of a stage as `stage/name`.

        Args:
            stage: Name of the stage.
            name: Name of the metric.
            value: Its value.
            step: The global step, which counts epochs across stages.
        """
        self.log_training_metrics(stage, {name: value}, step)

    def log_training_metrics(self, stage: str, metrics: Mapping[str, float], step: int) -> None:
        """Values of a stage that belong together; those with an `epoch` are drawn over it."""
        values = dict(metrics)
        self._submit(lambda client: client.log(stage, values, step))

    def log_eval_summary(self, metrics: Mapping[str, Any], prefix: str = "") -> None:
        """The finite numbers of a nested mapping as `prefix/key/key` in the run's summary."""
        values = scalars(metrics, prefix)
        self._submit(lambda client: client.summary(values))

    def log_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """A table."""
        self._submit(lambda client: client.table(name, columns, rows))

    def log_image(self, name: str, path: str | Path) -> None:
        """A picture file."""
        self._submit(lambda client: client.image(name, Path(path)))

    def save_file(self, path: str | Path) -> None:
        """Uploads a file under its path in the run folder."""
        self._submit(lambda client: client.save(Path(path)))

    def finish(self, exit_code: int = 0) -> None:
        """Waits a bounded time for all that was recorded, and ends the run if this process opened it.

        An online run that ends well may take `finish_seconds` for its uploads. Ctrl-C ends the wait.
        """
        if self._background is None:
            return
        self._submit(lambda client: self._finish(client, exit_code))
        began, ended = time.monotonic(), "did not answer within"
        try:
            done = self._background.drained(self._background.patience) or self._uploaded(exit_code)
        except KeyboardInterrupt:
            done, ended = False, "was interrupted after"
        if not done:
            rest = f", upload the rest with `wandb sync {self._client.records}`" if self._client else ""
            self._background.warn(f"{ended} {round(time.monotonic() - began, 1):g} s and was left behind{rest}")
            abandon()

    def _uploaded(self, exit_code: int) -> bool:
        """Goes on waiting where a server may still be taking the files of a run that ended well."""
        if self.identity is None or self._background is None or self._client is None:
            return False
        if exit_code or not self._client.uploads:
            return False
        seconds = self.identity.finish_seconds
        with suppress(OSError, ValueError):
            print(f"W&B: uploads may take {seconds:g} s more; Ctrl-C ends the wait", file=sys.stderr, flush=True)
        return self._background.drained(seconds)

    def _submit(self, call: Callable[[Client], None]) -> None:
        if self._background is not None:
            self._background.submit(lambda: call(self._client) if self._client else None)

    # -- on the thread -------------------------------------------------------------------------------------------------
    def _connect(self, connect: Connect, config: Mapping[str, Any], service: str | None) -> None:
        assert self.identity is not None and self._background is not None
        self._client = connect(self.identity, config, service, self._background.warn)
        if self._client.service:
            self.handover.update(self._client.service)

    def _finish(self, client: Client, exit_code: int) -> None:
        try:
            client.finish(exit_code)
        finally:
            if client.service:
                self.handover.update(None)


def save_wandb_context(ctx: WandBContext, path: str | Path) -> None:
    """Writes what another process needs to go on with the run of `ctx`; kept up to date until `ctx` finishes."""
    ctx.handover.write_to(Path(path))


def load_wandb_context(path: str | Path, config: Mapping[str, Any] | None = None) -> WandBContext:
    """The run that `save_wandb_context` wrote: joined while it is open, continued by its id after that.

    Raises UserError if the file is missing or is no such file.
    """
    return _going_on(Path(path), *read_run_file(Path(path)), config)


def _going_on(
    path: Path, identity: RunIdentity | None, service: str | None, config: Mapping[str, Any] | None
) -> WandBContext:
    """The run that was read from `path`, which is kept up to date."""
    context = WandBContext(identity, config, service)
    context.handover.watch(path)
    return context


def open_wandb_context(identity: RunIdentity, config: Mapping[str, Any]) -> WandBContext:
    """The run that a parent process hands on, else the one that the run folder had before, else a new one.

    A parent names a file in the environment variable `WANDB_CONTEXT_FILE`. If it is there, this process goes on with
    the run in it, whatever the mode of the settings; else this process writes it. The mode in `WANDB_MODE` goes before
    that of the settings, and `disabled` there before a parent's run. A damaged file counts as none, with a warning.

    Args:
        identity: The run; an empty id stands for that of the run folder, or a new one.
        config: Settings shown with the run.

    Raises:
        UserError: `WANDB_MODE` is no mode, or the mode needs a package that is not installed.
    """
    asked, handed = asked_mode(), os.environ.get(CONTEXT_VARIABLE)
    if asked == "disabled":
        return WandBContext()
    found = _intact(Path(handed)) if handed else None
    if handed and found is not None:
        return _going_on(Path(handed), *found, config)
    identity = replace(identity, mode=asked or identity.mode)
    if identity.mode == "disabled":
        return WandBContext()
    own, service = remembered(identity.folder), None
    if not identity.id:
        before, service = _remembered(identity, own)
        identity = replace(identity, id=before or secrets.token_hex(4))
    context = WandBContext(identity, config, service)
    for path in (own, Path(handed)) if handed else (own,):
        save_wandb_context(context, path)
    return context


def remembered(folder: Path) -> Path:
    """The file that keeps the run of a run folder in mind."""
    return folder / "wandb" / "context.json"


def _remembered(identity: RunIdentity, path: Path) -> tuple[str | None, str | None]:
    """Id, and service if it may be open, of the folder's earlier run in the same place."""
    before, service = _intact(path) or (None, None)
    if before is None:
        return None, None
    same = (before.mode, before.project, before.entity) == (identity.mode, identity.project, identity.entity)
    return (before.id, service) if same else (None, None)


def _intact(path: Path) -> tuple[RunIdentity | None, str | None] | None:
    """What `read_run_file` finds; None where there is no file or, with a warning, a damaged one."""
    try:
        return read_run_file(path) if path.exists() else None
    except UserError as error:
        warn("W&B", f"does not go on with an earlier run ({error})")
        return None
