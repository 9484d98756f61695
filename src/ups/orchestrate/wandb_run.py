"""One Weights & Biases run for everything that an orchestration starts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ups.config import WandbSettings
from ups.core.errors import UserError
from ups.tracking.wandb_client import Mode, asked_mode
from ups.tracking.wandb_context import CONTEXT_VARIABLE
from ups.tracking.wandb_run_file import read_run_file

CONTEXT_FILE = "wandb_context.json"
"""The file in `RUN/orchestrate` that hands the run on."""


@contextmanager
def one_wandb_run(settings: WandbSettings, file: Path) -> Iterator[None]:
    """Names `file` in `WANDB_CONTEXT_FILE` for this process and its children, so that all log into the run in it.

    A file that a parent process names stays. One that an earlier call left is used again for the same mode, project
    and owner, and else removed. Without Weights & Biases nothing is named. The mode in `WANDB_MODE` goes before
    that of the settings.
    """
    mode = asked_mode() or settings.mode
    if os.environ.get(CONTEXT_VARIABLE) or mode == "disabled":
        yield
        return
    if file.exists() and not _same(settings, mode, file):
        file.unlink()
    os.environ[CONTEXT_VARIABLE] = str(file.absolute())
    try:
        yield
    finally:
        os.environ.pop(CONTEXT_VARIABLE, None)


def _same(settings: WandbSettings, mode: Mode, file: Path) -> bool:
    try:
        identity, _ = read_run_file(file)
    except UserError:
        return False
    if identity is None:
        return False
    wanted = (mode, settings.project, settings.entity)
    return (identity.mode, identity.project, identity.entity) == wanted
