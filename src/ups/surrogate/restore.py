"""Models from the checkpoints of a run folder, each checked against the operator that it was trained for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ups.core.command import train_command
from ups.core.errors import UserError
from ups.core.system import System
from ups.models.autoencoder import LatentSettings
from ups.models.diffusion_residual import DiffusionResidual, DiffusionSettings
from ups.models.latent_operator import LatentModel, OperatorSettings
from ups.models.residual_head import ResidualHead
from ups.models.steady_prior import SteadyPrior
from ups.training import checkpoint

HEADS = {"diffusion": "diffusion_residual", "crps": "crps_ensemble", "consistency": "consistency_distill"}
"""Samplers of the residual and the stems of their checkpoints."""


@dataclass(frozen=True)
class Restored:
    """What a folder of checkpoints holds; the fields are those of `Surrogate`."""

    model: LatentModel
    heads: dict[str, ResidualHead]
    steady_prior: SteadyPrior | None
    space: str
    data_hash: str
    train_seconds: dict[str, float]


def best_weights(folder: Path, stage: str) -> Path | None:
    """The weights of a stage that are meant to be used: the averaged ones where there are any."""
    candidates = [folder / f"{stage}_ema.pt", folder / f"{stage}.pt"]
    return next((path for path in candidates if path.exists()), None)


def restore(folder: Path, device: torch.device | str = "cpu") -> Restored:
    """All trained models in a run's `checkpoints/`.

    Raises:
        UserError: There is no trained operator, or a file is damaged, foreign, or belongs to another operator.
    """
    path = best_weights(folder, "operator")
    if path is None:
        raise UserError(f"no trained operator in {folder}: expected operator.pt; train one with `ups run CONFIG`")
    payload = checkpoint.load(path, device)
    model = build_model(payload, path)
    known = checkpoint.digest(model)
    found = {name: best_weights(folder, stem) for name, stem in (*HEADS.items(), ("steady_prior", "steady_prior"))}
    files = {name: file for name, file in found.items() if file}
    stored = {name: checkpoint.load(file, device) for name, file in files.items()}
    for name, content in stored.items():
        if content.get("operator_digest") != known:
            again = again_command(folder.parent, str(content.get("kind")))
            raise UserError(f"{files[name]} belongs to another operator than {path}: run `{again}` first")
    heads = {name: build_head(model, stored[name], files[name], device) for name in HEADS if name in stored}
    steady = None
    if "steady_prior" in stored:
        steady = build_steady(model, stored["steady_prior"], files["steady_prior"]).to(device)
    seconds = {name: content["train_seconds"] for name, content in {"operator": payload, **stored}.items()}
    first = best_weights(folder, "autoencoder")
    if first is not None:
        seconds["autoencoder"] = checkpoint.load(first)["train_seconds"]
    space, data_hash = payload["rollout_space"], payload["fingerprint"]["data"]
    return Restored(model, heads, steady, space, data_hash, seconds)


def again_command(run: Path, stage: str) -> str:
    """The command that trains a stage of a run folder from scratch, by the config in it, wherever it was moved to."""
    config = run / "config.yaml"
    return train_command(config if config.exists() else "CONFIG", stage, True, [f"run.dir={run}"])


def build_model(payload: Mapping[str, Any], path: Path) -> LatentModel:
    """A `LatentModel` from an operator checkpoint alone."""
    try:
        system = System.from_dict(payload["system"])
        model = LatentModel(
            system,
            LatentSettings.model_validate(payload["latent"]),
            OperatorSettings.model_validate(payload["operator"]),
        )
    except (KeyError, ValueError) as error:
        raise UserError(f"{path} is not an operator checkpoint of this program: {error}") from error
    checkpoint.load_state(model, payload, path)
    return model


def build_head(model: LatentModel, payload: Mapping[str, Any], path: Path, device: torch.device | str) -> ResidualHead:
    """A sampler from its checkpoint."""
    settings = DiffusionSettings.model_validate(payload["diffusion"])
    network = DiffusionResidual(model, settings)
    checkpoint.load_state(network, payload, path)
    network = network.to(device).eval().requires_grad_(False)
    objective = payload["objective"]
    return ResidualHead(network, objective, settings.steps if objective == "flow" else 1, settings.solver)


def build_steady(model: LatentModel, payload: Mapping[str, Any], path: Path) -> SteadyPrior:
    """The steady prior from its checkpoint."""
    prior = SteadyPrior(model, payload["num_steps"])
    checkpoint.load_state(prior, payload, path)
    return prior.eval().requires_grad_(False)
