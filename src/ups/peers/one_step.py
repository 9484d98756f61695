"""A forecaster that any network on a grid makes: one frame in, the change to the next frame out.

    u(t + dt) = u(t) + s * network([(u(t) - m) / d, p, x]), with the values that the training data hold at walls

m and d are mean and deviation of the training split's fields, s the deviation of their change from frame to frame, p
the standardised PDE parameters as constant channels and x the coordinates, 0 to 1 along each axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ups.core.conservation import conform
from ups.core.deviations import in_deviations
from ups.core.domain import Domain
from ups.core.system import System
from ups.core.tables import table
from ups.core.walls import hold_walls
from ups.data.split import Split

SAMPLED = 64
"""Training trajectories from which the deviation of the change from frame to frame is measured."""


class ResidualForecaster(nn.Module):
    """Advances physical fields (B, C, *S) by the time step of the data.

    Args:
        network: (B, C + P + axes, *S) and a `Domain` -> (B, C, *S).
        system: What the data are.
    """

    mean: Tensor
    std: Tensor
    change_std: Tensor
    param_mean: Tensor
    param_std: Tensor

    def __init__(self, network: nn.Module, system: System):
        super().__init__()
        self.network, self.system = network, system
        channels, params = len(system.channels), len(system.param_names)
        for name, size, value in (
            ("mean", channels, 0.0),
            ("std", channels, 1.0),
            ("change_std", channels, 1.0),
            ("param_mean", params, 0.0),
            ("param_std", params, 1.0),
        ):
            self.register_buffer(name, torch.full((size,), value))

    def forward(self, u: Tensor, params: Tensor, domain: Domain | None = None) -> Tensor:
        """u (B, C, *S) on `domain`, the training grid unless given, and params (B, P), physical -> the next frame
        (B, C, *S)."""
        domain = domain or self.system.domain
        standard = self.standardised(u - self._spread(self.mean))
        constants = self._spread((params - self.param_mean) / self.param_std).expand(-1, -1, *u.shape[2:])
        position = _position(domain.shape, u.device)
        inputs = torch.cat([standard, constants, position.expand(len(u), *position.shape)], 1)
        ahead = u + self._spread(self.change_std) * self.network(inputs, domain)
        return hold_walls(ahead, self.system.walls, domain)

    def rollout(self, u0: Tensor, steps: int, params: Tensor, held: Tensor | None = None) -> Tensor:
        """Free rollout: u0 (B, C, *S) and params (B, P) -> frames 1 to `steps`, (B, steps, C, *S).

        Args:
            held: Channels that keep their spatial mean after every step, (C,) bool; none unless given.
        """

        def advance(u: Tensor) -> Tensor:
            u = self(u, params)
            return u if held is None else conform(u, u0, held, self.system.walls, self.system.domain)[0]

        return roll_out(advance, u0, steps)

    def standardised(self, u: Tensor) -> Tensor:
        """Fields (..., C, *S) over each channel's deviation, so that channels of any unit weigh alike in a norm."""
        return in_deviations(u, self.std, len(self.system.shape))

    def _spread(self, values: Tensor) -> Tensor:
        """(..., C) -> (..., C, 1, ...), with an axis of one point for each of the grid."""
        return values.view(*values.shape, *[1] * len(self.system.shape))


@table
def _position(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Coordinates of a grid, 0 to 1 along each axis, (axes, *S)."""
    return torch.stack(torch.meshgrid(*(torch.arange(s) / s for s in shape), indexing="ij")).to(device)


def roll_out(advance: Callable[[Tensor], Tensor], u0: Tensor, steps: int) -> Tensor:
    """Rolls a one-step function (B, C, *S) -> (B, C, *S) out from u0: frames 1 to `steps`, (B, steps, C, *S)."""
    frames = [u0]
    for _ in range(steps):
        frames.append(advance(frames[-1]))
    return torch.stack(frames[1:], 1)


@torch.no_grad()
def change_std(train: Split, std: Sequence[float]) -> Tensor:
    """Deviation (C,) of the change from frame to frame, from a share of the training split's trajectories; 0 for
    channels whose deviation std (C,) is 0, which are carried."""
    values, _ = train.spread(SAMPLED)
    sigma = torch.tensor(std, dtype=values.dtype)
    change = in_deviations(values, sigma, values.ndim - 3).diff(dim=1).movedim(2, 0).flatten(1).std(1)
    return sigma * change.clamp_min(1e-8)
