"""A run that is killed again and again, once in every stage, ends with the same bits as one that is not."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from tests.small import config
from ups.config import load_config
from ups.run.train import run
from ups.training import checkpoint

STEMS = {
    "autoencoder": "autoencoder",
    "operator": "operator",
    "diff_residual": "diffusion_residual",
    "crps_ensemble": "crps_ensemble",
    "consistency_distill": "consistency_distill",
    "steady_prior": "steady_prior",
}
STAGES = {name: {"epochs": 12, "optimizer": {"name": "muon", "lr": 3e-3}} for name in STEMS}
TIMINGS = {"epoch_time_sec", "ms_per_step", "train_seconds", "config_hash", "break_even"}


def slow_config(folder: Path) -> Path:
    """All stages, with a save after every step or two."""
    return config(
        folder,
        training={"batch_size": 8, "steps_per_epoch": 6, "ema_decay": 0.9, "checkpoint_seconds": 0.02},
        stages={**STAGES, "steady_prior": {**STAGES["steady_prior"], "tolerance": 100.0, "num_steps": 2}},
        diffusion={"hidden_dim": 16, "depths": [1], "num_heads": 2, "group_size": 8, "reserve": 0.25, "steps": 2},
        evaluation={"bootstrap": 100, "pictures": False, "members": 2, "nfe": [2], "one_step_members": 1},
    )


def kill_in(stage: str, path: Path, moments: random.Random) -> None:
    """Runs the command until it is some way into `stage`, and kills it."""
    command = [str(Path(sys.executable).parent / "ups"), "run", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    begun = path.parent / "run" / "checkpoints" / f"{STEMS[stage]}_resume.pt"
    while not begun.exists():
        assert process.poll() is None, f"the run ended before stage {stage}"
        time.sleep(0.005)
    time.sleep(moments.uniform(0.0, 0.2))
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run ended before it was killed: make it longer"


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k not in TIMINGS}
    return [timeless(v) for v in value] if isinstance(value, list) else value


def assert_same(a: Path, b: Path) -> None:
    """Weights, log and scores of two run folders are equal, timings apart."""
    for name in (f"{stem}{kind}" for stem in STEMS.values() for kind in ("", "_ema")):
        one, two = (checkpoint.load(folder / "checkpoints" / f"{name}.pt")["state"] for folder in (a, b))
        assert one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one), name
    logs = [(folder / "reports/training_log.jsonl").read_text().splitlines() for folder in (a, b)]
    assert [timeless(json.loads(line)) for line in logs[0]] == [timeless(json.loads(line)) for line in logs[1]]
    scores = [timeless(json.loads((folder / "metrics.json").read_text())) for folder in (a, b)]
    assert scores[0] == scores[1]


def test_a_run_killed_once_in_every_stage_ends_with_the_same_bits(tmp_path: Path) -> None:
    path, moments = slow_config(tmp_path), random.Random(0)
    whole = run(load_config(path, [f"run.dir={tmp_path / 'whole'}"]))
    for stage in STAGES:
        kill_in(stage, path, moments)
    run(load_config(path))
    assert_same(whole.folder, tmp_path / "run")
