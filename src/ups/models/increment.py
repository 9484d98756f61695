"""What the operator adds in one step to fields on a grid.

    u(t + dt) - u(t) = sigma_d * G * (difference of fluxes f)     channels that conserve their mean
    u(t + dt) - u(t) = sigma_d * s                                all others

with f and s from the network and sigma_d the root mean square of the channel's change in one step. In the first form
the mean cannot drift, and the errors that are left are those of a flux, whose differences are small where the flux is
smooth: in a rollout with shocks the error is several times smaller.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ups.core.domain import Domain
from ups.core.fluxes import divergence
from ups.core.patches import Layout
from ups.core.walls import Walls, held_points

GAIN = 25.0
"""G: fluxes are smooth, so their differences are small and want a factor that brings them to the size of a change."""


class Increment(nn.Module):
    """Tokens of a network (B, R N, W) -> tokens of the change of standardised fields (B, R N, D).

    Nothing changes at points where a wall holds a value.

    Args:
        layout: How domains are cut into tokens.
        channels: C channels of the fields.
        walls: Values held at walls, or empty.

    Attributes:
        change: Root mean square of the change in one step of each channel, in deviations of the channel (C,).
        conserved: Channels that conserve their mean, (C,) bool; in a `LatentModel` the codec's own tensor.
        width: W, C values of s and of the d components of f at each point of a token.
    """

    change: Tensor
    conserved: Tensor

    def __init__(self, layout: Layout, channels: int, walls: Walls = ()):
        super().__init__()
        self.layout, self.channels, self.walls = layout, channels, walls
        self.width = channels * (1 + layout.domain.axes) * math.prod(layout.sides)
        self.register_buffer("change", torch.ones(channels))
        self.register_buffer("conserved", torch.zeros(channels, dtype=torch.bool))

    def forward(self, out: Tensor, domain: Domain) -> Tensor:
        patches = self.layout.patches(domain)
        values = out.reshape(-1, math.prod(patches.grid), self.channels, 1 + domain.axes, patches.points)
        change = values[..., 0, :]
        if self._may_conserve:
            fluxes = patches.join(values[..., 1:, :].flatten(2)).unflatten(1, (self.channels, -1))
            flown = patches.split(GAIN * divergence(fluxes, domain.boundary)).view(change.shape)
            change = torch.where(self.conserved.view(-1, 1), flown, change)
        change = (change * self.change.view(-1, 1)).flatten(2)
        if not patches.disjoint:
            change = patches.split(patches.join(change))
        held = held_points(self.walls, patches.shape, domain.boundary, out.device) if self.walls else None
        if held is not None:
            change = change.masked_fill(patches.split(held[0].unsqueeze(0)), 0.0)
        return change.reshape(*out.shape[:2], -1)

    @property
    def _may_conserve(self) -> bool:
        """Whether fluxes have to be computed: not if a look, which only a CPU has for free, shows no channel that
        conserves its mean."""
        unseen = self.conserved.device.type != "cpu" or torch.compiler.is_compiling()
        return unseen or bool(self.conserved.any())
