"""2D: latents 8, 32 and 64 times smaller than their fields beside the exact codec, after the same time on one core."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from bench.cells import Cell, Phase
from bench.contenders import SCORES, Candidate, Contender, scores, train
from bench.planar import SHIPPED, opened
from bench.scale import Place, Scale
from ups.evaluation.baselines import FLOOR
from ups.evaluation.forecasters import SurrogateForecaster, forecasters

SYSTEMS = ("gray_scott2d", "kolmogorov2d-0.5")
"""Of those of `bench.planar`, which generates them."""
RATIOS = (1, 8, 32, 64)
"""Numbers in a field over numbers in its latent; 1 is the exact codec, which is the default."""
MINUTES = 10.0


def cells(scale: Scale) -> list[Cell]:
    """Every ratio on every system; none in a short look."""
    if scale.name != "full":
        return []
    return [
        Cell(
            "compression",
            f"{system}_{ratio}x_{MINUTES:g}min_seed{seed}",
            Phase.TRAINING,
            {"system": system, "ratio": ratio, "minutes": MINUTES, "seed": seed, "setup": contender(ratio).settings()},
            partial(measure, system, ratio, seed),
            60 * MINUTES + 120,
        )
        for seed in scale.seeds
        for system in SYSTEMS
        for ratio in RATIOS
    ]


def contender(ratio: int) -> Contender:
    """UPS as it ships, with a latent that is so many times smaller than the field."""
    smaller = (f"latent.compression={ratio}",) if ratio > 1 else ()
    return Contender((Candidate(8e-3),), base=SHIPPED, overrides=("training.batch_size=8", *smaller))


def measure(system: str, ratio: int, seed: int, place: Place, folder: Path) -> dict[str, Any]:
    """Trains for ten minutes, and scores on the test split: the floor, and rollouts in both spaces."""
    data = opened(place, system)
    result = train(contender(ratio), data, 60 * MINUTES, seed, folder)
    trained = result.rows["model"]
    assert isinstance(trained, SurrogateForecaster)
    found = scores(forecasters(trained.surrogate, (), SCORES.batch), data, seed, folder)
    model = found["operator"]
    latent = found.get("operator (latent space)", model)  # of an exact codec both spaces are one
    return {
        "compression": result.facts["compression"],
        "floor": found[FLOOR]["one_step"]["nrmse"] if FLOOR in found else 0.0,
        "one_step": model["one_step"]["nrmse"],
        "rollout": model["rollout"]["nrmse"],
        "rollout_latent": latent["rollout"]["nrmse"],
        "correlation_time": model["rollout"]["correlation_time"],
        "correlation_time_latent": latent["rollout"]["correlation_time"],
        "ms_per_step": model["ms_per_step"],
        "ms_per_step_latent": latent["ms_per_step"],
        "weights": model["parameters"],
        "updates": result.facts["step"],
        "seconds": round(result.facts["seconds"], 1),
        "data": data.describe(),
    }
