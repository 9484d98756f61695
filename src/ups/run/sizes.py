"""Whether a run fits into memory and on the disk, from lower bounds of what it allocates, before it allocates any."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import torch

from ups.config import Config
from ups.config.load import Contradiction
from ups.core.blocks_pdet import PDETransformerConfig
from ups.core.device import total_memory
from ups.core.stages import STAGES
from ups.data.header import Header

COPIES = 4
"""Weights, gradients and two moments, float32."""


def too_large(config: Config, header: Header, device: torch.device) -> list[Contradiction]:
    """What cannot fit; each finding names the settings that it grows with."""
    memory, found = total_memory(device), []
    for keys, what, needed in (*_models(config, header), *_fields(config, header)):
        if needed > memory:
            sentence = f"{what} need at least {size(needed)} of memory, and this machine has {size(memory)}"
            found.append((tuple(tuple(key.split(".")) for key in keys), sentence))
    wanted = Path(config.data.root).absolute()
    root = next(path for path in (wanted, *wanted.parents) if path.exists())
    free = shutil.disk_usage(root).free
    if header.planned_bytes > free:
        sentence = f"the data to generate take {size(header.planned_bytes)}, and {root} has {size(free)} free"
        found.append(((("data", "generate", "trajectories"), ("data", "root")), sentence))
    return found


def _models(config: Config, header: Header) -> list[tuple[tuple[str, ...], str, int]]:
    """Settings, words and bytes of the models in training."""
    latent, codec = config.latent, 2 * config.latent.least_weights(header.shape)
    found = [
        (("latent.width", "latent.dim", "latent.kernel", "latent.tokens"), "the codec's weights", codec),
        (("operator.pdet.hidden_dim", "operator.pdet.depths"), "the operator's weights", _blocks(config.operator.pdet)),
    ]
    if any(spec.residual and config.stages.of(name).epochs for name, spec in STAGES.items()):
        width = latent.token_width(len(header.channels), header.shape)
        weights = _blocks(config.diffusion.backbone(config.operator.pdet, width))
        found.append((("diffusion.hidden_dim", "diffusion.depths"), "the residual model's weights", weights))
    return [(keys, f"{what} in training", 4 * COPIES * count) for keys, what, count in found]


def _blocks(pdet: PDETransformerConfig) -> int:
    """Weights of the blocks' MLPs, and of the modulations that there always are."""
    modulations = 6 if pdet.block == "transformer" else 0
    return math.floor(sum(pdet.depths) * pdet.hidden_dim**2 * (2 * pdet.mlp_ratio + modulations))


def _fields(config: Config, header: Header) -> list[tuple[tuple[str, ...], str, int]]:
    """Settings, words and bytes of batches and forecasts."""
    training, evaluation, found = config.training, config.evaluation, []
    frame, latent = header.frame_bytes, config.latent
    trained = [name for name in STAGES if config.stages.of(name).epochs]
    batches = {name: config.stages.of(name).batch_size or training.batch_size for name in trained}
    if batches:
        stage = max(batches, key=lambda name: batches[name])
        key = f"stages.{stage}.batch_size" if config.stages.of(stage).batch_size else "training.batch_size"
        samples = min(batches[stage], header.train * header.frames)
        frames = (training.rollout_horizon if training.lambda_rollout else 1) + 1
        patches = latent.tokens if latent.codec == "patch" else None
        tokens = patches or math.prod(latent.grid(header.shape))
        around = 4 * header.points * latent.width if latent.codec == "patch" else 0
        inside = 4 * (around + 6 * tokens * config.operator.pdet.hidden_dim)
        keys = (key, "training.rollout_horizon")
        found.append((keys, "the fields of a batch", samples * (frames * frame + inside)))
    if evaluation.enabled:
        sampled = any(STAGES[name].sampler for name in trained)
        scored = min(evaluation.batch, header.test, evaluation.trajectories or header.test)
        steps = max(1, header.frames - evaluation.context)
        forecasts = scored * steps * frame * (evaluation.members if sampled else 1)
        found.append((("evaluation.members", "evaluation.batch"), "the forecasts that are scored at once", forecasts))
    held = (header.train + header.validation + header.test) * header.frames * frame
    limit = 3 * config.data.in_memory_mb * 2**20
    found.append((("data.in_memory_mb",), "the data to be held", math.floor(min(held, limit))))
    return found


def size(count: float) -> str:
    """Bytes as `1.5 GiB`."""
    return f"{count / 2**30:,.0f} GiB" if count >= 10 * 2**30 else f"{count / 2**30:,.1f} GiB"
