"""The record that every latent model takes and returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor


@dataclass(frozen=True)
class LatentState:
    """A batch of systems in latent space.

    Attributes:
        z: Latent tokens, normalised, (B, N, D).
        t: Physical time, (B,), or None where the system does not depend on it.
        cond: Conditions by name; `params` holds the PDE parameters, (B, P), in physical units.
    """

    z: Tensor
    t: Tensor | None = None
    cond: Mapping[str, Tensor] = field(default_factory=dict)

    def advance(self, z: Tensor, dt: Tensor) -> LatentState:
        """The state `dt` later, with latent tokens `z` and the same conditions."""
        return replace(self, z=z, t=None if self.t is None else self.t + dt)

    def each(self, change: Callable[[Tensor], Tensor]) -> LatentState:
        """The state with every tensor changed, such as samples that are repeated or chosen."""
        t = None if self.t is None else change(self.t)
        return LatentState(change(self.z), t, {name: change(value) for name, value in self.cond.items()})
