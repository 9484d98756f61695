"""A Weights & Biases run that several processes share, and that can neither stop nor slow down what it records."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ups.core.errors import UserError
from ups.tracking.background import Background
from ups.tracking.scalars import scalars
from ups.tracking.wandb_client import SECONDS, Client, RunIdentity, abandon, connect, require_wandb

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
        self._files: list[Path] = []
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
        """Waits a bounded time for all that was recorded, and ends the run if this process opened it."""
        if self._background is None:
            return
        self._submit(lambda client: self._finish(client, exit_code))
        if not self._background.close():
            abandon()

    # -- on the thread -------------------------------------------------------------------------------------------------
    def _submit(self, call: Callable[[Client], None]) -> None:
        if self._background is not None:
            self._background.submit(lambda: call(self._client) if self._client else None)

    def _connect(self, connect: Connect, config: Mapping[str, Any], service: str | None) -> None:
        assert self.identity is not None and self._background is not None
        self._client = connect(self.identity, config, service, self._background.warn)
        self._hand_on(self._client.service)

    def _finish(self, client: Client, exit_code: int) -> None:
        client.finish(exit_code)
        self._hand_on(None, ended=client.service is not None)

    def _hand_on(self, service: str | None, ended: bool = False) -> None:
        """Tells other processes where the open run is reached, and that it has ended."""
        if service or ended:
            for path in self._files:
                _write(self.identity, service, path)


def save_wandb_context(ctx: WandBContext, path: str | Path) -> None:
    """Writes what another process needs to go on with the run of `ctx`; kept up to date until `ctx` finishes."""
    path = Path(path).absolute()
    service = ctx._client.service if ctx._client else None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(ctx.identity, service, path)
    except OSError as error:
        raise UserError(f"cannot write the W&B context {path}: {error.strerror}") from error
    ctx._files.append(path)


def load_wandb_context(path: str | Path, config: Mapping[str, Any] | None = None) -> WandBContext:
    """The run that `save_wandb_context` wrote: joined while it is open, continued by its id after that.

    Raises UserError if the file is missing or is no such file.
    """
    identity, service = _read(Path(path))
    context = WandBContext(identity, config, service)
    context._files.append(Path(path).absolute())
    return context


def open_wandb_context(identity: RunIdentity, config: Mapping[str, Any]) -> WandBContext:
    """The run that a parent process hands on, else the one that the run folder has had before, else a new one.

    A parent names its file in the environment variable `WANDB_CONTEXT_FILE`; where it has not written one yet, this
    run is handed on in it. `identity.id` may be empty. A disabled mode follows a parent too.
    """
    handed = os.environ.get(CONTEXT_VARIABLE)
    if handed and Path(handed).exists():
        return load_wandb_context(handed, config)
    if identity.mode == "disabled":
        return WandBContext()
    remembered = identity.folder / "wandb" / "context.json"
    service = None
    if remembered.exists():
        before, service = _read(remembered)
        if before and replace(before, tags=identity.tags, name=identity.name, folder=identity.folder) == replace(
            identity, id=before.id
        ):
            identity = replace(identity, id=before.id)
        else:
            service = None
    context = WandBContext(replace(identity, id=identity.id or secrets.token_hex(4)), config, service)
    for path in (remembered, *([Path(handed)] if handed else [])):
        save_wandb_context(context, path)
    return context


def _write(identity: RunIdentity | None, service: str | None, path: Path) -> None:
    fields = {**asdict(identity), "folder": str(identity.folder.absolute())} if identity else {"mode": "disabled"}
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps({**fields, "service": service}, indent=1))
    os.replace(temporary, path)


def _read(path: Path) -> tuple[RunIdentity | None, str | None]:
    try:
        fields = json.loads(path.read_text())
        service = fields.pop("service")
        if fields["mode"] == "disabled":
            return None, None
        tags, folder = tuple(fields.pop("tags")), Path(fields.pop("folder"))
        return RunIdentity(**fields, tags=tags, folder=folder), service
    except FileNotFoundError:
        raise UserError(f"there is no W&B context {path}; the process that owns the run writes it") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not a W&B context as save_wandb_context writes it ({error})") from error
