"""What each optimisation of the distillation stage buys: on against off, in one run, alternating.

    python bench/distill.py [--steps 20] [--repeats 3] [--output bench/results/distill.json]

Every figure is a ratio of medians (off / on): above 1 the optimisation pays on this machine. The model is untrained,
since only time counts; sizes are those of configs/forced_burgers.yaml.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ups.core.blocks_pdet import PDETransformerConfig
from ups.data.fields import System
from ups.data.latent_pairs import Windows, build_latent_pair_loader
from ups.models.autoencoder import LatentSettings
from ups.models.consistency import jumps
from ups.models.diffusion_residual import DiffusionResidual, DiffusionSettings
from ups.models.latent_operator import LatentModel, OperatorSettings
from ups.stages.distill import DistillBatch, pieces, student_loss
from ups.stages.residual import with_operator
from ups.training.stage import Progress

START, TAUS, BATCH = Progress(0, 0.0, 0.0), 3, 32
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def models() -> tuple[LatentModel, DiffusionResidual, DiffusionResidual]:
    """Operator, teacher and student on 128 points."""
    points = tuple(i / 128 for i in range(128))
    system = System(("u",), (128,), (points,), ("periodic",), ("Nu",), 0.05)
    pdet = PDETransformerConfig(input_dim=8, depths=(4,), group_size=0, spectral_modes=16)
    model = LatentModel(system, LatentSettings(dim=8, tokens=32, width=16), OperatorSettings(pdet=pdet)).to(DEVICE)
    settings = DiffusionSettings(depths=(2,), group_size=0, spectral_modes=16)
    teacher, student = (DiffusionResidual(8, settings, (32,), ("periodic",), 1).to(DEVICE) for _ in range(2))
    return model, teacher.requires_grad_(False).eval(), student


def step(
    model: LatentModel,
    teacher: DiffusionResidual,
    student: DiffusionResidual,
    batch: Windows,
    micro: int,
    cached: bool,
    amp: bool,
) -> None:
    """Forward and backward of one batch; `cached` lets the teacher work once for all micro-batches."""

    def taught(part: Windows) -> DistillBatch:
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=amp):
            residual = with_operator(model, teacher.scale, part)
            given, r = residual.given.repeat(TAUS), residual.r.repeat_interleave(TAUS, 0)
            return DistillBatch(jumps(partial(given.velocity, teacher), r, torch.rand(len(r), device=DEVICE)), given)

    whole = taught(batch) if cached else None
    parts = list(pieces(whole, BATCH, micro, TAUS)) if whole else []
    for i, start in enumerate(range(0, BATCH, micro)):
        piece, share = parts[i] if whole else (taught(batch[start : start + micro]), micro / BATCH)
        (student_loss(student, piece, START)["loss"] * share).backward()
    student.zero_grad(set_to_none=True)


def seconds(work: Callable[[], object], steps: int) -> float:
    """Seconds per call, after a warm-up."""
    work()
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(steps):
        work()
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / steps


def compare(off: Callable[[], object], on: Callable[[], object], steps: int, repeats: int) -> dict[str, float]:
    """Medians of both, measured in turn, and how much faster `on` is."""
    pairs = [(seconds(off, steps), seconds(on, steps)) for _ in range(repeats)]
    a, b = (statistics.median(times) for times in zip(*pairs, strict=True))
    return {"off_ms": 1e3 * a, "on_ms": 1e3 * b, "speedup": a / b}


def main() -> None:
    """Measures, prints a table and writes the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("bench/results/distill.json"))
    options = parser.parse_args()
    torch.manual_seed(0)
    model, teacher, student = models()
    latents = np.random.default_rng(0).standard_normal((64, 41, 32, 8)).astype(np.float32)
    loader = build_latent_pair_loader(latents, torch.ones(64, 1), 0.05, BATCH)
    batch = next(loader(0)).to(DEVICE)
    compiled = DiffusionResidual(8, student.settings, (32,), ("periodic",), 1).to(DEVICE)
    compiled.compile()
    run = partial(step, model, teacher)
    plain, ahead = loader(0), build_latent_pair_loader(latents, torch.ones(64, 1), 0.05, BATCH, workers=2)(0)
    results = {
        "teacher cached, micro-batch 8 of 32": compare(
            lambda: run(student, batch, 8, False, False),
            lambda: run(student, batch, 8, True, False),
            options.steps,
            options.repeats,
        ),
        "whole batch instead of micro-batches of 8": compare(
            lambda: run(student, batch, 8, True, False),
            lambda: run(student, batch, BATCH, True, False),
            options.steps,
            options.repeats,
        ),
        "teacher in bf16": compare(
            lambda: run(student, batch, BATCH, True, False),
            lambda: run(student, batch, BATCH, True, True),
            options.steps,
            options.repeats,
        ),
        "student compiled": compare(
            lambda: run(student, batch, BATCH, True, False),
            lambda: run(compiled, batch, BATCH, True, False),
            options.steps,
            options.repeats,
        ),
        "batches read ahead (2 threads)": compare(
            lambda: next(plain),
            lambda: next(ahead),
            10 * options.steps,
            options.repeats,
        ),
    }
    machine = {
        "device": str(DEVICE),
        "cpu": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps({"machine": machine, "results": results}, indent=1) + "\n")
    for name, row in results.items():
        print(f"{name:<44} {row['off_ms']:8.2f} ms -> {row['on_ms']:8.2f} ms   x{row['speedup']:.2f}")


if __name__ == "__main__":
    main()
