"""What each optimisation of the distillation stage buys: on against off, in turn.

A step is a batch read, the teacher's work, and forward and backward of the student; above 1, off / on says that the
optimisation pays on this machine. Models are untrained, since only time counts, of the sizes of
configs/forced_burgers.yaml, whose latents are memory-mapped as those of a run are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.cells import Cell, Phase
from bench.scale import Place, Scale
from bench.speed import in_turn
from ups.core.blocks_pdet import PDETransformerConfig
from ups.core.system import System
from ups.data.latent_pairs import Windows, build_latent_pair_loader
from ups.models.autoencoder import LatentSettings
from ups.models.consistency import jumps
from ups.models.diffusion_residual import DiffusionResidual, DiffusionSettings
from ups.models.latent_operator import LatentModel, OperatorSettings
from ups.stages.distill import DistillBatch, pieces, student_loss
from ups.stages.residual import with_operator
from ups.training.stage import Progress

START, TAUS, BATCH, MICRO, STEPS = Progress(0, 0.0, 0.0), 3, 32, 8, 5
"""Where training stands, noise levels, samples of a batch and of a micro-batch, steps in one measurement."""
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass(frozen=True)
class Setup:
    """How a step of distillation is done.

    Attributes:
        student: The student, compiled or not.
        batches: Where batches come from.
        micro: Samples per backward pass.
        cached: The teacher works once per batch and not once per micro-batch.
        tiled: The noise levels of a sample go through together and not one after the other.
        half: The teacher computes in bfloat16.
        at_once: Transfers to the device do not wait.
    """

    student: DiffusionResidual
    batches: Iterator[Windows]
    micro: int = BATCH
    cached: bool = True
    tiled: bool = True
    half: bool = False
    at_once: bool = True


def cells(scale: Scale) -> list[Cell]:
    """One cell for all pairs."""
    settings = {"scale": scale.name, "repeats": scale.repeats, "taus": TAUS, "batch": BATCH, "micro": MICRO}
    return [Cell("distill", "optimisations", Phase.ALONE, settings, partial(_optimisations, scale), 120)]


def models() -> tuple[LatentModel, DiffusionResidual, Callable[[], DiffusionResidual]]:
    """Operator and teacher on 128 points, and what makes a student."""
    points = tuple(i / 128 for i in range(128))
    system = System(("u",), (128,), (points,), ("periodic",), ("Nu",), 0.05)
    pdet = PDETransformerConfig(input_dim=8, depths=(4,), group_size=0, spectral_modes=16)
    model = LatentModel(system, LatentSettings(dim=8, tokens=32, width=16), OperatorSettings(pdet=pdet)).to(DEVICE)
    settings = DiffusionSettings(depths=(2,), group_size=0, spectral_modes=16)

    def new() -> DiffusionResidual:
        return DiffusionResidual(model, settings).to(DEVICE)

    return model, new().requires_grad_(False).eval(), new


def step(model: LatentModel, teacher: DiffusionResidual, setup: Setup) -> None:
    """One step of distillation but for the optimizer."""
    batch = _on_device(next(setup.batches), setup.at_once)

    def taught(part: Windows, taus: int) -> DistillBatch:
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=setup.half):
            residual = with_operator(model, teacher.scale, part)
            given, r = residual.given.repeat(taus), residual.r.repeat_interleave(taus, 0)
            return DistillBatch(jumps(partial(given.velocity, teacher), r, torch.rand(len(r), device=DEVICE)), given)

    taus, passes = (TAUS, 1) if setup.tiled else (1, TAUS)
    for _ in range(passes):
        parts = [batch] if setup.cached else [batch[i : i + setup.micro] for i in range(0, BATCH, setup.micro)]
        for part in parts:
            share = part.size / BATCH / passes
            for piece, inner in pieces(taught(part, taus), part.size, setup.micro, taus):
                (student_loss(setup.student, piece, START)["loss"] * share * inner).backward()
    setup.student.zero_grad(set_to_none=True)


def _on_device(batch: Windows, at_once: bool) -> Windows:
    return Windows(*(x.to(DEVICE, non_blocking=at_once) for x in (batch.frames, batch.params, batch.dt)))


def _optimisations(scale: Scale, place: Place, folder: Path) -> dict[str, Any]:
    """Milliseconds of a step with each optimisation off and on."""
    torch.manual_seed(0)
    model, teacher, new = models()
    np.save(folder / "latents.npy", np.random.default_rng(0).standard_normal((512, 41, 32, 8)).astype(np.float32))
    latents = np.load(folder / "latents.npy", mmap_mode="r")

    def batches(**options: Any) -> Iterator[Windows]:
        return build_latent_pair_loader(latents, torch.ones(len(latents), 1), 0.05, BATCH, **options)(0)

    plain = Setup(new(), batches())
    compiled = new()
    compiled.compile()
    pairs = {
        "teacher once for all micro-batches": (replace(plain, micro=MICRO, cached=False), replace(plain, micro=MICRO)),
        "whole batch, not micro-batches of 8": (replace(plain, micro=MICRO), plain),
        "noise levels tiled, not one by one": (replace(plain, tiled=False), plain),
        "teacher in bfloat16": (plain, replace(plain, half=True)),
        "student compiled": (plain, replace(plain, student=compiled)),
        "batches read ahead by 2 threads": (plain, replace(plain, batches=batches(workers=2, prefetch=2))),
        "4 batches ahead a thread, not 1": (
            replace(plain, batches=batches(workers=2, prefetch=1)),
            replace(plain, batches=batches(workers=2, prefetch=4)),
        ),
    }
    if DEVICE.type == "cuda":
        pinned = replace(plain, batches=batches(pin=True))
        pairs["transfers that do not wait, from pinned memory"] = (replace(plain, at_once=False), pinned)
    return {"device": str(DEVICE), "pairs": {name: _pair(model, teacher, *pair, scale) for name, pair in pairs.items()}}


def _pair(model: LatentModel, teacher: DiffusionResidual, off: Setup, on: Setup, scale: Scale) -> dict[str, float]:
    """Medians of both, and how much faster `on` is."""

    def work(setup: Setup) -> None:
        for _ in range(STEPS):
            step(model, teacher, setup)
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()

    seconds = in_turn({"off": partial(work, off), "on": partial(work, on)}, scale.repeats)
    times = {f"{name}_ms": 1e3 * value / STEPS for name, value in seconds.items()}
    return times | {"speedup": seconds["off"] / seconds["on"]}
