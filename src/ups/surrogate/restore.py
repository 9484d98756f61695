"""Models from the checkpoints of a run folder, each checked against the operator that it was trained for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ups.core.command import train_command
from ups.core.errors import UserError
from ups.core.stages import STAGES
from ups.core.system import System
from ups.models.autoencoder import LatentSettings
from ups.models.diffusion_residual import DiffusionResidual, DiffusionSettings
from ups.models.latent_operator import LatentModel, OperatorSettings
from ups.models.residual_head import ResidualHead
from ups.models.steady_prior import SteadyPrior
from ups.training import checkpoint


class Weights(NamedTuple):
    """A checkpoint of a stage: what it holds and where it lies."""

    payload: dict[str, Any]
    path: Path


def best_weights(folder: Path, stage: str) -> Path | None:
    """The weights of a stage that are meant to be used: the averaged ones where there are any."""
    candidates = [folder / f"{stage}_ema.pt", folder / f"{stage}.pt"]
    return next((path for path in candidates if path.exists()), None)


def trained_weights(folder: Path, device: torch.device | str = "cpu") -> dict[str, Weights]:
    """The best weights in a run's `checkpoints/`, by stage; raises UserError without an operator."""
    found = {name: path for name, spec in STAGES.items() if (path := best_weights(folder, spec.stem))}
    if "operator" not in found:
        raise UserError(f"no trained operator in {folder}: expected operator.pt; train one with `ups run CONFIG`")
    return {name: Weights(checkpoint.load(path, device), path) for name, path in found.items()}


def require_same_operator(model: LatentModel, weights: Mapping[str, Weights]) -> None:
    """Raises UserError unless all that was trained on an operator was trained on `model`."""
    known, of_operator = checkpoint.digest(model), weights["operator"].path
    for name, content in weights.items():
        if "operator" in STAGES[name].predecessors and content.payload.get("operator_digest") != known:
            again = again_command(content.path.parent.parent, name)
            raise UserError(f"{content.path} belongs to another operator than {of_operator}: run `{again}` first")


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
