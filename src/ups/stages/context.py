"""What every stage is built from: the data, the settings and the run folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel
from torch import Tensor

from ups.core.errors import UserError
from ups.core.stages import STAGES
from ups.data.dataset import Dataset
from ups.models.autoencoder import LatentSettings
from ups.models.diffusion_residual import DiffusionSettings
from ups.models.latent_operator import OperatorSettings
from ups.training.fingerprint import fingerprint_of
from ups.training.settings import StageSettings, StagesSettings, TrainingSettings

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Context:
    """A run as its stages see it.

    Attributes:
        data: The open data set.
        latent, operator, diffusion, training, stages: Settings.
        folder: The run folder.
        command: (stage, whether from scratch) -> the command that trains a stage as set here, for errors.
        validation_trajectories: Trajectories of the validation split that scores during training use.
        rollout_space: Where these scores roll out.
        seed: Fixes all randomness.
        device: Where training runs.
    """

    data: Dataset
    latent: LatentSettings
    operator: OperatorSettings
    diffusion: DiffusionSettings
    training: TrainingSettings
    stages: StagesSettings
    folder: Path
    command: Callable[[str, bool], str]
    validation_trajectories: int = 32
    rollout_space: str = "field"
    seed: int = 0
    device: torch.device = CPU

    @property
    def checkpoints(self) -> Path:
        """Folder of the weights."""
        return self.folder / "checkpoints"

    @property
    def exact(self) -> bool:
        """Whether the codec is exact, so that there is nothing in it to train."""
        return self.latent.codec == "exact"

    def settings(self, stage: str) -> StageSettings:
        """The settings of a stage."""
        return self.stages.of(stage)

    def batch_size(self, stage: str) -> int:
        """The batch size of a stage."""
        return self.settings(stage).batch_size or self.training.batch_size

    def loading(self, stage: str) -> dict[str, Any]:
        """How the batches of a stage are drawn and read, as options of `WindowBatches`."""
        data, cuda = self.data.train, self.device.type == "cuda"
        return self.training.loading(self.settings(stage), self.seed, data.in_memory, cuda)

    @property
    def shift_axes(self) -> tuple[int, ...]:
        """Axes of windows (B, T, C, *S) along which samples are shifted."""
        return self.data.shift_axes(self.training.shift_augmentation)

    def position_notes(self) -> tuple[str, ...]:
        """What the data tell of position along each axis, and what follows from it."""
        system, notes = self.data.system, list[str]()
        for found in self.data.inhomogeneities:
            axis = system.axes[found.axis]
            told = found.axis in self.latent.position_axes(system)
            still = [] if 3 + found.axis in self.shift_axes else [f"samples are not shifted along {axis}"]
            follows = [f"the model is told the position along {axis}", *still] if told else still
            notes += [f"{found.sentence(system.axes)}: {', and '.join(follows)}"] if follows else []
        return tuple(notes)

    def held_out(self) -> tuple[Tensor, Tensor]:
        """Validation trajectories (n, T, C, *S), evenly spread over the split, and their parameters (n, P)."""
        values, params = self.data.validation.spread(self.validation_trajectories)
        return values.to(self.device), params.to(self.device)

    @property
    def reserve(self) -> float:
        """Share of the training trajectories kept from the operator: none without a residual stage."""
        needed = any(spec.residual and self.settings(name).epochs for name, spec in STAGES.items())
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

    def predecessors(self, stage: str) -> tuple[str, ...]:
        """The stages whose weights a stage loads; an operator that trains its codec can do without stage 0, and with an
        exact codec nothing is loaded for the codec's sake."""
        if stage == "operator" and self.training.train_codec and not self.settings("autoencoder").epochs:
            return ()
        return STAGES[stage].needs(self.exact)

    def fingerprint(self, stage: str, predecessors: dict[str, str]) -> dict[str, Any]:
        """Everything that decides what a stage learns, as dotted names and plain values."""
        residual = {"diffusion": self.diffusion} if STAGES[stage].residual else {}
        sections: dict[str, BaseModel] = {
            **residual,
            "latent": self.latent,
            "operator": self.operator,
            "training": self.training,
            f"stages.{stage}": self.settings(stage),
        }
        return {
            "data": self.data.hash,
            "data.strides": list(self.data.settings.strides),
            "run.seed": self.seed,
            "reserved share": self.reserve,
            "rollout.space": self.rollout_space,
            "evaluation.validation_trajectories": self.validation_trajectories,
            **fingerprint_of(sections),
            **{f"{name} checkpoint": digest for name, digest in predecessors.items()},
        }
