"""Stage 3: distils the residual model into a student that samples in one to four evaluations.

The teacher is the frozen model of stage 2, which stays as it is in its own file. For each batch the operator and the
teacher work once, for all noise levels; the student then learns from pieces of `distill_micro_batch` samples with
exact weights.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
from torch import Tensor

from ups.core.errors import UserError
from ups.data.latent_pairs import Windows
from ups.models.consistency import Jumps, consistency_loss, jumps
from ups.models.diffusion_residual import DiffusionResidual
from ups.models.latent_operator import LatentModel
from ups.models.residual_head import ResidualCondition
from ups.stages import operator
from ups.stages.context import Context
from ups.stages.predecessors import require
from ups.stages.residual import (
    draw_tau,
    head_payload,
    new_network,
    one_step_crps,
    pair_loader,
    reserved_latents,
    with_operator,
)
from ups.surrogate.restore import HeadFile
from ups.training.checkpoint import digest, load_state
from ups.training.settings import ConsistencySettings
from ups.training.stage import Progress, Stage


@dataclass(frozen=True)
class DistillBatch:
    """Points on the teacher's trajectories with what they are conditioned on, both of R = samples x noise levels."""

    points: Jumps
    given: ResidualCondition

    def __getitem__(self, part: slice) -> DistillBatch:
        return DistillBatch(self.points[part], self.given[part])


def levels_per_sample(settings: ConsistencySettings, epoch: float) -> int:
    """Noise levels per sample in an epoch."""
    schedule = settings.tau_schedule
    return schedule[min(int(epoch), len(schedule) - 1)] if schedule else settings.distill_num_taus


def pieces(batch: DistillBatch, samples: int, micro: int, taus: int) -> Iterable[tuple[DistillBatch, float]]:
    """The batch in pieces of `micro` samples with their shares of it; the levels of a sample stay together."""
    for start in range(0, samples, micro):
        stop = min(start + micro, samples)
        yield batch[start * taus : stop * taus], (stop - start) / samples


def student_loss(student: DiffusionResidual, batch: DistillBatch, progress: Progress) -> dict[str, Tensor]:
    """The consistency loss of one piece."""
    loss = consistency_loss(partial(batch.given.velocity, student), batch.points)
    return {"loss": loss, "L_distill": loss}


def load_teacher(context: Context, model: LatentModel, latents: np.ndarray) -> DiffusionResidual:
    """The frozen model that stage 2 left; raises UserError where it is no flow model of this operator."""
    path, saved = require(context, "diff_residual")
    assert isinstance(saved, HeadFile)
    again = context.command("diff_residual", True)
    if saved.operator_digest != digest(model):
        raise UserError(f"{path} belongs to another operator than the one in this run: run `{again}` first")
    if saved.objective != "flow":
        raise UserError(
            f"{path} learnt objective {saved.objective}, and only a `flow` model can be distilled: "
            f"set diffusion.objective to flow and run `{again}` first"
        )
    teacher = new_network(context, model, latents)
    load_state(teacher, saved.state, path)
    return teacher.requires_grad_(False).eval()


def build(context: Context, name: str = "consistency_distill") -> Stage:
    """The stage; its model is the student, which starts from the teacher's weights."""
    settings = context.stages.consistency_distill
    model = operator.load(context)
    latents = reserved_latents(context, model)
    teacher = load_teacher(context, model, latents)
    student = copy.deepcopy(teacher).requires_grad_()
    loader = pair_loader(context, name, latents)

    def chunks(batch: Windows, progress: Progress) -> Iterable[tuple[DistillBatch, float]]:
        taus = levels_per_sample(settings, progress.epoch)
        residual = with_operator(model, teacher.scale, batch)
        given, r = residual.given.repeat(taus), residual.r.repeat_interleave(taus, 0)
        tau = draw_tau(context.training.tau_distribution, len(r), r.device)
        points = jumps(partial(given.velocity, teacher), r, tau)
        return pieces(DistillBatch(points, given), batch.size, settings.distill_micro_batch or batch.size, taus)

    return Stage(
        name,
        student,
        loader,
        loader.steps_per_epoch,
        student_loss,
        one_step_crps(context, model, teacher.scale, "consistency"),
        chunks=chunks,
        fingerprint=context.fingerprint(name, {"operator": digest(model), "teacher": digest(teacher)}),
        payload=head_payload(context, model, "consistency"),
        command=partial(context.command, name, True),
    )
