"""Mean and standard deviation per channel, from trajectories that are read once, piece by piece; conserved means."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from ups.core.deviations import in_deviations
from ups.core.errors import UserError

CONSERVED = 1e-3
"""Largest change of a conserved mean, relative to a channel's deviation: above what a simulation in float32 or with a
slightly leaky scheme shows."""
NEGLIGIBLE = 0.01
"""Root mean square of a standardised frame below which a change counts as of a frame of this size."""


class RunningMoments:
    """Mean and variance per channel, merged over blocks of values in float64.

    With n, m, M2 the count, mean and sum of squared deviations of both parts and d = m_b - m_a (Chan, Golub and
    LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979):

        m = m_a + d n_b / n,    M2 = M2_a + M2_b + d^2 n_a n_b / n.
    """

    def __init__(self, channels: int) -> None:
        self.count = 0
        self.mean = np.zeros(channels)
        self._squares = np.zeros(channels)

    def add(self, values: np.ndarray) -> None:
        """Merge a block of values `(b, t, C, *S)`."""
        axes = (0, 1, *range(3, values.ndim))
        n = values.size // values.shape[2]
        mean = values.mean(axis=axes, dtype=np.float64)
        deviation = values - mean.reshape(-1, *(1,) * (values.ndim - 3)).astype(values.dtype)
        first = deviation.mean(axis=axes, dtype=np.float64)  # what rounding the mean to float32 has left
        squares = np.square(deviation, dtype=np.float64).sum(axis=axes) - n * first**2
        shift, total = mean - self.mean, self.count + n
        self.mean += shift * n / total
        self._squares += squares + shift**2 * self.count * n / total
        self.count = total

    def std(self) -> np.ndarray:
        """Return the standard deviation `(C,)` over everything added; 0.0 for channels that never change.

        Raises UserError if no channel changes at all.
        """
        std = np.sqrt(np.maximum(self._squares / self.count, 0.0))
        changing = std > 1e-7 * np.abs(self.mean)
        if not changing.any():
            raise UserError("the values of the training split never change: there is nothing to learn")
        return np.where(changing, std, 0.0)


def conserves_mean(trajectories: Iterable[Tensor], std: Tensor) -> Tensor:
    """Channels whose spatial mean each of the trajectories `(T, C, *S)` keeps from its first frame on, `(C,)` bool: to
    `CONSERVED` of the channel's deviation std `(C,)`, as a root of the mean square over frames."""
    means = torch.stack([u.flatten(2).mean(-1, dtype=torch.double) for u in trajectories])
    change = (means - means[:, :1]).square().mean(1).sqrt().amax(0)
    return change <= CONSERVED * std.to(change)


def relative_changes(trajectories: Iterable[Tensor], mean: Tensor, std: Tensor) -> np.ndarray:
    """How far each frame of trajectories `(T, C, *S)` is from the one before it, `(T - 1,)`: the norm of the change
    over that of the frame, both standardised by mean and deviation `(C,)`, on average over trajectories."""
    ratios = []
    for u in trajectories:
        ones = [1] * (u.ndim - 2)
        v = in_deviations(u - mean.to(u).view(-1, *ones), std.to(u), len(ones)).flatten(1)
        ratios.append(v.diff(dim=0).norm(dim=1) / v[1:].norm(dim=1).clamp_min(NEGLIGIBLE * v.shape[1] ** 0.5))
    return torch.stack(ratios).mean(0).double().numpy()
