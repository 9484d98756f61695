"""What a run will take, from a few real steps of every stage and a few real frames of both evaluations.

Everything is done with the classes that do it later, on the same data and at the same batch sizes, in a folder that is
thrown away. A stage that stops early takes less.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ups.config import Config
from ups.data.dataset import Dataset
from ups.orchestrate.evaluation_timing import EvaluationEstimate, evaluation_time, first_calls
from ups.orchestrate.plan import Plan
from ups.orchestrate.stage_timing import StageEstimate, stage_time, warm_up
from ups.run.train import STAGES, context_of
from ups.training.timing import clock


@dataclass(frozen=True)
class Estimate:
    """What a run will take."""

    data_seconds: float
    stages: dict[str, StageEstimate]
    evaluations: dict[str, EvaluationEstimate]
    baseline_seconds: float
    """Training of `evaluation.baselines`, each for as long as codec and operator."""

    @property
    def training_seconds(self) -> float:
        """All stages."""
        return sum(stage.seconds for stage in self.stages.values())

    @property
    def seconds(self) -> float:
        """All of it, with opening the data."""
        evaluations = self.baseline_seconds + sum(part.seconds for part in self.evaluations.values())
        return self.data_seconds + self.training_seconds + evaluations

    @property
    def host_bytes(self) -> int:
        """Largest resident set."""
        return max((part.host_bytes for part in (*self.stages.values(), *self.evaluations.values())), default=0)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        totals = {"training_seconds": self.training_seconds, "seconds": self.seconds, "host_bytes": self.host_bytes}
        return totals | asdict(self)


def estimate(plan: Plan, opened: Callable[[], Dataset], scratch: Path) -> Estimate:
    """Measures a few steps and frames and extrapolates.

    Args:
        plan: What will be run.
        opened: Opens the data set.
        scratch: A folder that is made for the purpose and removed.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    began = clock()
    data = opened()
    data_seconds = clock() - began
    try:
        context = replace(context_of(plan.config, data), folder=scratch)
        wanted = set() if plan.options.skip_training else set(plan.stages())
        last = max((i for i, name in enumerate(STAGES) if name in wanted), default=len(STAGES))
        needed = [name for name in list(STAGES)[: last + 1] if context.settings(name).epochs]
        warm_up(context, needed)
        stages = {name: stage_time(context, name, measured=name in wanted) for name in needed}
        known = {name: stage for name, stage in stages.items() if stage}
        return Estimate(data_seconds, known, _evaluations(plan, data, scratch), _baselines(plan, known))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _baselines(plan: Plan, stages: Mapping[str, StageEstimate]) -> float:
    """Seconds that baselines are trained for."""
    names = {name for config in _wanted(plan).values() for name in config.evaluation.baselines}
    return len(names) * sum(stages[name].seconds for name in ("autoencoder", "operator") if name in stages)


def _evaluations(plan: Plan, data: Dataset, folder: Path) -> dict[str, EvaluationEstimate]:
    """Both evaluations, as far as they are wanted and there is an operator to score."""
    checkpoints, wanted = folder / "checkpoints", _wanted(plan)
    if not (checkpoints / "operator.pt").exists():
        return {}
    for steady in checkpoints.glob("steady_prior*"):
        steady.unlink()  # short trajectories reach no steady state that it could be scored on
    for split, config in list(wanted.items())[:1]:
        first_calls(folder, split, config, data)
    return {split: evaluation_time(folder, split, config, data) for split, config in wanted.items()}


def _wanted(plan: Plan) -> dict[str, Config]:
    """Splits that are to be scored, with the settings."""
    skipped = {"validation": plan.options.skip_small_eval, "test": plan.options.skip_full_eval}
    configs = {"validation": plan.small, "test": plan.full}
    return {split: config for split, config in configs.items() if config.evaluation.enabled and not skipped[split]}
