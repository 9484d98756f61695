"""Stage 1: trains the operator, and by default a learnt codec with it.

With `training.train_codec` the forward and rollout losses are relative errors of decoded fields, joined by the
reconstruction of the input and the consistency of latents; without it they are mean squared errors in the frozen
codec's latent space.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ups.core.system import System
from ups.data.latent_pairs import Windows, build_field_loader
from ups.models.grid_codec import GridCodec
from ups.models.latent_operator import LatentModel, Unrolled
from ups.stages.autoencoder import calibration_fields, held_means, held_walls, new_model, still_channels
from ups.stages.context import Context
from ups.stages.predecessors import require
from ups.training.checkpoint import digest, load_state
from ups.training.curriculum import horizon
from ups.training.forecast_score import forecast_score
from ups.training.losses import compute_operator_loss_bundle, latent_consistency, latent_distance, relative_l2
from ups.training.settings import TrainingSettings
from ups.training.stage import Progress, Stage

LATENT_MEASURES = {"squared": latent_consistency, "relative": latent_distance}
"""`training.latent_measure`."""


def operator_loss(
    training: TrainingSettings, codec: GridCodec, model: nn.Module, batch: Windows, progress: Progress
) -> dict[str, Tensor]:
    """All losses of a batch: "loss", the total, and its components. Of `codec` only what training leaves alone is read:
    its grid and the deviations of the fields."""
    joint = training.train_codec or codec.exact
    frames = batch.frames[:, : horizon(training, progress.fraction) + 1]
    frames = with_input_noise(frames, training.noise(codec.exact), codec.u_std * codec.moves, codec.held)
    reencode = training.rollout_reencode and frames.shape[1] > 2
    due = progress.step % training.inverse_loss_frequency == 0
    there, back = (due and weight > 0 for weight in training.inverse_weights(progress.epoch))
    spectral = training.lambda_spectral > 0
    seen = there or back or (spectral and training.spectral_space == "field")  # a loss compares the first step's field
    ahead = (frames.shape[1] - 1 if codec.exact else None) if joint else int(seen)
    out: Unrolled = model(frames, batch.params, batch.dt, reencode=reencode, inverse=back, ahead=ahead)
    scaled = codec.in_deviations
    predicted, target = (scaled(out.fields), scaled(frames[:, 1:])) if joint else (out.latents, out.encoded[:, 1:])
    unrolled = predicted.shape[1] > 1
    energies = spectral_pair(training.spectral_space, codec, frames, out) if spectral else (None, None)
    bundle = compute_operator_loss_bundle(
        pred_next=predicted[:, 0],
        target_next=target[:, 0],
        weights=training,
        current_epoch=progress.epoch,
        measure=relative_l2 if joint else nn.functional.mse_loss,
        input_fields=scaled(frames[:, 1]) if there else None,
        encoded_latent=out.latents[:, 0] if there else None,
        pred_latent=out.latents[:, 0] if back else None,
        decoder=lambda z: scaled(out.fields[:, 0]),  # both were computed with the rest
        encoder=(lambda v: out.reencoded) if back else None,  # pyright: ignore[reportArgumentType]
        pred_rollout=predicted[:, 1:] if unrolled else None,
        target_rollout=target[:, 1:] if unrolled else None,
        spectral_pred=energies[0],
        spectral_target=energies[1],
        spectral_axes=len(codec.system.shape),
    )
    if out.reconstruction is None:
        return {"loss": bundle.total, **bundle.components}
    extra = {
        "L_rec": relative_l2(scaled(out.reconstruction), scaled(frames[:, 0])),
        "L_lat": LATENT_MEASURES[training.latent_measure](out.latents, target_latents(training, out)),
    }
    total = bundle.total + training.lambda_reconstruction * extra["L_rec"] + training.lambda_latent * extra["L_lat"]
    return {"loss": total, **bundle.components, **extra}


def with_input_noise(frames: Tensor, share: float, std: Tensor, held: Tensor | None = None) -> Tensor:
    """Windows (B, K + 1, C, *S) with Gaussian noise on the first frame, of up to `share` of the fields' deviations std
    (C,), but at `held` points (C, *S)."""
    if not share:
        return frames
    first = frames[:, :1]
    ones = [1] * (frames.ndim - 1)
    sizes = share * 100 ** -torch.rand(len(frames), *ones, device=frames.device)
    noise = sizes * std.view(-1, *ones[2:]) * torch.randn_like(first)
    noise = noise if held is None else noise.masked_fill(held, 0.0)
    return torch.cat([first + noise, frames[:, 1:]], 1)


def target_latents(training: TrainingSettings, out: Unrolled) -> Tensor:
    """What the operator's latents are compared with, (B, K, N, D)."""
    return out.encoded[:, 1:].detach() if training.fixed_latent_target else out.encoded[:, 1:]


