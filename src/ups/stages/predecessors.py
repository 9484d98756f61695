"""The weights that a stage builds on: whether they are there, finished, and of the models and data of the config."""

from __future__ import annotations

from pathlib import Path

from ups.core.errors import UserError
from ups.core.stages import STAGES
from ups.stages.context import Context
from ups.surrogate.restore import best_weights, record_kind
from ups.training.saved import Resume, Saved, read

SHARED = ("training.dt", "data", "data.strides", "reserved share", "rollout.space")
"""What must be the same in all stages of a run, beside the models themselves."""
MODELS = ("latent.", "operator.", "diffusion.")
"""Starts of the settings by which models are built: with others, weights might fit and mean nothing."""


def require(context: Context, stage: str) -> tuple[Path, Saved]:
    """The best weights of a finished predecessor, the average where there is one.

    Raises:
        UserError: They are missing, unfinished, or of other models, data or trajectories than the config now names.
            The sentence ends with the command to run first, which is that of the earliest stage that does not fit.
    """
    stem = STAGES[stage].stem
    path = best_weights(context.checkpoints, stem) or context.checkpoints / f"{stem}.pt"
    again = f"run `{context.command(stage, True)}` first"
    saved = read(record_kind(stage), path, again, context.device) if path.exists() else None
    resume = context.checkpoints / f"{stem}_resume.pt"
    if saved is None:
        problem, fresh = f"no checkpoint {path} of stage {stage}", False
    elif found := mismatch(context, stage, saved):
        problem, fresh = f"{path} {found}", True
    elif not finished(saved, resume, again):
        problem, fresh = f"{path} is of stage {stage} before its end", not resume.exists()
    else:
        return path, saved
    for before in context.predecessors(stage):
        require(context, before)
    raise UserError(f"{problem}: run `{context.command(stage, fresh)}` first")


def mismatch(context: Context, stage: str, saved: Saved) -> str | None:
    """What a predecessor's weights differ in from the config, or None."""
    if saved.kind != stage:
        return f"should hold stage {stage} and holds {saved.kind!r}"
    theirs = saved.fingerprint
    ours = context.fingerprint(stage, {})
    for name in [*SHARED, *(name for name in ours if name.startswith(MODELS))]:
        if theirs.get(name, value := ours[name]) != value:
            if name == "data":
                return "was trained on other data"
            return f"was trained with {name} = {theirs[name]!r}, and the config now says {value!r}"
    return None


def finished(saved: Saved, resume: Path, again: str) -> bool:
    """Whether a stage has come to its end: so say its weights, or its resume state where a kill came between both."""
    return saved.finished or (resume.exists() and read(Resume, resume, again).tally.done)
