"""Stage 2: trains the distribution of the operator's residual on trajectories that the operator did not fit.

`diff_residual` follows `diffusion.objective`; `crps_ensemble` is the same network trained on the fair CRPS, beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ups.core.latent_state import LatentState
from ups.core.stages import STAGES
from ups.data.latent_cache import cached_latents
from ups.data.latent_pairs import WindowBatches, Windows, build_latent_pair_loader
from ups.data.splits import evenly
from ups.metrics import fair_crps
from ups.models.diffusion_residual import DiffusionResidual
from ups.models.latent_operator import LatentModel
from ups.models.residual_head import Objective, ResidualCondition, ResidualHead
from ups.models.samplers import denoised
from ups.stages import operator
from ups.stages.context import Context
from ups.training.checkpoint import digest
from ups.training.losses import batch_nrmse, spectral_energy_loss
from ups.training.settings import TauDistribution, TrainingSettings
from ups.training.stage import Progress, Stage

SCORED_PAIRS, SCORED_MEMBERS, SCORED_LEVELS, SCORED_BATCH = 512, 8, 8, 32
"""Single steps of the validation split that choose the best epoch, members or noise levels of each, and steps that are
scored at once."""


@dataclass(frozen=True)
class ResidualBatch:
    """Scaled residuals r = (z_t+1 - z~) / s, (B, N, D), with what they are conditioned on."""

    r: Tensor
    given: ResidualCondition

    def __getitem__(self, part: slice) -> ResidualBatch:
        return ResidualBatch(self.r[part], self.given[part])


def draw_tau(distribution: TauDistribution, n: int, device: torch.device | str = "cpu") -> Tensor:
    """n noise levels in (0, 1) from torch's generator."""
    if distribution.type == "beta":
        return torch.distributions.Beta(distribution.alpha, distribution.beta).sample((n,)).to(device)
    return torch.rand(n, device=device)


def flow_loss(
    training: TrainingSettings, network: DiffusionResidual, batch: ResidualBatch, progress: Progress
) -> dict[str, Tensor]:
    """|| v(x_tau, tau) - (eps - r) ||^2, and the relative error of the denoised residual."""
    eps, tau = torch.randn_like(batch.r), draw_tau(training.tau_distribution, len(batch.r), batch.r.device)
    base, relative = _flow_error(network, batch, eps, tau)
    return {"loss": base + training.lambda_relative * relative, "L_base": base, "L_rel": relative}


def regression_loss(
    training: TrainingSettings, network: DiffusionResidual, batch: ResidualBatch, progress: Progress
) -> dict[str, Tensor]:
    """|| drift(tau) - r ||^2 with tau a mere input: the mean of the residual, no distribution."""
    tau = draw_tau(training.tau_distribution, len(batch.r), batch.r.device)
    drift = batch.given.velocity(network, torch.zeros_like(batch.r), tau)
    base, relative = (drift - batch.r).square().mean(), batch_nrmse(drift, batch.r)
    return {"loss": base + training.lambda_relative * relative, "L_base": base, "L_rel": relative}


def crps_loss(
    training: TrainingSettings,
    model: LatentModel,
    members: int,
    scale: Tensor,
    network: DiffusionResidual,
    batch: ResidualBatch,
    progress: Progress,
) -> dict[str, Tensor]:
    """Fair CRPS of a few members, in scaled latents and in decoded fields relative to the operator's error, both in
    sigma."""
    many = batch.given.repeat(members)

    def decode(z: Tensor) -> Tensor:
        return model.codec.in_deviations(model.codec.decode(z))

    draws = ResidualHead(network, "crps").draw(many, torch.randn_like(many.base))
    fields = decode(many.base + scale * draws).unflatten(0, (-1, members))
    truth = decode(batch.given.base + scale * batch.r)
    size = (truth - decode(batch.given.base)).abs().mean().clamp_min(1e-8)
    latent = fair_crps(batch.r, draws.unflatten(0, (-1, members))).mean()
    field = fair_crps(truth, fields).mean() / size
    losses = {"loss": latent + field, "L_crps": latent, "L_crps_field": field}
    if training.lambda_spectral:
        losses["L_spec"] = spectral_energy_loss(fields[:, 0], truth, len(model.system.shape))
        losses["loss"] = losses["loss"] + training.lambda_spectral * losses["L_spec"]
    return losses


