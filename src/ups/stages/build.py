"""A stage by its name, built by the file that the table of stages names."""

from __future__ import annotations

from importlib import import_module

from ups.core.stages import STAGES
from ups.stages.context import Context
from ups.training.stage import Stage


def build_stage(context: Context, name: str) -> Stage:
    """What a stage of a run trains; raises UserError where something is missing that it builds on."""
    module = import_module(f"ups.stages.{STAGES[name].module or name}")
    return module.build(context, name)
