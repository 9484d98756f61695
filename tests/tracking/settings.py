"""What the processes and tests of the trackers share."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ups.tracking.wandb_client import Mode

METRICS: dict[str, Any] = {
    "protocol": {"split": "test"},
    "rows": [
        {"model": "persistence", "error": None, "rollout": {"nrmse": 1.5, "nrmse_per_frame": [1.0, 2.0]}},
        {"model": "operator", "error": None, "rollout": {"nrmse": 0.25, "vrmse": None}, "nfe_per_step": 1},
    ],
    "ledger": [
        {"model": "persistence", "nrmse": 1.5, "gain": None, "verdict": ""},
        {"model": "operator", "nrmse": 0.25, "gain": {"value": 0.8}, "verdict": "pays"},
    ],
}


@dataclass(frozen=True)
class Wandb:
    """Settings of Weights & Biases."""

    mode: Mode = "offline"
    project: str = "tests"
    entity: str | None = None
    tags: tuple[str, ...] = ("toy",)


@dataclass(frozen=True)
class Tracking:
    """Settings of all trackers."""

    wandb: Wandb = Wandb()
    tensorboard: bool = False


def environment(folder: Path, **extra: str) -> dict[str, str]:
    """Without keys, without a home, and with a server that refuses connections."""
    mine = {k: v for k, v in os.environ.items() if not k.startswith("WANDB")}
    return mine | {
        "HOME": str(folder),
        "NETRC": str(folder / "netrc"),
        "WANDB_BASE_URL": "http://127.0.0.1:9",
        "WANDB_SILENT": "true",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), mine.get("PYTHONPATH", "")]),
        **extra,
    }


def start(what: str, folder: Path, mode: Mode, **extra: str) -> subprocess.CompletedProcess[str]:
    """One of the processes below, to its end."""
    command = [sys.executable, "-m", f"tests.tracking.{what}", str(folder), mode]
    return subprocess.run(command, env=environment(folder, **extra), capture_output=True, text=True, timeout=60)


def said(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What a process wrote to stderr besides the lines of its epochs."""
    return [line for line in done.stderr.splitlines() if not line.startswith("operator  epoch")]
