"""The weights that a stage builds on: whether they are there, finished, and of the models and data of the config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ups.core.errors import UserError
from ups.core.stages import STAGES
from ups.stages.context import Context
from ups.surrogate.restore import best_weights
from ups.training import checkpoint

SHARED = ("training.dt", "data", "data.strides", "reserved share", "rollout.space")
"""What must be the same in all stages of a run, beside the models themselves."""
MODELS = ("latent.", "operator.", "diffusion.")
"""Starts of the settings by which models are built: with others, weights might fit and mean nothing."""


def require(context: Context, stage: str) -> tuple[Path, dict[str, Any]]:
    """The best weights of a finished predecessor, the average where there is one.

    Raises:
        UserError: They are missing, unfinished, or of other models, data or trajectories than the config now names.
            The sentence ends with the command to run first, which is that of the earliest stage that does not fit.
    """
    stem = STAGES[stage].stem
    path = best_weights(context.checkpoints, stem) or context.checkpoints / f"{stem}.pt"
    payload = checkpoint.load(path, context.device) if path.exists() else {}
    resume = context.checkpoints / f"{stem}_resume.pt"
    if not payload:
        problem, fresh = f"no checkpoint {path} of stage {stage}", False
    elif found := mismatch(context, stage, payload):
        problem, fresh = f"{path} {found}", True
    elif not finished(payload, resume):
        problem, fresh = f"{path} is of stage {stage} before its end", not resume.exists()
    else:
        return path, payload
    for before in context.predecessors(stage):
        require(context, before)
    raise UserError(f"{problem}: run `{context.command(stage, fresh)}` first")


def mismatch(context: Context, stage: str, payload: dict[str, Any]) -> str | None:
    """What a predecessor's weights differ in from the config, or None."""
    if payload.get("kind") != stage:
        return f"should hold stage {stage} and holds {payload.get('kind')!r}"
    theirs = payload["fingerprint"]
    ours = context.fingerprint(stage, {})
    for name in [*SHARED, *(name for name in ours if name.startswith(MODELS))]:
        if theirs.get(name, value := ours[name]) != value:
            if name == "data":
                return "was trained on other data"
            return f"was trained with {name} = {theirs[name]!r}, and the config now says {value!r}"
    return None


def finished(payload: dict[str, Any], resume: Path) -> bool:
    """Whether a stage has come to its end: so say its weights, or its resume state where a kill came between both."""
    return payload.get("finished", False) or (resume.exists() and checkpoint.load(resume)["tally"]["done"])
