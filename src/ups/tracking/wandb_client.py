"""The one place that calls the `wandb` package; everything here blocks and may raise, `wandb_context` keeps it away."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol, cast, get_args

from ups.core.errors import UserError
from ups.tracking.background import first_line

Mode = Literal["online", "offline", "disabled"]
MODE_VARIABLE = "WANDB_MODE"
"""Environment variable with a mode, which goes before that of the settings."""
SECONDS = {"offline": 10.0, "online": 30.0}
"""What the end of a run may take without uploads."""
LONGEST = 1e9
"""Seconds that the end of a run can be asked to take at most, uploads included."""
CONNECT_SECONDS = 10.0
"""What an answer of the server may take before a run is recorded offline."""


@dataclass(frozen=True)
class RunIdentity:
    """What makes processes write into one run.

    Attributes:
        id: The run's id, unique in its project.
        mode: `offline` or `online`.
        project: Where the run appears.
        entity: Owner of the project; None is the user's own.
        name: The run's display name.
        tags: Its labels.
        folder: Its run folder, which gets a folder `wandb`.
        finish_seconds: What its end may wait for uploads.
    """

    id: str
    mode: Mode
    project: str
    entity: str | None
    name: str
    tags: tuple[str, ...]
    folder: Path
    finish_seconds: float = 60.0


class Client(Protocol):
    """A connection to one run."""

    @property
    def service(self) -> str | None:
        """Through which other processes reach the open run; None if the run is another process's."""
        ...

    @property
    def records(self) -> str:
        """The folder that `wandb sync` uploads the run from."""
        ...

    @property
    def uploads(self) -> bool:
        """Whether the end of the run waits for a server."""
        ...

    def log(self, stage: str, metrics: Mapping[str, float], step: int) -> None: ...
    def summary(self, values: Mapping[str, float]) -> None: ...
    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None: ...
    def image(self, name: str, path: Path) -> None: ...
    def save(self, path: Path) -> None: ...
    def finish(self, exit_code: int) -> None: ...


def asked_mode() -> Mode | None:
    """The mode in the environment variable `WANDB_MODE`, None unless it is set. Raises UserError for another word."""
    word = os.environ.get(MODE_VARIABLE)
    if word and word not in get_args(Mode):
        raise UserError(f"{MODE_VARIABLE}: expected {', '.join(get_args(Mode))}, found {word!r}; set one or unset it")
    return cast(Mode, word) if word else None


def require_wandb(mode: Mode) -> None:
    """Raises UserError if `mode` needs a package that is not installed."""
    spec = find_spec("wandb") if mode != "disabled" else None
    if mode != "disabled" and (spec is None or spec.origin is None):  # a mere folder `wandb` has no origin
        raise UserError(
            f"{MODE_VARIABLE if asked_mode() else 'tracking.wandb.mode'} is {mode}, but wandb is not installed; "
            "pip install 'universal-physics-stack[wandb]', or set it to disabled"
        )


class WandbClient:
    """A run of the real package.

    Args:
        run: What `wandb.init` or `wandb.attach` returned.
        identity: The run it is part of.
        attached: Whether another process owns it, which then ends it.
    """

    def __init__(self, run: Any, identity: RunIdentity, attached: bool):
        self.run, self.identity, self.attached = run, identity, attached
        self.service = None if attached else os.environ.get("WANDB_SERVICE")
        self.records, self.uploads = str(run.settings.sync_dir), not (attached or run.offline)
        self._axes: set[str] = set()

    def log(self, stage: str, metrics: Mapping[str, float], step: int) -> None:
        """One row; a stage's metrics are drawn over its epochs where it counts them, else over the global step."""
        if stage not in self._axes:
            self._axes.add(stage)
            axis = f"{stage}/epoch" if "epoch" in metrics else "global_step"
            self.run.define_metric(f"{stage}/*", step_metric=axis)
        self.run.log({f"{stage}/{name}": value for name, value in metrics.items()} | {"global_step": step})

    def summary(self, values: Mapping[str, float]) -> None:
        """Values of the run as a whole."""
        self.run.summary.update(dict(values))

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """A table with named columns."""
        import wandb

        data = [list(row) for row in rows]
        self.run.log({name: wandb.Table(columns=list(columns), data=data, allow_mixed_types=True)})

    def image(self, name: str, path: Path) -> None:
        """A picture file."""
        import wandb

        self.run.log({name: wandb.Image(str(path))})

    def save(self, path: Path) -> None:
        """A file, under its path in the run folder."""
        path, folder = path.absolute(), self.identity.folder.absolute()
        base = folder if path.is_relative_to(folder) else path.parent
        if not path.is_file():
            raise FileNotFoundError(f"{path} is not a file")
        self.run.save(glob.escape(str(path)), base_path=str(base), policy="now")

    def finish(self, exit_code: int) -> None:
        """Ends a run that this process owns; raises TimeoutError if its uploads take longer than they may."""
        if self.attached:
            return
        try:
            self.run.finish(exit_code=exit_code)
        except TimeoutError as error:
            took = f"uploads took longer than {self.identity.finish_seconds:g} s"
            raise TimeoutError(f"{took}, upload the rest with `wandb sync {self.records}`") from error


