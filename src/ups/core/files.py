"""Files that appear whole or not at all, and folders that one process at a time works in."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ups.core.errors import UserError


@contextmanager
def replacing(path: Path, what: str = "", shared: bool = False) -> Iterator[Path]:
    """A path beside `path` to write to, which takes its place when the block ends without an error.

    Args:
        path: The file that readers know; its folder is made if need be.
        what: What the file is, for the error.
        shared: Whether other processes may write the same file at the same time.

    Raises:
        UserError: The operating system refuses to write; an older file stays as it was.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part" if shared else f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            _sync(part)
            os.replace(part, path)
            _sync(path.parent)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        named = f"the {what} {path}" if what else str(path)
        raise UserError(
            f"cannot write {named}: {error.strerror or error}; what was there before is untouched"
        ) from error


def write_text(path: Path, text: str, what: str = "") -> Path:
    """Writes a text file as `replacing` does."""
    with replacing(path, what) as part:
        part.write_text(text, encoding="utf-8", newline="")
    return path


@contextmanager
def claimed(folder: Path, otherwise: str, *, wait: bool = False, name: str = ".lock") -> Iterator[Path]:
    """Makes a folder and keeps other processes that claim it out, until the block or the process ends.

    Args:
        folder: The folder.
        otherwise: What the user can do where it cannot be had, for the error.
        wait: Whether to wait for a process that has it; otherwise it is an error.
        name: The lock file in it.

    Raises:
        UserError: The folder cannot be written, or another process has it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / name, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise UserError(f"cannot write the folder {folder}: {error.strerror}; {otherwise}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise UserError(f"another process is working in {folder}; wait for it or {otherwise}") from error
        yield folder
    finally:
        os.close(lock)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
