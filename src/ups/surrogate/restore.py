"""Models from the checkpoints of a run folder, each checked against the operator, or the codec, that it is for.

A steady prior on an exact codec holds that codec, and can be all that a run has.
"""

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
from ups.training.saved import Saved, State, read


class ModelFile(Saved):
    """Weights with all that says how to build a `LatentModel`."""

    system: Annotated[System, AfterValidator(consistent)]
    rollout_space: Literal["field", "latent"]
    latent: Annotated[LatentSettings, Field(strict=False)]
    operator: Annotated[OperatorSettings, Field(strict=False)]

    @property
    def data_hash(self) -> str:
        """Hash of the data and splits that it was trained on."""
        return str(self.fingerprint["data"])

    @model_validator(mode="after")
    def _hashed(self) -> ModelFile:
        """The hash of the data is there."""
        if not isinstance(self.fingerprint.get("data"), str):
            raise ValueError("fingerprint.data is missing")
        return self

    def new_model(self) -> LatentModel:
        """The model that it describes, with fresh weights."""
        return LatentModel(self.system, self.latent, self.operator)


class OperatorFile(ModelFile):
    """The weights of an operator with its codec."""

    @model_validator(mode="after")
    def _held(self) -> OperatorFile:
        """The weights from a patch to a token are there."""
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


class SteadyFile(ModelFile):
    """The weights of the steady prior, with the digest of the operator whose learnt codec it works on, or with an exact
    codec itself."""

    num_steps: int = Field(ge=1, le=10_000)
    operator_digest: str | None = None
    codec: State | None = None

    @model_validator(mode="after")
    def _alone(self) -> SteadyFile:
        """An exact codec is there."""
        if (self.codec is None) == (self.latent.codec == "exact"):
            raise ValueError(f"codec is {'missing' if self.codec is None else 'there, and latent.codec is learnt'}")
        return self


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
    """The best weights in a run's `checkpoints/`, by stage; raises UserError without an operator, unless there is a
    steady prior that does without."""
    found = {name: path for name, spec in STAGES.items() if (path := best_weights(folder, spec.stem))}
    missing = f"no trained operator in {folder}: expected operator.pt; train one with `ups run CONFIG`"
    if not found.keys() & {"operator", "steady_prior"}:
        raise UserError(missing)
    again = {name: f"run `{again_command(folder.parent, name)}`" for name in found}
    weights = {name: Weights(read(record_kind(name), path, again[name], device), path) for name, path in found.items()}
    alone = weights.keys() <= {"autoencoder", "steady_prior"} and self_contained(weights["steady_prior"].saved)
    if "operator" not in weights and not alone:
        raise UserError(missing)
    return weights


def self_contained(saved: Saved) -> bool:
    """Whether weights can be used without an operator."""
    return isinstance(saved, SteadyFile) and saved.codec is not None


def require_same_operator(model: LatentModel, weights: Mapping[str, Weights]) -> None:
    """Raises UserError unless all that was trained on an operator, or on an exact codec, was so on that of `model`."""
    known, codec, of_operator = checkpoint.digest(model), model.codec.state_dict(), weights["operator"].path
    for name, (saved, path) in weights.items():
        if isinstance(saved, SteadyFile) and saved.codec is not None:
            same = (saved.system, saved.latent) == (model.system, _latent(weights["operator"]))
            fits = same and checkpoint.digest_of(saved.codec) == checkpoint.digest_of(codec)
        else:
            fits = not isinstance(saved, OnOperator | SteadyFile) or saved.operator_digest == known
        if not fits:
            again = again_command(path.parent.parent, name)
            raise UserError(f"{path} belongs to another operator than {of_operator}: run `{again}` first")


def _latent(weights: Weights) -> LatentSettings:
    assert isinstance(weights.saved, ModelFile)
    return weights.saved.latent


def again_command(run: Path, stage: str, fresh: bool = True) -> str:
    """The command that trains a stage of a run folder, from scratch unless `fresh` is false, by the config in it,
    wherever it was moved to."""
    config = run / "config.yaml"
    return train_command(config if config.exists() else "CONFIG", stage, fresh, [f"run.dir={run}"])


M = TypeVar("M", bound=nn.Module)


def restored(make: Callable[[], M], weights: Weights) -> M:
    """The model that `make` builds, with its weights; nothing is allocated for it until they are known to fit."""
    require_fit(make, weights)
    model = make()
    checkpoint.load_state(model, weights.saved.state, weights.path)
    return model


def require_fit(make: Callable[[], nn.Module], weights: Weights) -> None:
    """Raises UserError unless weights are those of the model that `make` builds, for which nothing is allocated."""
    saved, path = weights
    try:
        with torch.device("meta"):
            outline = make()
        checkpoint.load_state(outline, {name: values.to("meta") for name, values in saved.state.items()}, path)
    except (RuntimeError, UserError) as error:
        again = again_command(path.parent.parent, saved.kind)
        raise UserError(f"{path} does not hold the model that it describes ({error}); run `{again}`") from error


def build_model(weights: Mapping[str, Weights]) -> LatentModel:
    """A `LatentModel` from the operator's checkpoint, or, its operator untrained, from that of a steady prior."""
    if "operator" in weights:
        saved = weights["operator"].saved
        assert isinstance(saved, OperatorFile)
        return restored(saved.new_model, weights["operator"])
    saved, path = weights["steady_prior"]
    assert isinstance(saved, SteadyFile) and saved.codec is not None
    require_fit(lambda: SteadyPrior(saved.new_model(), saved.num_steps), weights["steady_prior"])
    model = saved.new_model()
    checkpoint.load_state(model.codec, saved.codec, path)
    return model


def build_head(model: LatentModel, weights: Weights, device: torch.device | str) -> ResidualHead:
    """A sampler from its checkpoint."""
    saved = weights.saved
    assert isinstance(saved, HeadFile)
    network = restored(lambda: DiffusionResidual(model, saved.diffusion), weights)
    network = network.to(device).eval().requires_grad_(False)
    steps = saved.diffusion.steps if saved.objective == "flow" else 1
    return ResidualHead(network, saved.objective, steps, saved.diffusion.solver)


def build_steady(model: LatentModel, weights: Weights) -> SteadyPrior:
    """The steady prior from its checkpoint: on an exact codec as it describes itself, whatever operator there is."""
    saved = weights.saved
    assert isinstance(saved, SteadyFile)
    of = (lambda: model) if saved.codec is None else saved.new_model
    return restored(lambda: SteadyPrior(of(), saved.num_steps), weights).eval().requires_grad_(False)
