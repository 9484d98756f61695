"""What every stage is built from: the data, the settings and the files of its predecessors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel
from torch import Tensor

from ups.core.errors import UserError
from ups.data.dataset import Dataset
from ups.data.fields import System
from ups.data.latent_pairs import shiftable_axes
from ups.models.autoencoder import LatentSettings
from ups.models.diffusion_residual import DiffusionSettings
from ups.models.latent_operator import OperatorSettings
from ups.training import checkpoint
from ups.training.fingerprint import fingerprint_of
from ups.training.settings import StageSettings, StagesSettings, TrainingSettings

CPU = torch.device("cpu")
RESIDUAL = ("diff_residual", "crps_ensemble", "consistency_distill")
"""Stages that learn the operator's residual."""
FILES = {"diff_residual": "diffusion_residual"}
"""Stems of the checkpoints of stages whose files are not called like them."""


@dataclass(frozen=True)
class Context:
    """A run as its stages see it.

    Attributes:
        data: The open data set.
        latent, operator, diffusion, training, stages: Settings.
        folder: The run folder.
        validation_trajectories: Trajectories of the validation split that scores during training use.
        rollout_space: Where these scores roll out.
        seed: Fixes all randomness.
        device: Where training runs.
        source: The config file, for commands named in errors.
    """

    data: Dataset
    latent: LatentSettings
    operator: OperatorSettings
    diffusion: DiffusionSettings
    training: TrainingSettings
    stages: StagesSettings
    folder: Path
    validation_trajectories: int = 32
    rollout_space: str = "field"
    seed: int = 0
    device: torch.device = CPU
    source: str = "CONFIG"

    @property
    def checkpoints(self) -> Path:
        """Folder of the weights."""
        return self.folder / "checkpoints"

    def settings(self, stage: str) -> StageSettings:
        """The settings of a stage."""
        return getattr(self.stages, stage)

    def batch_size(self, stage: str) -> int:
        """The batch size of a stage."""
        return self.settings(stage).batch_size or self.training.batch_size

    def loading(self, stage: str) -> dict[str, Any]:
        """How the batches of a stage are drawn and read, as options of `WindowBatches`."""
        data, cuda = self.data.train, self.device.type == "cuda"
        return self.training.loading(self.settings(stage), self.seed, data.in_memory, cuda)

    @property
    def shift_axes(self) -> tuple[int, ...]:
        """Axes of windows (B, T, C, *S) along which samples may be shifted: the periodic ones, if asked for."""
        return shiftable_axes(self.data.system) if self.training.shift_augmentation else ()

    @property
    def dt(self) -> float:
        """The physical time step."""
        return self.training.dt or self.data.system.dt

    @property
    def system(self) -> System:
        """What the data are, with the time step that the models are told."""
        return replace(self.data.system, dt=self.dt)

    def held_out(self) -> tuple[Tensor, Tensor]:
        """Validation trajectories (n, T, C, *S), evenly spread over the split, and their parameters (n, P)."""
        values, params = self.data.validation.spread(self.validation_trajectories)
        return values.to(self.device), params.to(self.device)

    @property
    def reserve(self) -> float:
        """Share of the training trajectories kept from the operator: none without a residual stage."""
        needed = any(self.settings(name).epochs for name in RESIDUAL)
        return self.diffusion.reserve if needed else 0.0

    def rows(self, reserved: bool) -> np.ndarray:
        """Rows of the training split that the operator sees, or those reserved for its residuals; evenly spread."""
        every = np.arange(self.data.train.n)
        share = self.reserve
        if not share:
            return every
        chosen = np.floor((every + 1) * share) > np.floor(every * share)
        if chosen.all() or not chosen.any():
            raise UserError(
                f"diffusion.reserve = {share} leaves no trajectory on one side of {len(every)}; use 0 or more"
            )
        return every[chosen] if reserved else every[~chosen]

    def fingerprint(self, stage: str, predecessors: dict[str, str]) -> dict[str, Any]:
        """Everything that decides what a stage learns, as dotted names and plain values."""
        residual = {"diffusion": self.diffusion} if stage in RESIDUAL else {}
        sections: dict[str, BaseModel] = {
            **residual,
            "latent": self.latent,
            "operator": self.operator,
            "training": self.training,
            f"stages.{stage}": self.settings(stage),
        }
        return {
            "data": self.data.hash,
            "run.seed": self.seed,
            "reserved share": self.reserve,
            "rollout.space": self.rollout_space,
            "evaluation.validation_trajectories": self.validation_trajectories,
            **fingerprint_of(sections),
            **{f"{name} checkpoint": digest for name, digest in predecessors.items()},
        }

    def require_same_models(self, path: Path, payload: dict[str, Any]) -> None:
        """Raises where a predecessor was built with other settings: its weights might fit and mean nothing."""
        own = {"latent": self.latent, "operator": self.operator, "diffusion": self.diffusion}
        for name, value in fingerprint_of(own).items():
            theirs = payload["fingerprint"].get(name, value)
            if theirs != value:
                raise UserError(f"{path} was trained with {name} = {theirs!r}, and the config now says {value!r}")

    def require(self, stage: str) -> tuple[Path, dict[str, Any]]:
        """The best weights of a predecessor, the average where there is one; missing ones name the command that makes
        them."""
        averaged, plain = (self.checkpoints / f"{FILES.get(stage, stage)}{suffix}.pt" for suffix in ("_ema", ""))
        path = averaged if self.training.ema_decay and averaged.exists() else plain
        if not path.exists():
            raise UserError(
                f"no checkpoint {plain} of stage {stage}: run `ups train --config {self.source} --stage {stage}` first"
            )
        payload = checkpoint.load(path, self.device)
        if payload.get("kind") != stage:
            raise UserError(f"{path} should hold stage {stage} and holds {payload.get('kind')!r}")
        self.require_same_models(path, payload)
        if payload["fingerprint"].get("data") != self.data.hash:
            raise UserError(
                f"{path} was trained on other data; train it again in another run.dir: "
                f"`ups train --config {self.source} --stage {stage} --set run.dir=FOLDER`"
            )
        return path, payload
