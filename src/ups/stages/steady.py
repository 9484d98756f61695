"""Stage 4: trains the steady prior on trajectories that reach a steady state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ups.core.deviations import NEGLIGIBLE, in_deviations
from ups.core.errors import UserError
from ups.core.latent_state import LatentState
from ups.data.latent_pairs import WindowBatches, Windows
from ups.data.split import Split
from ups.data.splits import evenly
from ups.metrics import compare, nrmse
from ups.models.latent_operator import LatentModel
from ups.models.steady_prior import SteadyPrior, is_steady
from ups.stages import operator
from ups.stages.autoencoder import new_model
from ups.stages.context import Context
from ups.training.checkpoint import digest
from ups.training.stage import Progress, Stage


def steady_rows(split: Split, std: Sequence[float], dt: float, tolerance: float) -> np.ndarray:
    """Rows of the trajectories of a split that reach a steady state, in every channel, of training deviation std (C,):
    a field smaller than `NEGLIGIBLE` of that counts as of this size."""
    steady, sigma = [], torch.tensor(std)
    for row in range(split.n):
        frames = split.windows(np.array([row]), np.array([split.frames - 2]), 2)[0]
        before, last = in_deviations(frames, sigma, frames.ndim - 2).flatten(2)
        change, size = (last - before).norm(dim=1), last.norm(dim=1).clamp_min(NEGLIGIBLE * last.shape[1] ** 0.5)
        steady.append(bool(is_steady(change, size, dt, dt * (split.frames - 1), tolerance).all()))
    return np.flatnonzero(steady)


def mean_steady(split: Split, rows: np.ndarray, batch: int = 64) -> Tensor:
    """The mean (C, *S) of the steady states that the trajectories `rows` of a split reach."""
    parts = np.array_split(rows, -(-len(rows) // batch))
    last = (split.windows(part, np.full(len(part), split.frames - 1), 1)[:, 0] for part in parts)
    return torch.stack([states.double().sum(0) for states in last]).sum(0).div(len(rows)).float()


def none_steady(split: Split, part: str, tolerance: float) -> str:
    """The sentence for a split without steady rows."""
    return f"0 of {split.n} trajectories of the {part} split reach a steady state within tolerance {tolerance}"


def require_steady(context: Context) -> tuple[np.ndarray, np.ndarray]:
    """Steady rows of the training and the validation split; none in one of them is an error that gives the share."""
    tolerance, found = context.stages.steady_prior.tolerance, []
    for split, part in ((context.data.train, "training"), (context.data.validation, "validation")):
        found.append(steady_rows(split, context.data.statistics.std, context.data.system.dt, tolerance))
        if not len(found[-1]):
            raise UserError(
                f"stages.steady_prior: {none_steady(split, part, tolerance)}; "
                "simulate for longer, or leave the stage out with epochs: 0"
            )
    return found[0], found[1]


def steady_loss(model: LatentModel, prior: SteadyPrior, batch: Windows, progress: Progress) -> dict[str, Tensor]:
    """Relative error of the decoded refinement of the first frame against the second, steady one.

    Every channel of every sample counts alike, as it does in the nRMSE, one smaller than `NEGLIGIBLE` of the channel's
    deviation as if it were that large; an exact one has no gradient.
    """
    refined = prior(LatentState(model.codec.encode(batch.frames[:, 0]), cond={"params": batch.params}))
    found = model.codec.decode_like(refined.z, batch.frames[:, 0])
    found, truth = (model.codec.in_deviations(u) for u in (found, batch.frames[:, 1]))
    error, size = (u.flatten(2).square().mean(-1) for u in (found - truth, truth))
    loss = (error / (size + NEGLIGIBLE**2)).clamp_min(1e-12).sqrt().mean()
    return {"loss": loss, "L_steady": loss}


def steady_loader(context: Context, rows: np.ndarray, name: str) -> WindowBatches:
    """Batches of (a frame of the first sixteenth, the last frame) as windows of two: later frames have little way to
    go, and what a trajectory starts from is the hardest to see through."""
    split = context.data.train

    def windows(trajectory: np.ndarray, start: np.ndarray, length: int, stride: np.ndarray) -> Tensor:
        last = np.full_like(start, split.frames - 1)
        return torch.cat([split.windows(rows[trajectory], frame, 1) for frame in (start, last)], 1)

    starts, dt = max(split.frames // 16, 1), context.data.system.dt
    axes = context.shift_axes
    batch_size, options = context.batch_size(name), context.loading(name)
    return WindowBatches(windows, split.params[rows], starts + 1, 2, batch_size, dt, shift_axes=axes, **options)


def steady_score(context: Context, model: LatentModel, rows: np.ndarray) -> Callable[[nn.Module], float]:
    """nRMSE of the decoded steady state from the first frame, on the validation split."""
    split, rows = context.data.validation, rows[evenly(len(rows), context.validation_trajectories)]
    first = split.windows(rows, np.zeros(len(rows), dtype=int), 1)[:, 0].to(context.device)
    last = split.windows(rows, np.full(len(rows), split.frames - 1), 1).to(context.device)
    params, std = split.params[rows].to(context.device), context.data.statistics.std

    def score(prior: nn.Module) -> float:
        refined = prior(LatentState(model.codec.encode(first), cond={"params": params}))
        return float(nrmse(compare(last, model.codec.decode_like(refined.z, first).unsqueeze(1), std)))

    return score


def latents(context: Context, name: str) -> tuple[LatentModel, dict[str, Any], dict[str, str]]:
    """The frozen model whose latents a prior works on, what the prior's checkpoint says of it, and the digests of the
    stages that it was loaded from: a learnt codec comes with its operator, an exact one is made from the data alone and
    saved with the prior."""
    if context.predecessors(name):
        model = operator.load(context)
        return model, {"operator_digest": digest(model)}, {"operator": digest(model)}
    model = new_model(context).to(context.device).requires_grad_(False).eval()
    return model, {"codec": model.codec.state_dict()}, {}


def build(context: Context, name: str = "steady_prior") -> Stage:
    """The stage; its model is a `SteadyPrior`."""
    data = context.data
    rows, held_out = require_steady(context)
    model, known, predecessors = latents(context, name)
    torch.manual_seed(context.seed + 4)
    steps = context.stages.steady_prior.num_steps
    prior = SteadyPrior(model, steps)
    loader = steady_loader(context, rows, name)
    payload = {**operator.describe(context), "num_steps": steps, **known}
    tolerance = context.stages.steady_prior.tolerance
    return Stage(
        name,
        prior.to(context.device),
        loader,
        loader.steps_per_epoch,
        partial(steady_loss, model),
        steady_score(context, model, held_out),
        fingerprint=context.fingerprint(name, predecessors),
        payload=payload,
        command=partial(context.command, name, True),
        notes=(f"{len(rows)} of {data.train.n} training trajectories reach a steady state within {tolerance}",),
    )
