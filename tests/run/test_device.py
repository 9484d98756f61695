"""Scores of a run are computed on `run.device`, and a result hands out its model on it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.pretend_gpu import GPU, OnGpu, pretend_gpu
from tests.small import config
from ups.config import load_config
from ups.run import score
from ups.run import train as run_train
from ups.run.score import evaluate_run
from ups.run.train import RunResult, train


def test_all_rows_are_scored_on_the_device_and_are_those_of_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few: dict[str, Any] = {"epochs": 1, "optimizer": {"name": "adamw", "lr": 1e-3}}
    names = ("operator", "diff_residual", "consistency_distill")
    stages = {**{name: few for name in names}, "steady_prior": {**few, "num_steps": 2, "tolerance": 1e3}}
    scored = {"trajectories": 2, "members": 2, "one_step_members": 1, "validation_trajectories": 2}
    small = {"hidden_dim": 16, "depths": [1], "num_heads": 2, "group_size": 8, "steps": 2}
    path = config(
        tmp_path,
        stages={"autoencoder": {**few}, **stages},
        diffusion=small,
        training={"steps_per_epoch": 2},
        evaluation=scored,
        ttc={"enabled": True, "candidates": 2, "beam_width": 2, "horizon": 2},
    )
    chosen = load_config(path)
    folder = train(chosen)
    here = evaluate_run(folder, config=chosen)
    for module in (score, run_train):
        monkeypatch.setattr(module, "device_of", lambda name: GPU)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    with pretend_gpu():
        model = RunResult(folder, None, chosen.run.device).model
        assert all(isinstance(weight, OnGpu) for weight in model.model.parameters())
        there = evaluate_run(folder, config=chosen)
    assert there.protocol.device == "a GPU" and there.ttc is not None and there.ttc.device == "a GPU"
    found = {row.model: row.rollout.nrmse for row in there.rows}
    assert {"diffusion@2", "consistency@1", "steady_prior", "ttc"} <= found.keys()
    assert found == pytest.approx({row.model: row.rollout.nrmse for row in here.rows}, rel=1e-4)
