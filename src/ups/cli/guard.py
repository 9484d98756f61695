"""What the user sees when a command ends early: one line on stderr and an exit code, a traceback only with `--debug`.

| ends with | exit code |
| --- | --- |
| bad input, a run folder in the wrong state, a full disk, a lack of memory | 2 |
| a defect of ups | 1 |
| Ctrl-C | 130 |
| SIGTERM | 143 |
"""

import errno
import os
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from ups.core.errors import Stopped, UserError
from ups.core.threads import spin_briefly

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class Terminated(KeyboardInterrupt):
    """SIGTERM, raised where Ctrl-C raises `KeyboardInterrupt`, so that one handler saves for both."""


class GuardedGroup(TyperGroup):
    """The group of all commands; every exception of a command becomes a sentence and an exit code here."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Let `--debug` stand anywhere in the line."""
        if "--debug" in args:
            args = ["--debug", *(arg for arg in args if arg != "--debug")]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command and translate what it raises."""
        spin_briefly()
        with _terminate_like_interrupt():
            try:
                return super().invoke(ctx)
            except (Exception, KeyboardInterrupt) as error:
                if hasattr(error, "exit_code") or isinstance(error, typer.Abort | BrokenPipeError):
                    raise
                code, sentence = explain(error)
                _leave(code, sentence, error if ctx.params.get("debug") else None)


def explain(error: BaseException) -> tuple[int, str]:
    """Exit code and sentence for an exception."""
    if isinstance(error, Stopped):
        return 128 + error.signum, f"{error}: {_same_command()}"
    if isinstance(error, KeyboardInterrupt):
        terminated = isinstance(error, Terminated)
        how = "SIGTERM" if terminated else "Ctrl-C"
        return 143 if terminated else 130, f"stopped by {how}; to go on, run: {_same_command()}"
    if isinstance(error, UserError):
        return 2, f"error: {error}"
    if isinstance(error, OSError):
        return 2, f"error: {_explain_os(error)}"
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return 2, "error: out of memory; lower training.batch_size or data.in_memory_mb, or raise training.accum_steps"
    what = f"{type(error).__name__}: {error}".split("\n", 1)[0]
    return 1, f"error: this is a defect in ups ({what}, {_where(error)}); please report it with the output of --debug"


def _explain_os(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    what = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in what:
        return f"{where}the disk is full; free some space and run the same command again"
    if error.errno == errno.EROFS:
        return f"{where}the file system is read-only; choose another folder"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{where}no permission; choose another folder or change its owner"
    return f"{where}{what[0].lower()}{what[1:]}"


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in frames if frame.filename.startswith(PACKAGE)] or frames
    return f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else "place unknown"


def _same_command() -> str:
    """The command that continues: the one that was given, without `--fresh`, which would start over."""
    program = ["python", sys.argv[0]] if sys.argv[0].endswith(".py") else [os.path.basename(sys.argv[0])]
    if os.path.basename(sys.argv[0]) == "__main__.py":
        program = ["python", "-m", "ups"]
    return shlex.join([*program, *(arg for arg in sys.argv[1:] if arg != "--fresh")])


def _leave(code: int, sentence: str, error: BaseException | None) -> NoReturn:
    if error is not None:
        traceback.print_exception(error)
    typer.echo(sentence, err=True)
    raise typer.Exit(code)


@contextmanager
def _terminate_like_interrupt() -> Iterator[None]:
    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
