"""How a peer is built and trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import Field, model_validator

from ups.core.settings import Settings, require_all
from ups.peers.convnext import ConvNeXtSettings
from ups.peers.fno import FNOSettings
from ups.peers.unet import UNetSettings
from ups.training.optim import OptimizerSettings, SchedulerSettings
from ups.training.settings import StageSettings, TrainingSettings

PeerName = Literal["fno", "unet", "convnext"]
PEERS: tuple[PeerName, ...] = get_args(PeerName)
"""Names of the peers, and of their rows in an evaluation."""
EVALUATIONS = 4
"""Scores on the validation split, evenly spread over the training."""
EPOCHS = 20
"""Epochs of a training by updates, few enough steps each that no training split runs out of windows."""


@dataclass(frozen=True)
class Updates:
    """A length of training in optimizer steps, a multiple of `EPOCHS`."""

    count: int


Length = float | Updates
"""Seconds or updates."""


def lasting(length: Length) -> dict[str, Any]:
    """Settings of a stage of this length with `EVALUATIONS` scores; raises ValueError for updates that are no multiple
    of `EPOCHS`."""
    if not isinstance(length, Updates):
        return {"epochs": EVALUATIONS, "seconds": length}
    if length.count % EPOCHS:
        raise ValueError(f"updates must be a multiple of {EPOCHS}, found {length.count}")
    passes = {"epochs": EPOCHS, "validate_every": EPOCHS // EVALUATIONS}
    return {"seconds": None, "steps_per_epoch": length.count // EPOCHS, **passes}


class PeerSettings(Settings):
    """One peer in float32; what is not set here (average, clipping, shifts) is as in the run that it is compared with.

    Good values: the defaults; `rollout_horizon` 3 for a peer that is trained on its own predictions too.
    """

    network: PeerName = "fno"
    """The Fourier neural operator, the U-Net or the ConvNeXt U-Net."""
    batch_size: int = Field(default=16, ge=1)
    """Samples in an optimizer step."""
    lr: float = Field(default=1e-3, gt=0)
    """Peak learning rate, which falls along a cosine."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """`muon` orthogonalises the updates of matrices, as in the stages of UPS, and leaves the rest to AdamW at the same
    rate; not for complex weights."""
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
    convnext: ConvNeXtSettings = ConvNeXtSettings.model_validate({})
    """Size of the ConvNeXt U-Net."""

    @model_validator(mode="after")
    def _real(self) -> PeerSettings:
        imaginary = self.optimizer == "muon" and self.network == "fno" and self.fno.products == "complex"
        require_all({"optimizer: muon takes real matrices: set fno.products to real, found complex": imaginary})
        return self

    def stage(self, length: Length) -> StageSettings:
        """The settings of a stage of this length."""
        return StageSettings(
            **lasting(length),
            batch_size=self.batch_size,
            compile=False,
            optimizer=OptimizerSettings(name=self.optimizer, lr=self.lr),
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