def spectral_pair(space: str, codec: GridCodec, frames: Tensor, out: Unrolled) -> tuple[Tensor, Tensor]:
    """One-step prediction and truth with their spatial axes last: (B, D, *G) latents or (B, C, *S) fields in sigma."""
    if space == "field":
        return codec.in_deviations(out.fields[:, 0]), codec.in_deviations(frames[:, 1])
    on_grid = [z.unflatten(1, codec.grid).movedim(-1, 1) for z in (out.latents[:, 0], out.encoded[:, 1])]
    return on_grid[0], on_grid[1]


def build(context: Context, name: str = "operator") -> Stage:
    """The stage; its model is a `LatentModel`, whose codec starts from stage 0."""
    training, data = context.training, context.data
    model = new_model(context)
    predecessors = {}
    if context.predecessors(name):
        path, saved = require(context, "autoencoder")
        load_state(model.codec, saved.state, path)
        model.codec.calibrate(calibration_fields(context))
        predecessors["autoencoder"] = digest(model.codec)
    if not training.train_codec:
        model.codec.requires_grad_(False)
    loader = build_field_loader(
        data.train,
        context.rows(reserved=False),
        data.system.dt,
        (training.rollout_horizon if training.lambda_rollout else 1) + 1,
        context.batch_size(name),
        weights=data.visits(training.emphasis),
        strides=data.settings.strides,
        shift_axes=context.shift_axes,
        **context.loading(name),
    )
    loss = partial(operator_loss, training, model.codec)
    fingerprint = context.fingerprint(name, predecessors)
    return Stage(
        name,
        model,
        loader,
        loader.steps_per_epoch,
        loss,
        rollout_score(context),
        fingerprint=fingerprint,
        payload=describe(context),
        command=partial(context.command, name, True),
        notes=(
            *held_means(model),
            *still_channels(model),
            *held_walls(model),
            *step_notes(data.system),
            *context.position_notes(),
        ),
    )


def step_notes(system: System) -> tuple[str, ...]:
    """The sentence on the time steps of training samples, if there are several."""
    steps = ", ".join(f"{step:g}" for step in system.steps)
    return (
        (f"trained on steps of {steps} (data.strides), scored on steps of {system.dt:g}",) if system.steps[1:] else ()
    )


def describe(context: Context) -> dict[str, Any]:
    """What a checkpoint needs so that its model can be built without the config."""
    settings = {"latent": context.latent.model_dump(mode="json"), "operator": context.operator.model_dump(mode="json")}
    return {"system": context.data.system.to_dict(), "rollout_space": context.rollout_space, **settings}


def rollout_score(context: Context) -> Callable[[Any], float]:
    """The nRMSE of a `LatentModel` on the validation split, in time steps of the data: of the free rollout, or of
    single steps (`select_by`)."""
    truth, params = context.held_out()
    dt = torch.full((len(truth),), context.data.system.dt, device=context.device)

    def rollout(model: nn.Module, u: Tensor, steps: int) -> Tensor:
        with torch.compiler.set_stance("force_eager"):  # a compiler would make one graph of all steps
            return model(u.unsqueeze(1), params, dt, steps=steps, space=context.rollout_space)

    return forecast_score(truth, rollout, context.training.select_by, context.data.statistics.std)


def load(context: Context) -> LatentModel:
    """The frozen model that stage 1 left, for the stages after it."""
    path, saved = require(context, "operator")
    model = LatentModel(context.data.system, context.latent, context.operator)
    load_state(model, saved.state, path)
    return model.to(context.device).requires_grad_(False).eval()
