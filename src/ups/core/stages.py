"""The stages of training, one entry each: everything else that differs between stages is read from this table.

A new stage is an entry here and a file of `ups.stages` whose `build(context, name)` returns what is trained. Its
section of the config, its command, its checkpoints, its sampler and its rows of the ledger follow.
"""

from __future__ import annotations

from dataclasses import dataclass

from ups.core.errors import UserError


@dataclass(frozen=True)
class StageSpec:
    """What the rest of the package knows of a stage.

    Attributes:
        name: As in the config and on the command line.
        about: What it trains, for the reference of the config.
        module: The file of `ups.stages` that builds it; called like the stage unless given.
        file: Stem of its checkpoints; called like the stage unless given.
        predecessors: Stages whose weights it loads, those that come first in front.
        for_codec: Those of them that it loads for the sake of a learnt codec alone.
        why: Why it cannot be trained in a run that skips the last that it needs; empty where it can.
        residual: Whether it learns the operator's residual, on trajectories that are reserved for that.
        sampler: The name by which `Surrogate.rollout` draws from it; empty where it is no sampler.
        evaluations: Network evaluations of a draw that are scored, one row each; empty for the sampler's own.
        rows: Starts of the names of its rows in the ledger.
        built_on: The row that these are built on and compared with.
    """

    name: str
    about: str
    module: str = ""
    file: str = ""
    predecessors: tuple[str, ...] = ()
    for_codec: tuple[str, ...] = ()
    why: str = ""
    residual: bool = False
    sampler: str = ""
    evaluations: tuple[int, ...] = ()
    rows: tuple[str, ...] = ()
    built_on: str = ""

    @property
    def stem(self) -> str:
        """Stem of its checkpoints."""
        return self.file or self.name

    def needs(self, exact: bool) -> tuple[str, ...]:
        """The predecessors that it needs, with an exact codec or a learnt one."""
        return tuple(name for name in self.predecessors if not (exact and name in self.for_codec))


_ENTRIES = (
    StageSpec(name="autoencoder", about="Stage 0: the codec alone."),
    StageSpec(
        name="operator",
        about="Stage 1: the operator, with the codec unless `training.train_codec` is false.",
        predecessors=("autoencoder",),
        for_codec=("autoencoder",),
        rows=("operator",),
        built_on="persistence",
    ),
    StageSpec(
        name="diff_residual",
        about="Stage 2: the distribution of the operator's residual.",
        module="residual",
        file="diffusion_residual",
        predecessors=("operator",),
        why="it learns the residual of the operator",
        residual=True,
        sampler="diffusion",
        rows=("diffusion", "regression", "crps"),
        built_on="operator",
    ),
    StageSpec(
        name="crps_ensemble",
        about="Beside stage 2: the same network as an ensemble of one-evaluation members, trained on the fair CRPS.",
        module="residual",
        predecessors=("operator",),
        why="it learns the residual of the operator",
        residual=True,
        sampler="crps",
        rows=("crps",),
        built_on="operator",
    ),
    StageSpec(
        name="consistency_distill",
        about="Stage 3: a student that samples it in one to four evaluations.",
        module="distill",
        predecessors=("operator", "diff_residual"),
        why="it distils the diffusion residual",
        residual=True,
        sampler="consistency",
        evaluations=(1, 2, 4),
        rows=("consistency",),
        built_on="diffusion",
    ),
    StageSpec(
        name="steady_prior",
        about="Stage 4: the steady state in a few steps.",
        module="steady",
        predecessors=("operator",),
        for_codec=("operator",),
        why="it works on the latents that are trained with the operator",
        rows=("steady_prior",),
        built_on="operator@T",
    ),
)
STAGES: dict[str, StageSpec] = {spec.name: spec for spec in _ENTRIES}
"""The stages by name, in the order in which they are trained."""


def require_stage(name: str) -> None:
    """Raises UserError unless `name` is a stage, or `all`."""
    if name not in ("all", *STAGES):
        raise UserError(f"no stage {name!r}: expected all, {', '.join(STAGES)}")


def needed_by(stage: str, exact: bool = False) -> tuple[str, ...]:
    """The stages that must be trained to use a stage, itself the last, in order; with an `exact` codec, or not."""
    wanted = {stage}
    for spec in reversed(STAGES.values()):
        wanted |= set(spec.needs(exact)) if spec.name in wanted else set()
    return tuple(name for name in STAGES if name in wanted)


def built_on_by(stage: str, exact: bool = False) -> tuple[str, ...]:
    """A stage and all that build on it, later ones first; every stage for `all`; with an `exact` codec or not."""
    return tuple(name for name in reversed(STAGES) if stage in ("all", *needed_by(name, exact)))


def samplers() -> dict[str, StageSpec]:
    """The stages that give a sampler, by its name, the cheapest first: a later stage samples in fewer evaluations."""
    return {spec.sampler: spec for spec in reversed(STAGES.values()) if spec.sampler}