def losses_of(context: Context, model: LatentModel, scale: Tensor, objective: Objective) -> Any:
    """The loss of an objective, (network, batch, progress) -> losses."""
    if objective == "crps":
        return partial(crps_loss, context.training, model, context.diffusion.members, scale)
    return partial(flow_loss if objective == "flow" else regression_loss, context.training)


def with_operator(model: LatentModel, scale: Tensor, batch: Windows) -> ResidualBatch:
    """Lets the frozen operator predict, and returns what it misses.

    In float32 whatever `training.amp` says: a rounded prediction would be learnt as a residual.
    """
    with torch.no_grad(), torch.autocast(batch.frames.device.type, enabled=False):
        given = ResidualCondition.of(model, LatentState(batch.frames[:, 0], cond={"params": batch.params}), batch.dt)
        return ResidualBatch((batch.frames[:, 1] - given.base) / scale, given)


def new_network(context: Context, model: LatentModel, latents: np.ndarray) -> DiffusionResidual:
    """A network with fresh weights, and the scales of residuals and increments from some cached trajectories."""
    torch.manual_seed(context.seed + 2)
    network, step = DiffusionResidual(model, context.diffusion), context.data.system.dt
    params = context.data.train.params[context.rows(reserved=True)]
    residuals, increments = [], []
    few = evenly(len(latents), 32)
    for (z, c), stride in product(zip(latents[few], params[few], strict=True), context.data.settings.strides):
        frames = torch.from_numpy(np.array(z)).to(context.device)
        n = len(frames) - stride
        state = LatentState(frames[:-stride], cond={"params": c.expand(n, -1).to(context.device)})
        base = model.step(state, torch.full((n,), step * stride).to(context.device)).z
        residuals.append((frames[stride:] - base).cpu())
        increments.append((base - frames[:-stride]).cpu())
    for buffer, parts in ((network.scale, residuals), (network.change, increments)):
        buffer.copy_(torch.cat(parts).square().mean((0, 1)).sqrt().clamp_min(1e-8))
    return network.to(context.device)


def reserved_latents(context: Context, model: LatentModel) -> np.ndarray:
    """Latents of the trajectories reserved for residuals, from the run's cache."""
    rows = context.rows(reserved=True)
    chosen = hashlib.sha256(rows.tobytes()).hexdigest()[:8]
    key = f"train-{digest(model.codec)}-{context.data.hash[:12]}-{chosen}"
    encode = lambda u: model.codec.encode(u.to(context.device))  # noqa: E731
    return cached_latents(context.folder / "latents", key, context.data.train, rows, encode)


def pair_loader(context: Context, name: str, latents: np.ndarray) -> WindowBatches:
    """Batches of (z_t, z_t+dt) from the reserved trajectories, of every trained step dt."""
    return build_latent_pair_loader(
        latents,
        context.data.train.params[context.rows(reserved=True)],
        context.data.system.dt,
        context.batch_size(name),
        strides=context.data.settings.strides,
        **context.loading(name),
    )


def held_out_windows(context: Context) -> list[Windows]:
    """The same random single steps of the validation split, of the data's time step, for every epoch, in batches."""
    split, draws = context.data.validation, np.random.default_rng(context.seed)
    dt = context.data.system.dt
    trajectory, start = draws.integers(0, split.n, SCORED_PAIRS), draws.integers(0, split.frames - 1, SCORED_PAIRS)
    found = []
    for first in range(0, SCORED_PAIRS, SCORED_BATCH):
        part = slice(first, first + SCORED_BATCH)
        frames = split.windows(trajectory[part], start[part], 2)
        found.append(Windows(frames, split.params[trajectory[part]], torch.full((len(frames),), dt)))
    return [windows.to(context.device) for windows in found]


