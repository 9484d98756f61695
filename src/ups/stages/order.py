"""The stages in their order, what each builds on, and how its files are called."""

from __future__ import annotations

RESIDUAL = ("diff_residual", "crps_ensemble", "consistency_distill")
"""Stages that learn the operator's residual."""
FILES = {"diff_residual": "diffusion_residual"}
"""Stems of the checkpoints of stages whose files are not called like them."""
PREDECESSORS: dict[str, tuple[str, ...]] = {
    "autoencoder": (),
    "operator": ("autoencoder",),
    "diff_residual": ("operator",),
    "crps_ensemble": ("operator",),
    "consistency_distill": ("operator", "diff_residual"),
    "steady_prior": ("operator",),
}
"""The stages whose weights a stage loads, those that come first in front."""


def resting_on(stage: str) -> list[str]:
    """A stage and all that build on it, later stages first; every stage for `all`."""
    found: list[str] = []
    for name in PREDECESSORS:
        if stage in ("all", name) or not set(PREDECESSORS[name]).isdisjoint(found):
            found.insert(0, name)
    return found
