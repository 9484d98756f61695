"""Models from the checkpoints of a run folder, each checked against the operator that it was trained for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypeVar

import torch
from pydantic import AfterValidator, Field, model_validator
from torch import nn

from ups.core.command import train_command
from ups.core.errors import UserError
from ups.core.stages import STAGES
from ups.core.system import System, consistent
from ups.models.autoencoder import LatentSettings
from ups.models.diffusion_residual import DiffusionResidual, DiffusionSettings
from ups.models.latent_operator import LatentModel, OperatorSettings
from ups.models.residual_head import Objective, ResidualHead
from ups.models.steady_prior import SteadyPrior
from ups.training import checkpoint
from ups.training.saved import Saved, read


class OperatorFile(Saved):
    """The weights of an operator with its codec, and how to build it."""

    system: Annotated[System, AfterValidator(consistent)]
    rollout_space: Literal["field", "latent"]
    latent: Annotated[LatentSettings, Field(strict=False)]
    operator: Annotated[OperatorSettings, Field(strict=False)]

    @property
    def data_hash(self) -> str:
        """Hash of the data and splits that it was trained on."""
        return str(self.fingerprint["data"])

    @model_validator(mode="after")
    def _held(self) -> OperatorFile:
        """The weights from a patch to a token and the hash of the data are there."""
        if not isinstance(self.fingerprint.get("data"), str):
            raise ValueError("fingerprint.data is missing")
        least, held = 4e-6 * self.latent.least_weights(self.system.shape), 1e-6 * self.bytes
        if least > held:
            raise ValueError(
                f"latent and system need weights of at least {least:.3g} MB, and the file has {held:.3g} MB"
            )
        return self


class OnOperator(Saved):
    """The weights of what was trained on an operator."""

    operator_digest: str


class HeadFile(OnOperator):
    """The weights of a sampler, and how to build it."""

    diffusion: Annotated[DiffusionSettings, Field(strict=False)]
    objective: Objective


class SteadyFile(OnOperator):
    """The weights of the steady prior, and how to build it."""

    num_steps: int = Field(ge=1, le=10_000)


def record_kind(stage: str) -> type[Saved]:
    """What the weights of a stage are read as."""
    kinds = {"operator": OperatorFile, "steady_prior": SteadyFile}
    return kinds.get(stage, HeadFile if STAGES[stage].residual else Saved)


class Weights(NamedTuple):
    """A checkpoint of a stage: what it holds and where it lies."""

    saved: Saved
    path: Path


def best_weights(folder: Path, stage: str) -> Path | None:
    """The weights of a stage that are meant to be used: the averaged ones where there are any."""
    candidates = [folder / f"{stage}_ema.pt", folder / f"{stage}.pt"]
    return next((path for path in candidates if path.exists()), None)


def load_weights(folder: Path, device: torch.device | str = "cpu") -> dict[str, Weights]:
    """The best weights in a run's `checkpoints/`, by stage; raises UserError without an operator."""
    found = {name: path for name, spec in STAGES.items() if (path := best_weights(folder, spec.stem))}
    if "operator" not in found:
        raise UserError(f"no trained operator in {folder}: expected operator.pt; train one with `ups run CONFIG`")
    again = {name: f"run `{again_command(folder.parent, name)}`" for name in found}
    return {name: Weights(read(record_kind(name), path, again[name], device), path) for name, path in found.items()}


def require_same_operator(model: LatentModel, weights: Mapping[str, Weights]) -> None:
    """Raises UserError unless all that was trained on an operator was trained on `model`."""
    known, of_operator = checkpoint.digest(model), weights["operator"].path
    for name, (saved, path) in weights.items():
        if isinstance(saved, OnOperator) and saved.operator_digest != known:
            again = again_command(path.parent.parent, name)
            raise UserError(f"{path} belongs to another operator than {of_operator}: run `{again}` first")


def again_command(run: Path, stage: str) -> str:
    """The command that trains a stage of a run folder from scratch, by the config in it, wherever it was moved to."""
    config = run / "config.yaml"
    return train_command(config if config.exists() else "CONFIG", stage, True, [f"run.dir={run}"])


M = TypeVar("M", bound=nn.Module)


def restored(make: Callable[[], M], weights: Weights) -> M:
    """The model that `make` builds, with its weights; nothing is allocated for it until they are known to fit."""
    saved, path = weights
    try:
        with torch.device("meta"):
            outline = make()
        checkpoint.load_state(outline, {name: values.to("meta") for name, values in saved.state.items()}, path)
    except (RuntimeError, UserError) as error:
        again = again_command(path.parent.parent, saved.kind)
        raise UserError(f"{path} does not hold the model that it describes ({error}); run `{again}`") from error
    model = make()
    checkpoint.load_state(model, saved.state, path)
    return model


def build_model(weights: Weights) -> LatentModel:
    """A `LatentModel` from an operator checkpoint alone."""
    saved = weights.saved
    assert isinstance(saved, OperatorFile)
    return restored(lambda: LatentModel(saved.system, saved.latent, saved.operator), weights)


def build_head(model: LatentModel, weights: Weights, device: torch.device | str) -> ResidualHead:
    """A sampler from its checkpoint."""
    saved = weights.saved
    assert isinstance(saved, HeadFile)
    network = restored(lambda: DiffusionResidual(model, saved.diffusion), weights)
    network = network.to(device).eval().requires_grad_(False)
    steps = saved.diffusion.steps if saved.objective == "flow" else 1
    return ResidualHead(network, saved.objective, steps, saved.diffusion.solver)


def build_steady(model: LatentModel, weights: Weights) -> SteadyPrior:
    """The steady prior from its checkpoint."""
    saved = weights.saved
    assert isinstance(saved, SteadyFile)
    return restored(lambda: SteadyPrior(model, saved.num_steps), weights).eval().requires_grad_(False)
