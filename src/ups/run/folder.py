"""A run folder: where its files lie, the config that it was made with, who may write in it, what listens to it.

RUN/config.yaml  data.json  checkpoints/*.pt  reports/training_log.jsonl  latents/
RUN/predictions.h5  metrics.json  report.html  report/*.png      of the test split
RUN/validation/...                                               of the validation split
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import torch

from ups.config import Config, dump_config, load_config
from ups.core.errors import UserError
from ups.core.files import claimed, write_text
from ups.core.threads import idle_cores
from ups.tracking.sinks import Tracker, open_sinks
from ups.tracking.training_logger import TrainingLogger
from ups.training.fingerprint import flatten


def claim(folder: Path) -> AbstractContextManager[Path]:
    """Makes the run folder and keeps other processes out of it."""
    return claimed(folder, "choose another with --set run.dir=FOLDER")


def write_config(config: Config) -> None:
    """Writes the resolved config into the run folder."""
    write_text(config.run.dir / "config.yaml", dump_config(config), "config")


def config_of(folder: Path, overrides: Sequence[str] = ()) -> Config:
    """The config that a run was made with. Raises UserError if the folder holds none."""
    if not (folder / "config.yaml").exists():
        raise UserError(f"{folder} is not a run folder: it has no config.yaml")
    return load_config(folder / "config.yaml", overrides)


def with_threads(config: Config) -> Config:
    """The config with the number of threads that a run of it takes: what it says, else that of an earlier part of the
    run, which must go on with the same bits, else as many as there are idle processors.

    A thread that shares its processor with another process holds all others up: beside one busy process on two
    processors, two threads take three to four times as long as one. `OMP_NUM_THREADS` is the most that are taken.
    """
    if config.run.threads:
        return config
    most, threads = torch.get_num_threads(), None
    with suppress(UserError):  # where there is none yet, or a damaged one, which is written anew
        threads = config_of(config.run.dir).run.threads
    if threads is None:
        idle = most if "OMP_NUM_THREADS" in os.environ or most == 1 else idle_cores()
        threads = max(1, min(most, most if idle is None else idle))
        if threads < most:
            print(f"computing on {threads} of {most} processors, as others are busy (run.threads)", file=sys.stderr)
    return config.model_copy(update={"run": config.run.model_copy(update={"threads": threads})})


def target_of(folder: Path, split: str) -> Path:
    """Where the scores of a split go."""
    return folder if split == "test" else folder / split


def tracker_of(config: Config) -> Tracker:
    """All that listens to a run besides its log."""
    step = TrainingLogger(config.run.dir / config.training.log_path).global_step
    return Tracker(open_sinks(config.tracking, config.run.dir, config.model_dump(mode="json"), step))


def config_hash(config: Config) -> str:
    """A hash of the settings that training and scores depend on: all but the run's folder and hardware, where the data
    lie and how they are read, and those of test-time conditioning, which stand beside its own scores."""
    values = config.model_dump(mode="json", exclude={"run", "tracking", "ttc", "data"})
    data = config.data.model_dump(mode="json", exclude={"root", "download", "in_memory_mb"})
    if data["files"]:
        data["files"] = {part: [Path(name).name for name in names] for part, names in data["files"].items()}
    settings = dict(flatten({**values, "data": data}, ""))
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
