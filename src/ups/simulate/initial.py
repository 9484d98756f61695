"""Random initial states, drawn first and evaluated after: the same state on any grid.

Every function takes a generator and the mesh `s`, one array `(*S)` per axis with coordinates in units of the domain's
length (`0 <= s < 1`), and returns a state `(C, *S)` in float64. The draws do not depend on the grid.
"""

from collections.abc import Sequence

import numpy as np

Mesh = Sequence[np.ndarray]


def waves(rng: np.random.Generator, s: np.ndarray, lowest: int, highest: int, count: int = 2) -> np.ndarray:
    """`sum_i A_i sin(2 pi n_i s + phi_i)` with A in [0, 1), n in lowest..highest, phi in [0, 2 pi); shape of `s`."""
    amplitude = rng.uniform(0.0, 1.0, count)
    number = rng.integers(lowest, highest + 1, count)
    phase = rng.uniform(0.0, 2 * np.pi, count)
    return np.tensordot(amplitude, np.sin(2 * np.pi * np.multiply.outer(number, s) + phase[:, None]), axes=1)


def pdebench_waves(rng: np.random.Generator, mesh: Mesh) -> np.ndarray:
    """Two waves, one in ten folded by an absolute value and one in ten windowed, on a random mean; shape (1, X).

    `u = sum_n A_n sin(2 pi n m_n s + phi_n)` over n = 1 to 4, where m_n counts how often n came up in two draws from
    1 to 4: a number that did not come up adds the constant `A_n sin phi_n`, so states have a mean and travel, as in
    PDEBench's published files (equation 8 of arXiv 2210.07182, appendix D.1, does not show it). The mean is added
    last, so that a window does not cut it into jumps that only a much finer grid resolves.
    """
    (s,) = mesh
    amplitude, phase = rng.uniform(0.0, 1.0, 4), rng.uniform(0.0, 2 * np.pi, 4)
    times = np.bincount(rng.integers(0, 4, 2), minlength=4)
    number = np.arange(1, 5) * times
    mean = np.where(times == 0, amplitude * np.sin(phase), 0.0).sum()
    u = np.tensordot(amplitude * (times > 0), np.sin(2 * np.pi * np.multiply.outer(number, s) + phase[:, None]), axes=1)
    folds, sign, windowed = rng.random() < 0.1, rng.choice((-1.0, 1.0)), rng.random() < 0.1
    left, right = rng.uniform(0.1, 0.45), rng.uniform(0.55, 0.9)
    if folds:
        u = sign * np.abs(u)
    if windowed:
        u = u * 0.5 * (np.tanh((s - left) / 0.01) - np.tanh((s - right) / 0.01))
    return (u + mean)[None]


def smooth_waves(rng: np.random.Generator, mesh: Mesh) -> np.ndarray:
    """Two waves of numbers 1 to 3; shape (1, X)."""
    return waves(rng, mesh[0], 1, 3)[None]


def fractions(rng: np.random.Generator, mesh: Mesh) -> np.ndarray:
    """A smooth concentration between 0 and 1: two waves scaled by their largest possible value; shape (1, X)."""
    (s,) = mesh
    amplitude, number = rng.uniform(0.1, 1.0, 2), rng.integers(1, 9, 2)
    phase = rng.uniform(0.0, 2 * np.pi, (2, 1))
    u = amplitude @ np.sin(2 * np.pi * np.multiply.outer(number, s) + phase)
    return 0.5 * (1 + u / amplitude.sum())[None]


def state_and_source(rng: np.random.Generator, mesh: Mesh) -> np.ndarray:
    """A state of waves 1 to 8 and a source, 3 times larger, of waves 1 to 4, each with a random mean; shape (2, X)."""
    (s,) = mesh
    state = waves(rng, s, 1, 8) + rng.uniform(-0.5, 0.5)
    source = 3.0 * (waves(rng, s, 1, 4) + rng.uniform(-0.5, 0.5))
    return np.stack([state, source])


def small_noise(rng: np.random.Generator, mesh: Mesh) -> np.ndarray:
    """Eight waves of numbers 1 to 12 with zero mean, to be carried onto an attractor by a spin-up; shape (1, X)."""
    return 0.3 * waves(rng, mesh[0], 1, 12, count=8)[None]


def blobs(rng: np.random.Generator, mesh: Mesh) -> np.ndarray:
    """The rest state u = 1, v = 0 with four smooth drops of v that use up u; shape (2, *S)."""
    centre, width = rng.uniform(0.0, 1.0, (4, len(mesh))), rng.uniform(0.08, 0.14, 4)
    rest = np.ones_like(mesh[0])
    for c, w in zip(centre, width, strict=True):
        distance = sum((np.sin(np.pi * (s - c_axis)) / np.pi) ** 2 for s, c_axis in zip(mesh, c, strict=True))
        rest = rest * (1 - np.exp(-distance / (2 * w**2)))
    return np.stack([0.5 + 0.5 * rest, 0.25 * (1 - rest)])


def vorticity(rng: np.random.Generator, mesh: Mesh) -> np.ndarray:
    """Ten plane waves with wave numbers up to 4 per axis, zero mean, root mean square about 2; shape (1, X, Y)."""
    x, y = mesh
    numbers, phase = rng.integers(-4, 5, (10, 2)), rng.uniform(0.0, 2 * np.pi, 10)
    numbers[(numbers == 0).all(axis=1)] = 1
    angle = 2 * np.pi * (np.multiply.outer(numbers[:, 0], x) + np.multiply.outer(numbers[:, 1], y))
    return 0.9 * np.sin(angle + phase[:, None, None]).sum(axis=0)[None]


def weak_noise(rng: np.random.Generator, mesh: Mesh) -> np.ndarray:
    """Gaussian amplitudes of all wave numbers -3 to 3 per axis, zero mean, root mean square 0.2; shape (1, *S).

    All of them, because waves that are not there cannot grow but out of the solver's rounding.
    """
    numbers = np.arange(-3, 4)
    u = rng.normal(size=(7,) * len(mesh)) + 1j * rng.normal(size=(7,) * len(mesh))
    u[(3,) * len(mesh)] = 0.0
    u *= 0.4 / np.linalg.norm(u + np.flip(u).conj())
    for axis in range(len(mesh)):
        line = np.arange(mesh[0].shape[axis]) / mesh[0].shape[axis]
        u = np.tensordot(u, np.exp(2j * np.pi * np.multiply.outer(numbers, line)), axes=(0, 0))
    return u.real[None]