def one_step_crps(context: Context, model: LatentModel, scale: Tensor, objective: Objective) -> Callable[[Any], float]:
    """The fair CRPS, in sigma, of one-step forecasts of decoded fields on the validation split, by the objective's
    sampler."""
    held_out, members = held_out_windows(context), 1 if objective == "regression" else SCORED_MEMBERS

    def score(network: DiffusionResidual) -> float:
        head = ResidualHead(network, objective)
        generator, total = torch.Generator(context.device).manual_seed(context.seed), 0.0
        for windows in held_out:
            state = LatentState(model.codec.encode(windows.frames[:, 0]), cond={"params": windows.params})
            given = ResidualCondition.of(model, state, windows.dt).repeat(members)
            before = windows.frames[:, 0].repeat_interleave(members, 0)
            noise = torch.randn(given.base.shape, generator=generator, device=context.device)
            latents = given.base + scale * head.draw(given, noise, generator=generator)
            ahead = model.codec.decode_like(latents, before).unflatten(0, (-1, members))
            pair = (model.codec.in_deviations(u) for u in (windows.frames[:, 1], ahead))
            total += float(fair_crps(*pair).mean()) * windows.size
        return total / SCORED_PAIRS

    return score


def held_out_flow_loss(context: Context, model: LatentModel, scale: Tensor) -> Callable[[Any], float]:
    """The flow loss on the validation split, at the same noise and evenly spread levels in every epoch.

    Between epochs of a good model the CRPS of a few members differs by less than its own sampling error, and chooses
    one that is too early. This loss asks for the whole distribution, at every level.
    """
    held_out = held_out_windows(context)

    def score(network: DiffusionResidual) -> float:
        generator, total = torch.Generator(context.device).manual_seed(context.seed), 0.0
        for windows in held_out:
            latents = [model.codec.encode(windows.frames[:, i]) for i in (0, 1)]
            batch = with_operator(model, scale, Windows(torch.stack(latents, 1), windows.params, windows.dt))
            for level in range(SCORED_LEVELS):
                eps = torch.randn(batch.r.shape, generator=generator, device=context.device)
                tau = torch.full((windows.size,), (level + 0.5) / SCORED_LEVELS, device=context.device)
                total += float(_flow_error(network, batch, eps, tau)[0]) * windows.size / SCORED_LEVELS
        return total / SCORED_PAIRS

    return score


def _flow_error(network: DiffusionResidual, batch: ResidualBatch, eps: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
    """mean (v - (eps - r))^2, and the relative error of the denoised residual."""
    t = tau.view(-1, 1, 1)
    x = (1 - t) * batch.r + t * eps
    v = batch.given.velocity(network, x, tau)
    return (v - (eps - batch.r)).square().mean(), batch_nrmse(denoised(x, tau, v), batch.r)


def head_payload(context: Context, model: LatentModel, objective: Objective) -> dict[str, Any]:
    """What a head's checkpoint carries: how to build it, and which operator it belongs to."""
    settings = context.diffusion.model_dump(mode="json")
    return {
        **operator.describe(context),
        "diffusion": settings,
        "objective": objective,
        "operator_digest": digest(model),
    }


def build(context: Context, name: str = "diff_residual") -> Stage:
    """The stage; its model is a `DiffusionResidual`."""
    objective: Objective = "crps" if name == "crps_ensemble" else context.diffusion.objective
    model = operator.load(context)
    latents = reserved_latents(context, model)
    network = new_network(context, model, latents)
    scale = network.scale
    loader = pair_loader(context, name, latents)

    def chunks(batch: Windows, progress: Progress) -> Iterable[tuple[ResidualBatch, float]]:
        return [(with_operator(model, scale, batch), 1.0)]

    return Stage(
        name,
        network,
        loader,
        loader.steps_per_epoch,
        losses_of(context, model, scale, objective),
        (
            held_out_flow_loss(context, model, scale)
            if objective == "flow"
            else one_step_crps(context, model, scale, objective)
        ),
        chunks=chunks,
        fingerprint=context.fingerprint(name, {"operator": digest(model)}),
        payload=head_payload(context, model, objective),
        file=STAGES[name].file,
        command=partial(context.command, name, True),
    )
