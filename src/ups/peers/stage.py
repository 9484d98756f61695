"""The stage that trains a peer: relative error of one step, or of a rollout, on the fields of the training split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ups.data.dataset import Dataset
from ups.data.latent_pairs import Windows, build_field_loader
from ups.peers.convnext import ConvNeXt
from ups.peers.fno import fno
from ups.peers.forecaster import CPU
from ups.peers.one_step import ResidualForecaster, change_std, roll_out
from ups.peers.settings import Length, PeerSettings
from ups.peers.unet import UNet
from ups.training.curriculum import horizon
from ups.training.fingerprint import fingerprint_of
from ups.training.forecast_score import forecast_score
from ups.training.losses import relative_l2
from ups.training.settings import StageSettings, TrainingSettings
from ups.training.stage import Progress, Stage


@dataclass(frozen=True)
class PeerRun:
    """A peer and the run that it is compared with.

    Attributes:
        name: Stem of its checkpoints.
        settings: How it is built and trained.
        shared: `training` of the run.
        data: The data set of the run.
        length: Seconds or updates to train for.
        validation_trajectories: Trajectories of the validation split that choose its best epoch.
        seed: Fixes all randomness.
        device: Where it is trained.
    """

    name: str
    settings: PeerSettings
    shared: TrainingSettings
    data: Dataset
    length: Length
    validation_trajectories: int = 32
    seed: int = 0
    device: torch.device = CPU

    @property
    def training(self) -> TrainingSettings:
        """The shared settings as they hold for the peer."""
        return self.settings.training(self.shared)


def build(run: PeerRun) -> Stage:
    """The stage; its model is a `ResidualForecaster`."""
    train, training, settings = run.data.train, run.training, run.settings.stage(run.length)
    loader = build_field_loader(
        train,
        np.arange(train.n),
        run.data.system.dt,
        training.rollout_horizon + 1,
        run.settings.batch_size,
        weights=run.data.visits(training.emphasis),
        shift_axes=run.data.shift_axes(training.shift_augmentation),
        **training.loading(settings, run.seed, train.in_memory, run.device.type == "cuda"),
    )
    forecaster = new_forecaster(run)
    truth, params = (x.to(run.device) for x in run.data.validation.spread(run.validation_trajectories))

    def loss(model: nn.Module, batch: Windows, progress: Progress) -> dict[str, Tensor]:
        steps = horizon(training, progress.fraction)
        ahead = roll_out(lambda u: model(u, batch.params), batch.frames[:, 0], steps)
        predicted, target = (forecaster.standardised(u) for u in (ahead, batch.frames[:, 1 : steps + 1]))
        return {"loss": relative_l2(predicted.flatten(0, 1), target.flatten(0, 1))}

    def rollout(model: nn.Module, u0: Tensor, steps: int) -> Tensor:
        return roll_out(lambda u: model(u, params), u0, steps)

    return Stage(
        run.name,
        forecaster,
        loader,
        loader.steps_per_epoch,
        loss,
        forecast_score(truth, rollout, training.select_by, run.data.statistics.std),
        fingerprint=fingerprint(run, settings),
    )


def fingerprint(run: PeerRun, settings: StageSettings) -> dict[str, Any]:
    """Everything that decides what a peer learns, as dotted names and plain values."""
    sections = {run.name: run.settings, "training": run.training, f"stages.{run.name}": settings}
    own = {"data": run.data.hash, "run.seed": run.seed}
    return {**own, "evaluation.validation_trajectories": run.validation_trajectories, **fingerprint_of(sections)}


def new_forecaster(run: PeerRun) -> ResidualForecaster:
    """A forecaster with fresh weights and the training split's statistics."""
    torch.manual_seed(run.seed)
    system, statistics = run.data.system, run.data.statistics
    model = ResidualForecaster(new_network(run), system)
    for buffer, values in (
        (model.mean, statistics.mean),
        (model.std, statistics.std),
        (model.param_mean, statistics.param_mean),
        (model.param_std, statistics.param_std),
        (model.change_std, change_std(run.data.train, run.data.statistics.std)),
    ):
        buffer.copy_(torch.as_tensor(values))
    return model


def new_network(run: PeerRun) -> nn.Module:
    """The network that the settings name, with a channel for every field, parameter and axis."""
    system, settings = run.data.system, run.settings
    channels = len(system.channels)
    inputs = channels + len(system.param_names) + len(system.shape)
    if settings.network == "fno":
        return fno(settings.fno, inputs, channels, system.domain)
    if settings.network == "convnext":
        return ConvNeXt(settings.convnext, inputs, channels, system.shape)
    return UNet(settings.unet, inputs, channels, system.shape)
