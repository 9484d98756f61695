"""Commands that repeat a config: one that trains a stage, and one that makes the scores of a run again."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from ups.config.compose import Config, load_config
from ups.config.load import changed_keys
from ups.config.problems import value_at
from ups.core.command import train_command
from ups.core.errors import UserError

UNNAMED = ("run.source", "tracking.")
"""Starts of keys that a command need not name."""
ELSEWHERE = (*UNNAMED, "run.dir")
"""Starts of keys that change nothing in the scores."""


def training_command(config: Config, stage: str, fresh: bool) -> str:
    """A line for the shell that trains a stage with this config, `fresh` from scratch.

    It names the file that the config came from and every setting that differs from it; where a stage is switched off,
    it asks for epochs.
    """
    files = [config.run.source, config.run.dir / "config.yaml"]
    source, stored = next(((f, c) for f in files if (c := _readable(f))), ("CONFIG", config))
    settings = _changes(stored, config, UNNAMED)
    if not getattr(config.stages, stage).epochs:
        settings = [s for s in settings if not s.startswith(f"stages.{stage}.epochs=")] + [f"stages.{stage}.epochs=N"]
    return train_command(source, stage, fresh, settings)


def _readable(path: Path | str) -> Config | None:
    """The config in a file; None without a file that holds one."""
    try:
        return load_config(path)
    except UserError:
        return None


def command_of(stored: Config, used: Config, folder: Path, split: str, with_ttc: bool) -> str:
    """A line for the shell that trains beside `folder` with the config in it and scores the result in the same way.

    Args:
        stored: The config in `folder/config.yaml`.
        used: The config of the scores: what differs is set for the evaluation alone.
        folder: The run folder.
        split: What was scored.
        with_ttc: Whether test-time conditioning was scored.
    """
    again = folder.parent / f"{folder.resolve().name}_again"
    config, place = str(folder / "config.yaml"), ["--set", f"run.dir={again}"]
    further = ["--split", split] if split != "test" else []
    if with_ttc != used.ttc.enabled:
        further += ["--mode", "both" if with_ttc else "baseline"]
    for setting in _changes(stored, used, ELSEWHERE):
        further += ["--set", setting]
    if not further and used.evaluation.enabled:
        return shlex.join(["ups", "run", config, *place])
    train = ["ups", "train", "--config", config, *place]
    return f"{shlex.join(train)} && {shlex.join(['ups', 'evaluate', str(again), *further])}"


def _changes(stored: Config, used: Config, apart: tuple[str, ...]) -> list[str]:
    """`key=value` of every setting of `used` that `stored` has otherwise, but for keys that start with `apart`."""
    values = used.model_dump(mode="json")
    found: dict[str, Any] = {}
    for key in changed_keys(stored, used):
        within = any(key.startswith(f"{other}.") for other in found)
        if not key.startswith(apart) and not within:
            *path, name = key.split(".")
            section = value_at(values, tuple(path))
            if isinstance(section, dict) and name in section:
                found[key] = section[name]
    return [f"{key}={json.dumps(value)}" for key, value in found.items()]
