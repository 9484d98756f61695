"""What is looked at before anything is trained: the settings against this machine, and the data files themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ups.core.errors import UserError
from ups.data.dataset import Dataset
from ups.data.inspect import check_files
from ups.data.locate import locate
from ups.data.settings import DataSettings
from ups.orchestrate.plan import Plan
from ups.orchestrate.state import Outcome
from ups.run.checks import require_sound

SHOWN = 3
"""Warnings that are told in words."""


def data_files(settings: DataSettings) -> list[tuple[str, int, int]]:
    """Path, size and time of change of every data file; those that the settings describe are generated first."""
    paths = [path for part in locate(settings) for path in part]
    return [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]


def check_config(plan: Plan) -> Outcome:
    """Whether there is something to train, and nothing that keeps training or scoring from coming to its end."""
    stages, asked = plan.stages(), plan.options.train_stage
    if not stages and not plan.options.skip_training:
        keys = "stages.operator.epochs" if asked == "all" else f"stages.{asked}.epochs"
        raise UserError(f"nothing to train for --train-stage {asked}; set --config-override {keys}=N")
    require_sound(plan.config, {"--small-eval-config": plan.small, "--full-eval-config": plan.full})
    epochs = {name: getattr(plan.config.stages, name).epochs for name in stages}
    words = ", ".join(f"{name} ({count} epochs)" for name, count in epochs.items()) or "no stage"
    return Outcome(f"the config is valid; to be trained: {words}", {"epochs": epochs})


def check_data(plan: Plan, data: Dataset) -> Outcome:
    """Whether the files hold what training and both evaluations need.

    Raises UserError with the first finding, and the number of the others, if something would spoil a training.
    """
    settings = plan.config.data
    paths = [Path(name) for name, *_ in data_files(settings)]
    findings = check_files(paths, settings.mapping, settings.boundary)
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        more = f" (and {len(errors) - 1} more, see `ups data check`)" if len(errors) > 1 else ""
        raise UserError(f"{errors[0]}{more}; mend the data, or go on with --skip-validation".removeprefix("error: "))
    warnings = [str(finding).removeprefix("warning: ") for finding in findings if finding.level == "warning"]
    described: dict[str, Any] = {
        key: data.describe()[key] for key in ("task", "data_hash", "splits", "frames", "shape")
    }
    sizes = ", ".join(f"{part['trajectories']} {name}" for name, part in described["splits"].items())
    words = f"the data are sound: {sizes} trajectories of {data.train.frames} frames"
    return Outcome(words + _listed(warnings), {**described, "warnings": warnings})


def _listed(warnings: Sequence[str]) -> str:
    """The number of warnings and the first of them, to be added to a sentence."""
    if not warnings:
        return ""
    count = "1 warning" if len(warnings) == 1 else f"{len(warnings)} warnings"
    more = "" if len(warnings) <= SHOWN else f"; and {len(warnings) - SHOWN} more, all in summary.json"
    return f"; {count}: {'; '.join(warnings[:SHOWN])}{more}"