def connect(
    identity: RunIdentity, config: Mapping[str, Any], service: str | None, warn: Callable[[str], None]
) -> Client:
    """Goes on with the run that is open behind `service`, else opens it, offline where online fails.

    Args:
        identity: The run.
        config: Settings shown with it.
        service: The `Client.service` of the process that may still have the run open.
        warn: Told in a phrase why an online run is recorded offline.
    """
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    hooks = sys.excepthook, sys.exit
    try:
        run = _attach(identity, service) if service else None
        if run is not None:
            return WandbClient(run, identity, attached=True)
        return WandbClient(_open(identity, config, warn), identity, attached=False)
    finally:
        sys.excepthook, sys.exit = hooks


def _attach(identity: RunIdentity, service: str) -> Any | None:
    """The run if it is still open in the process that wrote `service`."""
    import wandb

    before = os.environ.get("WANDB_SERVICE")
    os.environ["WANDB_SERVICE"] = service
    try:
        _setup(identity.folder)
        return wandb.attach(identity.id)  # pyright: ignore[reportAttributeAccessIssue]
    except Exception:  # wandb names no error for a service that has ended; the run is then continued by its id
        os.environ.pop("WANDB_SERVICE", None)
        if before not in (None, service):
            os.environ["WANDB_SERVICE"] = str(before)
        return None


def _open(identity: RunIdentity, config: Mapping[str, Any], warn: Callable[[str], None]) -> Any:
    import wandb

    if identity.mode == "offline":
        return _init(identity, "offline", config)
    try:
        run = _init(identity, "online", config)
        print(f"W&B: {run.url}", file=sys.stderr, flush=True)
        return run
    except Exception as error:
        with suppress(SystemExit):
            wandb.teardown()  # else the id stays taken
        run = _init(identity, "offline", config)
        warn(f"is recorded offline ({first_line(error)}), upload it with `wandb sync {run.settings.sync_dir}`")
        return run


def _setup(folder: Path) -> None:
    """`silent` also keeps wandb from asking for a key on the terminal."""
    import wandb

    wandb.setup(wandb.Settings(silent=True, console="off", root_dir=str(folder.absolute())))


def _init(identity: RunIdentity, mode: Mode, config: Mapping[str, Any]) -> Any:
    import wandb

    _setup(identity.folder)
    return wandb.init(
        id=identity.id,
        mode=mode,
        project=identity.project,
        entity=identity.entity,
        name=identity.name,
        tags=identity.tags,
        dir=str(identity.folder.absolute()),
        config=dict(config),
        allow_val_change=True,
        resume="allow" if mode == "online" else None,
        reinit="create_new",
        settings=wandb.Settings(
            silent=True,
            console="off",
            init_timeout=CONNECT_SECONDS,
            finish_timeout=identity.finish_seconds if mode == "online" else 0.6 * SECONDS[mode],
            finish_timeout_raises=mode == "online",
        ),
    )


def abandon() -> None:
    """Ends the process behind a wandb that hangs, for which wandb would wait at exit without limit."""
    connection = getattr(getattr(sys.modules.get("wandb.sdk.wandb_setup"), "_singleton", None), "_connection", None)
    with suppress(AttributeError, TypeError, OSError):
        connection._cleanup()  # type: ignore[union-attr]
        connection._proc._process.kill()  # type: ignore[union-attr]
