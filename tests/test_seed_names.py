"""What the original description calls works as it calls it: functions of `scripts/train.py`, modules, loggers."""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

from tests.small import config
from ups.core.blocks_pdet import PDETransformerConfig
from ups.core.errors import UserError
from ups.core.latent_state import LatentState
from ups.data.latent_pairs import build_latent_pair_loader
from ups.models.diffusion_residual import DiffusionResidual, DiffusionResidualConfig
from ups.models.latent_operator import LatentOperator, LatentOperatorConfig
from ups.models.steady_prior import SteadyPrior, SteadyPriorConfig
from ups.surrogate.surrogate import Surrogate
from ups.training.losses import compute_operator_loss_bundle

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


def pdet() -> PDETransformerConfig:
    """The backbone of the description's template."""
    template: dict[str, Any] = {
        "input_dim": 32,
        "hidden_dim": 64,
        "depths": [1, 1, 1],
        "group_size": 16,
        "num_heads": 8,
    }
    return PDETransformerConfig(**template)


@pytest.mark.parametrize("tokens", [48, 64, 30])
def test_an_operator_is_built_from_its_config_and_learns_a_step_of_any_number_of_tokens(tokens: int) -> None:
    torch.manual_seed(0)
    operator = LatentOperator(LatentOperatorConfig(latent_dim=32, pdet=pdet(), time_embed_dim=32))
    z = torch.randn(4, tokens, 32)
    state = operator(LatentState(z=z, t=torch.tensor(0.0), cond={}), torch.tensor(0.1))
    torch.testing.assert_close(state.z, z)
    assert float(state.t) == pytest.approx(0.1)
    before, after = learnt(operator, lambda: operator(LatentState(z=z), torch.tensor(0.1)).z, z.roll(1, dims=1))
    assert after < 0.7 * before


@pytest.mark.parametrize("cond", [{}, {"params": torch.rand(4, 2)}])
def test_a_residual_network_is_built_from_its_config_and_learns_a_drift(cond: dict[str, torch.Tensor]) -> None:
    torch.manual_seed(0)
    diff = DiffusionResidual(DiffusionResidualConfig(latent_dim=32, hidden_dim=64, cond_dim=2 if cond else 0))
    predicted, tau = LatentState(z=torch.randn(4, 48, 32), cond=cond), torch.rand(4)
    assert torch.equal(diff(predicted, tau), torch.zeros(4, 48, 32))
    before, after = learnt(diff, lambda: diff(predicted, tau), predicted.z.roll(1, dims=1))
    assert after < 0.7 * before


def test_a_residual_is_not_weighted() -> None:
    with pytest.raises(UserError, match=r"residual_guidance_weight must be 1, found 2\.0"):
        DiffusionResidualConfig(latent_dim=32, residual_guidance_weight=2.0)


def test_a_steady_prior_is_built_from_its_config_and_learns_where_a_latent_settles() -> None:
    torch.manual_seed(0)
    prior = SteadyPrior(SteadyPriorConfig(latent_dim=32, hidden_dim=64, num_steps=3, cond_dim=1))
    state = LatentState(z=torch.randn(4, 48, 32), cond={"params": torch.rand(4, 1)})
    assert torch.equal(prior(state).z, state.z)
    torch.testing.assert_close(prior(LatentState(state.z), cond=state.cond).z, prior(state).z)
    before, after = learnt(prior, lambda: prior(state).z, state.z.roll(1, dims=1))
    assert after < 0.7 * before


def learnt(model: nn.Module, predict: Callable[[], Tensor], target: Tensor, steps: int = 30) -> tuple[float, float]:
    """Mean squared error before and after a few steps of training as the description writes them."""
    optimizer, losses = torch.optim.AdamW(model.parameters(), lr=3e-3), []
    for _ in range(steps):
        loss = nn.functional.mse_loss(predict(), target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses[0], losses[-1]


def test_the_losses_of_a_step_take_the_arguments_that_are_described() -> None:
    z, target, coords = torch.randn(2, 8, 4), torch.randn(2, 8, 4), torch.rand(1, 8, 1)
    weights = {"lambda_forward": 1.0, "lambda_inv_enc": 0.1, "lambda_inv_dec": 0.2, "lambda_spectral": 0.0}
    bundle = compute_operator_loss_bundle(
        input_fields=3 * z,
        encoded_latent=z,
        decoder=lambda latent: 2 * latent,
        input_positions=coords,
        encoder=lambda fields: fields,
        query_positions=coords,
        coords=coords,
        meta={},
        pred_next=z,
        target_next=target,
        pred_rollout=None,
        target_rollout=None,
        spectral_pred=z,
        spectral_target=target,
        weights={**weights, "lambda_rollout": 0.0},
        current_epoch=100,
    )
    forward, square = (z - target).square().mean(), z.square().mean()
    assert bundle.components.keys() == {"L_forward", "L_inv_enc", "L_inv_dec"}
    torch.testing.assert_close(bundle.total, forward + 0.05 * square + 0.05 * square)  # both at their cap
    with pytest.raises(TypeError, match="the unexpected arguments coordinates"):
        compute_operator_loss_bundle(pred_next=z, target_next=z, weights={}, current_epoch=0, coordinates=coords)


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("ups.utils.wandb_context", ["WandBContext", "save_wandb_context", "load_wandb_context"]),
        ("ups.core.latent_state", ["LatentState"]),
        ("ups.core.blocks_pdet", ["PDETransformerConfig"]),
        ("ups.models.latent_operator", ["LatentOperator", "LatentOperatorConfig"]),
        ("ups.models.diffusion_residual", ["DiffusionResidual", "DiffusionResidualConfig"]),
        ("ups.models.steady_prior", ["SteadyPrior", "SteadyPriorConfig"]),
        (
            "ups.training.losses",
            ["LossBundle", "compute_operator_loss_bundle", "compute_inverse_loss_curriculum_weight"],
        ),
        ("ups.data.latent_pairs", ["build_latent_pair_loader"]),
    ],
)
def test_modules_hold_what_is_looked_for_in_them(module: str, names: list[str]) -> None:
    assert all(hasattr(importlib.import_module(module), name) for name in names)
