"""How a peer is built and trained."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field

from ups.core.settings import Settings
from ups.peers.fno import FNOSettings
from ups.peers.unet import UNetSettings
from ups.training.optim import OptimizerSettings, SchedulerSettings
from ups.training.settings import StageSettings, TrainingSettings

PeerName = Literal["fno", "unet"]
PEERS: tuple[PeerName, ...] = get_args(PeerName)
"""Names of the peers, and of their rows in an evaluation."""
EVALUATIONS = 4
"""Scores on the validation split, evenly spread over the training."""


class PeerSettings(Settings):
    """One peer in float32; what is not set here (average, clipping, shifts) is as in the run that it is compared with.

    Good values: the defaults; `rollout_horizon` 3 for a peer that is trained on its own predictions too.
    """

    network: PeerName = "fno"
    """The Fourier neural operator or the U-Net."""
    batch_size: int = Field(default=16, ge=1)
    """Samples in an optimizer step."""
    lr: float = Field(default=1e-3, gt=0)
    """Peak learning rate of AdamW, which falls along a cosine."""
    warmup_steps: int = Field(default=50, ge=0)
    """Steps of linear growth of the rate from 0 at the start."""
    rollout_horizon: int = Field(default=1, ge=1)
    """Steps that the loss unrolls in the end; 1 trains on single steps."""
    rollout_start: float = Field(default=0.3, ge=0, le=1)
    """Share of training after which unrolling starts, with 2 steps."""
    fno: FNOSettings = FNOSettings.model_validate({})
    """Size of the Fourier neural operator."""
    unet: UNetSettings = UNetSettings.model_validate({})
    """Size of the U-Net."""

    def stage(self, seconds: float) -> StageSettings:
        """The settings of a stage that trains for so long."""
        return StageSettings(
            epochs=EVALUATIONS,
            seconds=seconds,
            batch_size=self.batch_size,
            compile=False,
            optimizer=OptimizerSettings(name="adamw", lr=self.lr),
            scheduler=SchedulerSettings(name="cosineannealinglr", warmup_steps=self.warmup_steps),
        )

    def training(self, shared: TrainingSettings) -> TrainingSettings:
        """The settings that all stages of a run share, with those of this peer in their place."""
        own = {
            "amp": False,
            "accum_steps": 1,
            "lambda_rollout": 1.0,
            "rollout_horizon": self.rollout_horizon,
            "rollout_start": self.rollout_start,
        }
        return shared.model_copy(update=own)
