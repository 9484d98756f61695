"""Optimizers, and learning rates as closed functions of progress."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from pydantic import Field
from torch import nn

from ups.core.settings import Settings
from ups.training.muon import Muon, matrices_of

SMALLEST = 16
"""Rows and columns that a matrix needs for Muon."""


class OptimizerSettings(Settings):
    """The optimizer of a stage.

    Good values: `muon` with lr 2e-3 to 8e-3 for transformers and codecs (AdamW takes what is no matrix, at the same
    rate), the higher for short trainings on single steps; `adamw` with 1e-3.
    """

    name: Literal["adamw", "muon", "adam", "sgd"] = "adamw"
    """`muon` orthogonalises the updates of matrices (Newton-Schulz), those of convolutions and of each frequency of the
    spectral mixing among them, large ones in bfloat16 where the device computes it natively, and uses AdamW for all
    else."""
    lr: float = Field(default=1e-3, gt=0, le=100)
    """Peak learning rate."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Averaging factors of Adam's moments."""
    momentum: float = Field(default=0.95, ge=0, lt=1)
    """Momentum of Muon and SGD."""


class SchedulerSettings(Settings):
    """The learning rate over a stage.

    Good values: `cosineannealinglr` with `warmup_steps` 50 to 200.
    """

    name: Literal["cosineannealinglr", "steplr", "reducelronplateau", "constantlr"] = "cosineannealinglr"
    """Named as in torch.optim.lr_scheduler; the rate changes with every step, not only between epochs."""
    t_max: float | None = Field(default=None, gt=0)
    """Epochs from the peak to `eta_min` (cosine); all epochs of the stage unless given."""
    eta_min: float = Field(default=0.0, ge=0)
    """Lowest rate (cosine, plateau)."""
    step_size: int = Field(default=10, ge=1)
    """Epochs between reductions (step)."""
    gamma: float = Field(default=0.5, gt=0, le=1)
    """Factor of a reduction (step, plateau)."""
    patience: int = Field(default=3, ge=0)
    """Evaluations without improvement before a reduction (plateau)."""
    warmup_steps: int = Field(default=0, ge=0)
    """Steps of linear growth from 0 at the start."""


def learning_rate(
    settings: SchedulerSettings, peak: float, step: int, epoch: float, epochs: float, reductions: int = 0
) -> float:
    """The rate of optimizer step `step`, `epoch` epochs (with fraction) into a stage of `epochs`.

    cosine: eta_min + (peak - eta_min) (1 + cos(pi min(epoch / t_max, 1))) / 2; step: peak gamma^floor(epoch /
        step_size);
    plateau: peak gamma^reductions; each times min(1, (step + 1) / warmup_steps).
    """
    warmup = min(1.0, (step + 1) / settings.warmup_steps) if settings.warmup_steps else 1.0
    if settings.name == "cosineannealinglr":
        progress = min(epoch / (settings.t_max or epochs), 1.0)
        rate = settings.eta_min + (peak - settings.eta_min) * 0.5 * (1 + math.cos(math.pi * progress))
    elif settings.name == "steplr":
        rate = peak * settings.gamma ** math.floor(epoch / settings.step_size)
    elif settings.name == "reducelronplateau":
        rate = max(peak * settings.gamma**reductions, settings.eta_min)
    else:
        rate = peak
    return warmup * rate


def build_optimizers(model: nn.Module, settings: OptimizerSettings) -> list[torch.optim.Optimizer]:
    """One optimizer, or two where Muon takes the matrices and AdamW the rest."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    fused = not any(p.is_complex() for p in parameters)  # torch has no fused update of complex weights
    adam = {"lr": settings.lr, "betas": settings.betas, "weight_decay": settings.weight_decay, "fused": fused}
    if settings.name == "sgd":
        return [
            torch.optim.SGD(parameters, lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay)
        ]
    if settings.name == "adam":
        return [torch.optim.Adam(parameters, **adam)]
    if settings.name == "adamw":
        return [torch.optim.AdamW(parameters, **adam)]
    groups = matrix_groups(model)
    taken = {id(p) for group in groups for p in group["params"]}
    rest = [p for p in parameters if id(p) not in taken]
    optimizers: list[torch.optim.Optimizer] = []
    if groups:
        optimizers.append(Muon(groups, settings.lr, settings.momentum, settings.weight_decay))
    if rest:
        optimizers.append(torch.optim.AdamW(rest, **adam))
    return optimizers


def matrix_groups(model: nn.Module) -> list[dict[str, Any]]:
    """Parameters that hold matrices with both sides of at least `SMALLEST`: groups of Muon, convolutions apart.

    Muon is for matrices between features. A smaller one has too few singular values to say much.
    """
    convolutions = {id(m.weight) for m in model.modules() if isinstance(m, nn.Conv1d | nn.Conv2d | nn.Conv3d)}
    groups = []
    for convolution in (False, True):
        fitting = [
            p
            for p in model.parameters()
            if p.requires_grad
            and p.ndim >= 2
            and not p.is_complex()
            and (id(p) in convolutions) == convolution
            and min(matrices_of(p, convolution).shape[1:]) >= SMALLEST
        ]
        if fitting:
            groups.append({"params": fitting, "convolution": convolution})
    return groups
