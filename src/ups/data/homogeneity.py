"""A test of statistical homogeneity along periodic axes: whether a shift leaves the law of the data as it is.

Of each trajectory i the profile p_i(x) along an axis is the mean over time and the other axes of u, or of its squared
deviation from the mean of its channel; a_i is one of its first Fourier coefficients. If the law of the data stays the
same under shifts along the axis, then giving each a_i a random phase of its own changes nothing in law, so that of

    R = |sum_i a_i|^2 / sum_i |a_i|^2        between 0 and the number n of trajectories

the mean is 1, and no moment is larger than that of Rayleigh's statistic of n random phases, since unequal amplitudes
have no larger ones than equal (Baernstein and Culverhouse, "Majorization of sequences, sharp vector Khinchin
inequalities, and bisubharmonic functions", 2002). So the tail of Rayleigh's test serves for all fields, however they
are distributed (Zar, "Biostatistical Analysis", eq. 27.4):

    P = exp(sqrt(1 + 4 n + 4 (n^2 - n R)) - 1 - 2 n).

Fewer than about 9 trajectories cannot refute homogeneity at this level.
"""

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from ups.core.system import Statistics, System
from ups.data.split import Split
from ups.data.splits import evenly

LEVEL = 1e-4
"""Chance to take homogeneous data for others, over all axes, channels and moments together."""
SMALL = 1e-3
"""Least deviation of a mean profile that counts, in standard deviations of its channel (or their square)."""
WAVES = 8
"""Wave numbers along an axis that are tested, from 1 on."""
MOMENTS = ("mean", "variance")
TRAJECTORIES, BYTES = 256, 256 * 2**20
"""What is looked at of a split at most, evenly spread; of more bytes, 4 frames of each of these trajectories."""


class Inhomogeneity(BaseModel):
    """A moment of a channel that varies along an axis by more than sampling noise allows."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    axis: int
    """Spatial axis, from 0."""
    channel: str
    """Name of the channel."""
    moment: str
    """`mean` or `variance`."""
    waves: int
    """How often the variation repeats along the axis."""
    varies: float
    """Standard deviation of these waves in the mean profile, in units of the channel (or their square)."""
    allowed: float
    """Standard error of `varies`."""

    def sentence(self, axes: Sequence[str]) -> str:
        """What was found, with the names of the axes."""
        return (
            f"the data are not statistically homogeneous along {axes[self.axis]} ({self.moment} of {self.channel} "
            f"varies by {self.varies:.3g} in {self.waves} wave{'s' if self.waves > 1 else ''}, sampling noise allows "
            f"{self.allowed:.2g})"
        )


def inhomogeneities_of(train: Split, system: System, statistics: Statistics) -> tuple[Inhomogeneity, ...]:
    """Return how training data show their position, for each periodic axis along which they do."""
    periodic = [axis for axis, kind in enumerate(system.boundary) if kind == "periodic"]
    return inhomogeneities(_sample(train), periodic, system.channels, statistics.mean, statistics.std)


def _sample(split: Split) -> Iterator[np.ndarray]:
    """Yield trajectories `(t, C, *S)` of evenly spread frames, one at a time."""
    rows = evenly(split.n, TRAJECTORIES)
    frame = 4 * int(np.prod(split.shape))
    frames = evenly(split.frames, max(4, BYTES // (frame * len(rows))))
    for row in rows:
        yield split.windows(np.full(len(frames), row), frames, 1)[:, 0].numpy()


def inhomogeneities(
    trajectories: Iterable[np.ndarray],
    periodic: Sequence[int],
    channels: Sequence[str],
    mean: Sequence[float],
    std: Sequence[float],
) -> tuple[Inhomogeneity, ...]:
    """Return, for each of the axes `periodic` along which `trajectories` are not homogeneous, the clearest sign of it.

    Args:
        trajectories: Independent ones, `(T, C, *S)` each.
        periodic: Spatial axes to test.
        channels, mean, std: Names, means and standard deviations of the C channels over everything; a channel of
            deviation 0 is left out.
    """
    sums, powers, n = [np.zeros(1)] * len(periodic), [np.zeros(1)] * len(periodic), 0
    for u in trajectories:
        n += 1
        for i, axis in enumerate(periodic):
            waves = _harmonics(u, axis, mean, std)
            sums[i], powers[i] = sums[i] + waves, powers[i] + np.square(np.abs(waves))
    level = LEVEL / (len(MOMENTS) * len(channels) * WAVES * max(1, len(periodic)))
    found = []
    for axis, total, power in zip(periodic, sums, powers, strict=True):
        chance, varies, allowed = _rayleigh(total, power, n)
        clear = np.where(chance < level, varies, 0.0)
        if clear.size and clear.max() > SMALL:
            moment, c, k = map(int, np.unravel_index(clear.argmax(), clear.shape))
            unit = std[c] ** (moment + 1)
            sizes = {"varies": float(varies[moment, c, k] * unit), "allowed": float(allowed[moment, c, k] * unit)}
            found.append(Inhomogeneity(axis=axis, channel=channels[c], moment=MOMENTS[moment], waves=k + 1, **sizes))
    return tuple(found)


def _harmonics(u: np.ndarray, axis: int, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """Coefficients `(2, C, K)` of the first waves of both profiles along an axis, of standardised values, such that the
    square of each is its part of the variance over x; the shortest wave of an even grid, which has no phase, is left
    out."""
    shape = (-1, *(1,) * (u.ndim - 2))
    v = (u.astype(np.float64) - np.reshape(mean, shape)) / np.reshape(np.where(np.equal(std, 0.0), np.inf, std), shape)
    others = tuple(i for i in range(u.ndim) if i not in (1, 2 + axis))
    profiles = np.stack((v.mean(axis=others), np.square(v).mean(axis=others)))
    points = u.shape[2 + axis]
    return np.fft.rfft(profiles)[..., 1 : min(WAVES + 1, (points + 1) // 2)] * (math.sqrt(2) / points)


def _rayleigh(sums: np.ndarray, power: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """From the sums over n trajectories of coefficients `(2, C, K)` and of their squares: the chance that homogeneous
    data look so, the size of the waves in the mean profile, and its standard error."""
    together = np.square(np.abs(sums))
    ratio = together / np.where(power > 0.0, power, 1.0)
    chance = np.exp(np.sqrt(1 + 4 * n + 4 * n * np.maximum(n - ratio, 0.0)) - 1 - 2 * n)
    error = np.sqrt(np.maximum(power - together / n, 0.0) / (n * max(n - 1, 1)))
    return chance, np.sqrt(together) / n, error
