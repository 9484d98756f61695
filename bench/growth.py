"""How the time of UPS (bench/patches.yaml, untrained) grows with tokens, with trajectories rolled out at once, and with
members, on one thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.cells import Cell, Phase
from bench.contenders import CONTENDERS
from bench.scale import Place, Scale
from bench.speed import in_turn
from ups.core.latent_state import LatentState
from ups.core.system import System
from ups.models.diffusion_residual import DiffusionResidual, DiffusionSettings
from ups.models.latent_operator import LatentModel
from ups.models.residual_head import ResidualHead
from ups.surrogate.surrogate import Surrogate

TOKENS = (64, 256, 1024, 4096)
MIXING = {
    "attention in windows of 16": (16, 0),
    "attention over all tokens": (4096, 0),
    "Fourier mixing of 17 modes": (0, 17),
}
"""Tokens in a window and Fourier modes."""
POINTS_PER_TOKEN = 8
"""As in the benchmarks with 256 points and 32 tokens."""
TRAJECTORIES, MEMBERS = (1, 4, 16, 64, 256), (1, 2, 4, 8, 16)
FORECAST = 5
"""Steps of a timed rollout."""


def cells(scale: Scale) -> list[Cell]:
    """One cell for each quantity."""
    work = {"tokens": _tokens, "trajectories": _trajectories, "members": _members}
    settings = {"scale": scale.name, "repeats": scale.repeats, "setup": CONTENDERS["ups"].settings()}
    return [
        Cell("growth", name, Phase.ALONE, {"what": name, **settings}, partial(function, scale), 60)
        for name, function in work.items()
    ]


def untrained(*overrides: str) -> LatentModel:
    """The model of bench/patches.yaml with some changes, on a periodic line."""
    config = CONTENDERS["ups"].changed(*overrides).config
    points = POINTS_PER_TOKEN * (config.latent.tokens or 1)
    system = System(("u",), (points,), (tuple(i / points for i in range(points)),), ("periodic",), ("Nu",), 0.05)
    return LatentModel(system, config.latent, config.operator).eval()


@torch.no_grad()
def _tokens(scale: Scale, place: Place, folder: Path) -> dict[str, Any]:
    """Milliseconds of one latent step of one trajectory."""
    found: dict[str, dict[str, float]] = {name: {} for name in MIXING}
    for tokens in TOKENS:
        works: dict[str, Callable[[], object]] = {}
        for name, (window, modes) in MIXING.items():
            mixing = f"operator.pdet.group_size={window}", f"operator.pdet.spectral_modes={modes}"
            model = untrained(f"latent.tokens={tokens}", *mixing)
            z = torch.randn(1, tokens, model.codec.dim)
            works[name] = partial(model.step, LatentState(z, cond={"params": torch.ones(1, 1)}), torch.full((1,), 0.05))
        for name, seconds in in_turn(works, scale.repeats).items():
            found[name][str(tokens)] = 1e3 * seconds
    return {"ms_per_step": found}


def _trajectories(scale: Scale, place: Place, folder: Path) -> dict[str, Any]:
    """Milliseconds of one step of all trajectories together."""
    surrogate = Surrogate(untrained())
    works = {str(n): partial(_forecast, surrogate, torch.randn(n, 1, 256), 1) for n in TRAJECTORIES}
    return {"ms_per_step": _milliseconds(works, scale)}


def _members(scale: Scale, place: Place, folder: Path) -> dict[str, Any]:
    """Milliseconds of one step of all members of one trajectory together, a network evaluation for each beside the
    operator's."""
    model = untrained()
    network = DiffusionResidual(model, DiffusionSettings())
    surrogate = Surrogate(model, heads={"crps": ResidualHead(network.eval(), "crps")})
    works = {str(n): partial(_forecast, surrogate, torch.randn(1, 1, 256), n) for n in MEMBERS}
    return {"ms_per_step": _milliseconds(works, scale)}


def _milliseconds(works: Mapping[str, Callable[[], object]], scale: Scale) -> dict[str, float]:
    return {name: 1e3 * seconds / FORECAST for name, seconds in in_turn(works, scale.repeats).items()}


def _forecast(surrogate: Surrogate, u0: Tensor, members: int) -> Tensor:
    """A rollout in one batch."""
    sampler = "crps" if surrogate.heads else "none"
    return surrogate.rollout(u0, FORECAST, members=members, sampler=sampler, batch=len(u0) * members).values
