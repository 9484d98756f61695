"""Stage 0: trains a learnt codec alone, by the relative error of decode(encode(u)); an exact one learns nothing."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from ups.data.latent_pairs import Windows, build_field_loader
from ups.data.statistics import conserves_mean
from ups.metrics import compare, nrmse
from ups.models.latent_operator import LatentModel
from ups.stages.context import Context
from ups.training.losses import relative_l2
from ups.training.stage import Progress, Stage

SAMPLED = 64
"""Training trajectories in which conserved means and the size of changes are looked for."""


def new_model(context: Context) -> LatentModel:
    """A model with fresh weights, the training split's statistics and conserved means, and calibrated latents."""
    torch.manual_seed(context.seed)
    model = LatentModel(context.data.system, context.latent, context.operator, context.data.statistics)
    model.codec.calibrate(calibration_fields(context))
    if context.latent.hold_means:
        kept = conserves_mean(context.data.train.one_by_one(SAMPLED), model.codec.u_std)
        closed = torch.tensor([model.system.closed(channel) for channel in range(len(kept))])
        model.codec.conserved.copy_(kept & closed)
    if (increment := model.operator.increment) is not None:
        squares = []
        for frames in context.data.train.one_by_one(SAMPLED):
            change = model.codec.in_deviations(frames[1:] - frames[:-1]).transpose(0, 1).flatten(1)
            squares.append(change.square().mean(1))
        found = torch.stack(squares).mean(0).sqrt()
        model.codec.moves.copy_(found > 0)
        increment.change.copy_(found.clamp_min(1e-8))
    return model


def held_means(model: LatentModel) -> tuple[str, ...]:
    """The sentence on the means that forecasts of a model keep, if there are any."""
    codec = model.codec
    names = [name for name, held in zip(codec.system.channels, codec.conserved.tolist(), strict=True) if held]
    return (f"forecasts keep the mean of {', '.join(names)}, as the training data do",) if names else ()


def still_channels(model: LatentModel) -> tuple[str, ...]:
    """The sentence on channels in which training trajectories showed no change, if there are any."""
    codec, names = model.codec, list[str]()
    if model.operator.increment is not None:
        names = [name for name, moves in zip(codec.system.channels, codec.moves.tolist(), strict=True) if not moves]
    there = f"none of the up to {SAMPLED} training trajectories that were looked at changes in {', '.join(names)}"
    return (f"{there}: forecasts keep what they are given",) if names else ()


def held_walls(model: LatentModel) -> tuple[str, ...]:
    """The sentence on the values that forecasts hold at walls, if there are any."""
    system = model.system
    held = [
        f"{name} = {value:g} at {side} {axis}"
        for axis, both in zip(system.axes, system.walls, strict=bool(system.walls))
        for side, values in zip(("low", "high"), both, strict=True)
        for name, value in zip(system.channels, values, strict=True)
        if value is not None
    ]
    return (f"forecasts hold {', '.join(held)}, as the training data do",) if held else ()


def calibration_fields(context: Context) -> Tensor:
    """Training fields (B, C, *S) by which latents are normalised: every frame of 8 trajectories, evenly spread."""
    return context.data.train.spread(8)[0].flatten(0, 1)


def build(context: Context, name: str = "autoencoder") -> Stage:
    """The stage; its model is an `Autoencoder`."""
    data, codec = context.data, new_model(context).codec
    loader = build_field_loader(
        data.train,
        context.rows(reserved=False),
        data.system.dt,
        1,
        context.batch_size(name),
        **context.loading(name),
    )
    held_out, _ = context.held_out()

    def loss(model: nn.Module, batch: Windows, progress: Progress) -> dict[str, Tensor]:
        u = batch.frames[:, 0]
        return {"loss": relative_l2(codec.in_deviations(model(u)), codec.in_deviations(u))}

    def score(model: nn.Module) -> float:
        decoded = torch.stack([model(trajectory) for trajectory in held_out])
        return float(nrmse(compare(held_out, decoded, data.statistics.std)))

    payload = {
        "system": context.data.system.to_dict(),
        "latent": context.latent.model_dump(mode="json"),
        "operator": context.operator.model_dump(mode="json"),
    }
    return Stage(
        name,
        codec,
        loader,
        loader.steps_per_epoch,
        loss,
        score,
        fingerprint=context.fingerprint(name, {}),
        payload=payload,
        command=partial(context.command, name, True),
    )
