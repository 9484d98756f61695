"""Models that the surrogate is compared with, trained in its run folder before they are scored beside it."""

from __future__ import annotations

from pathlib import Path

import torch

from ups.config import Config
from ups.data.dataset import Dataset
from ups.evaluation.forecaster import Forecaster
from ups.peers.forecaster import PeerForecaster
from ups.peers.one_step import ResidualForecaster
from ups.peers.settings import PeerSettings
from ups.peers.stage import PeerRun, build
from ups.run.stage import train_stage
from ups.training.saved import Saved, read


def train_baselines(
    config: Config, data: Dataset, folder: Path, seconds: float, device: torch.device
) -> dict[str, Forecaster]:
    """The models of `evaluation.baselines`, each trained for `seconds` unless that was done before."""
    own, found = config.evaluation, {}
    for name in own.baselines:
        settings, given = PeerSettings(network=name), (own.validation_trajectories, config.run.seed, device)
        found[name] = train_peer(PeerRun(name, settings, config.training, data, seconds, *given), folder, own.batch)
    return found


def train_peer(run: PeerRun, folder: Path, batch: int = 64) -> PeerForecaster:
    """Trains a peer, or goes on, or loads it where it is finished.

    Args:
        run: What is trained, and for how long.
        folder: The run folder.
        batch: States that the result rolls out at once.

    Raises:
        UserError: Its checkpoints were made with other settings, data or time, or a package is missing.
    """
    settings = run.settings.stage(run.length)
    model = train_stage(build(run), settings, run.training, folder, seed=run.seed, device=run.device)
    assert isinstance(model, ResidualForecaster)
    seconds = read(Saved, folder / "checkpoints" / f"{run.name}.pt", "remove it and evaluate again").train_seconds
    return PeerForecaster(model.requires_grad_(False), seconds, batch, run.device)
