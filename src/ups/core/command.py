"""Commands as errors name them: a line for the shell that works as it stands."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path


def train_command(config: Path | str, stage: str, fresh: bool = False, settings: Sequence[str] = ()) -> str:
    """The command that trains a stage with a config file and `a.b=value` settings, `fresh` from scratch."""
    anew = ["--fresh"] if fresh else []
    given = [word for setting in settings for word in ("--set", setting)]
    return shlex.join(["ups", "train", "--config", str(config), "--stage", stage, *anew, *given])
