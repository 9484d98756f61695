"""What the original description calls works as it calls it: functions of `scripts/train.py`, modules, loggers."""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import yaml

from tests.small import config
from ups.core.errors import UserError
from ups.core.latent_state import LatentState
from ups.data.latent_pairs import build_latent_pair_loader
from ups.surrogate.surrogate import Surrogate

SCRIPT = Path(__file__).parents[1] / "scripts" / "train.py"


@pytest.fixture(scope="module")
def train() -> ModuleType:
    """`import train` with scripts/ on the path."""
    spec = importlib.util.spec_from_file_location("train", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def cfg(tmp_path: Path) -> dict[str, Any]:
    """A config as plain values, with all stages but the steady prior."""
    stages = {
        "autoencoder": {"epochs": 0},
        "operator": {"epochs": 2},
        "diff_residual": {"epochs": 1},
        "consistency_distill": {"epochs": 1},
    }
    small = {"hidden_dim": 16, "depths": [1], "num_heads": 2, "group_size": 8, "steps": 2}
    return yaml.safe_load(config(tmp_path, stages=stages, diffusion=small).read_text())


class Heard:
    """A W&B context that keeps what it hears."""

    enabled = True

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.finished = False

    def log_training_metrics(self, stage: str, values: dict[str, float], step: int) -> None:
        self.stages.append(stage)

    def finish(self, code: int = 0) -> None:
        self.finished = True

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: None


def test_stages_train_one_after_the_other_and_the_caller_keeps_its_tracker(train: ModuleType, cfg: dict) -> None:
    heard = Heard()
    train.train_operator(cfg, wandb_ctx=heard, global_step=0)
    train.train_diffusion(cfg, wandb_ctx=heard, global_step=2)
    folder = train.train_consistency(cfg, wandb_ctx=heard, global_step=3)
    assert heard.stages == ["operator", "operator", "diff_residual", "consistency_distill"] and not heard.finished
    lines = [json.loads(line) for line in (folder / "reports" / "training_log.jsonl").read_text().splitlines()]
    assert [line["global_step"] for line in lines] == [1, 2, 3, 4]
    assert set(Surrogate.load(folder).heads) == {"diffusion", "consistency"}


def test_all_stages_train_and_are_scored(train: ModuleType, cfg: dict) -> None:
    folder = train.train_all_stages(cfg)
    rows = json.loads((folder / "metrics.json").read_text())["rows"]
    assert "operator" in [row["model"] for row in rows]


def test_a_config_in_memory_is_checked_as_a_file_is(train: ModuleType, cfg: dict) -> None:
    with pytest.raises(UserError, match=r"did you mean `latent\.tokens`"):
        train.train_operator({**cfg, "latent": {"tokns": 8}})


def test_an_operator_advances_the_latents_of_a_batch(train: ModuleType, cfg: dict) -> None:
    operator = train.make_operator(cfg)
    latents = torch.randn(3, 4, 8, 8)
    loader = build_latent_pair_loader(latents.numpy(), torch.full((3, 1), 0.4), 0.05, 2)
    z0, z1, cond = train.unpack_batch(next(loader(0)))
    assert z0.shape == z1.shape == (2, 8, 8) and cond["dt"].tolist() == pytest.approx([0.05, 0.05])
    after = operator(LatentState(z0, cond={"params": cond["params"]}), cond["dt"])
    torch.testing.assert_close(after.z, z0)  # the untrained operator is the identity


def test_a_logger_writes_the_lines_that_are_described(train: ModuleType, tmp_path: Path) -> None:
    path, heard = tmp_path / "log.jsonl", Heard()
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.25)
    logger = train.TrainingLogger({"training": {"log_path": str(path)}}, "operator", global_step=7, wandb_ctx=heard)
    logger.log(epoch=1, loss=0.5, optimizer=optimizer, patience_counter=0, grad_norm=2.0)
    logger.log(epoch=2, loss=0.4, optimizer=optimizer)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0] == {
        "stage": "operator",
        "epoch": 1,
        "loss": 0.5,
        "global_step": 8,
        "lr": 0.25,
        "epochs_since_improve": 0,
        "grad_norm": 2.0,
    }
    assert lines[1]["global_step"] == logger.global_step == 9 and heard.stages == ["operator", "operator"]


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("ups.utils.wandb_context", ["WandBContext", "save_wandb_context", "load_wandb_context"]),
        ("ups.core.latent_state", ["LatentState"]),
        ("ups.core.blocks_pdet", ["PDETransformerConfig"]),
        ("ups.models.latent_operator", ["LatentOperator", "LatentOperatorConfig"]),
        ("ups.models.diffusion_residual", ["DiffusionResidual"]),
        ("ups.models.steady_prior", ["SteadyPrior"]),
        (
            "ups.training.losses",
            ["LossBundle", "compute_operator_loss_bundle", "compute_inverse_loss_curriculum_weight"],
        ),
        ("ups.data.latent_pairs", ["build_latent_pair_loader"]),
    ],
)
def test_modules_hold_what_is_looked_for_in_them(module: str, names: list[str]) -> None:
    assert all(hasattr(importlib.import_module(module), name) for name in names)
