"""Training from a config in memory, a function for each stage; `scripts/train.py` exports them.

from train import train_all_stages  # with scripts/ on the path
train_all_stages(yaml.safe_load(text), wandb_ctx)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from ups.config import Config, load_config
from ups.config.source import to_yaml
from ups.data.latent_pairs import Windows
from ups.models.latent_operator import LatentOperator
from ups.run.train import prepare, run, train
from ups.stages.autoencoder import new_model
from ups.tracking import training_logger
from ups.tracking.sinks import Tracker, WandbSink
from ups.tracking.wandb_context import WandBContext

Values = Config | Mapping[str, Any]
"""A config, or the plain values of one."""


class LentSink(WandbSink):
    """Feeds a Weights & Biases run that its owner finishes."""

    def close(self, failed: bool) -> None:
        """The run goes on."""


def read_config(cfg: Values) -> Config:
    """The config of plain values, checked as a file is; without `run.dir` its folder is `runs/train`.

    Raises UserError with a line for each problem.
    """
    if isinstance(cfg, Config):
        return cfg
    with TemporaryDirectory() as folder:
        path = Path(folder) / "train.yaml"
        path.write_text(to_yaml(dict(cfg)), encoding="utf-8")
        return load_config(path)


def train_all_stages(cfg: Values, wandb_ctx: WandBContext | None = None) -> Path:
    """Trains all stages that have epochs, in order, and then scores the run unless `evaluation.enabled` is false.

    Args:
        cfg: The config.
        wandb_ctx: The run that hears of it, which stays open; those of `tracking` unless given.

    Returns:
        The run folder.
    """
    return run(read_config(cfg), _tracker(wandb_ctx)).folder


def train_operator(cfg: Values, wandb_ctx: WandBContext | None = None, global_step: int = 0) -> Path:
    """Trains stage 1 as `train_all_stages` does; the log counts global steps on, whatever `global_step` says."""
    return _train(cfg, "operator", wandb_ctx)


def train_diffusion(cfg: Values, wandb_ctx: WandBContext | None = None, global_step: int = 0) -> Path:
    """Trains stage 2, as `train_operator` does stage 1."""
    return _train(cfg, "diff_residual", wandb_ctx)


def train_consistency(cfg: Values, wandb_ctx: WandBContext | None = None, global_step: int = 0) -> Path:
    """Trains stage 3, as `train_operator` does stage 1."""
    return _train(cfg, "consistency_distill", wandb_ctx)


def train_steady_prior(cfg: Values, wandb_ctx: WandBContext | None = None, global_step: int = 0) -> Path:
    """Trains stage 4, as `train_operator` does stage 1."""
    return _train(cfg, "steady_prior", wandb_ctx)


def make_operator(cfg: Values) -> LatentOperator:
    """The untrained operator of a config, with the statistics of its data, which are opened, or generated, for that."""
    return new_model(prepare(read_config(cfg))).operator


def unpack_batch(batch: Windows) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Latents before and after a step, (B, N, D) each, and the conditions: `params` (B, P) and `dt` (B,)."""
    return batch.frames[:, 0], batch.frames[:, 1], {"params": batch.params, "dt": batch.dt}


class TrainingLogger:
    """The log of one stage: a line for each epoch, with a global step that counts on from what is there.

    Args:
        cfg: The config, of which `training.log_path` is read; below the run folder, if `cfg` names one.
        stage: Name of the stage.
        global_step: The count of an empty log.
        wandb_ctx: A run that hears of every epoch.
    """

    def __init__(self, cfg: Values, stage: str, global_step: int = 0, wandb_ctx: WandBContext | None = None):
        values = cfg.model_dump() if isinstance(cfg, Config) else cfg
        folder = Path(values.get("run", {}).get("dir", "."))
        self.log_path = folder / values.get("training", {}).get("log_path", "reports/training_log.jsonl")
        sinks = [LentSink(wandb_ctx).epoch] if wandb_ctx is not None else []
        self.stage, self._log = stage, training_logger.TrainingLogger(self.log_path, sinks)
        self._log.global_step = max(self._log.global_step, global_step)

    @property
    def global_step(self) -> int:
        """Epochs of all stages so far."""
        return self._log.global_step

    def log(
        self,
        *,
        epoch: int,
        loss: float,
        optimizer: Optimizer,
        patience_counter: int | None = None,
        grad_norm: float | None = None,
        **more: Any,
    ) -> None:
        """Writes one epoch, with the learning rate of the optimizer's first group."""
        own = {"epochs_since_improve": patience_counter, "grad_norm": grad_norm, **more}
        entry = {"stage": self.stage, "epoch": epoch, "loss": loss, "lr": optimizer.param_groups[0]["lr"]}
        self._log.write(entry | {name: value for name, value in own.items() if value is not None})


def _tracker(wandb_ctx: WandBContext | None) -> Tracker | None:
    return None if wandb_ctx is None else Tracker((LentSink(wandb_ctx),))


def _train(cfg: Values, stage: str, wandb_ctx: WandBContext | None) -> Path:
    return train(read_config(cfg), stage, tracker=_tracker(wandb_ctx))
