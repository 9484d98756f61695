"""White-in-time forcing of the large scales, integrated exactly with the viscosity that acts on it.

`du = ... + sigma sum_k (cos(kappa x) dA_k + sin(kappa x) dB_k)`, kappa = 2 pi k / L, k = 1..4, with independent
Wiener processes A_k, B_k. With viscosity alone, each amplitude is an Ornstein-Uhlenbeck process of rate
`lambda = Nu / pi kappa^2` and variance `sigma^2 (1 - exp(-2 lambda t)) / (2 lambda)`.
"""

import numpy as np

from ups.simulate.pdes import Params

MODES = np.arange(1, 5)
LEVELS = 128
"""Increments drawn per frame, whatever the solver's step, so that runs with different steps see the same noise."""


def basis(points: int) -> np.ndarray:
    """The forced patterns cos(kappa x) and sin(kappa x), shape (8, X)."""
    angle = 2 * np.pi * np.multiply.outer(MODES, np.arange(points) / points)
    return np.concatenate([np.cos(angle), np.sin(angle)])


def decay_rates(length: float, nu: np.ndarray) -> np.ndarray:
    """Ornstein-Uhlenbeck rates `lambda = nu / pi kappa^2` of the 8 patterns for `nu (B,)`, shape (B, 8)."""
    kappa = 2 * np.pi * MODES / length
    return np.tile(nu[:, None] / np.pi * kappa**2, 2)


def increments(
    rngs: list[np.random.Generator], params: Params, length: float, dt: float, frames: int, substeps: int
) -> np.ndarray:
    """What the forcing adds to the amplitude of every pattern before and after every solver step.

    `rngs`: one generator per row of the batch. `substeps` must divide `LEVELS`. Returns (B, frames - 1, substeps, 2,
    8) for steps of h = dt / substeps, from the noise path W of the step: before it the mean `b = sigma / h int_0^h
    (W(s) - W(0)) ds`, so that the flow sees the forcing it would have met on average; after it the rest of the exact
    integral, `sigma int_0^h exp(-lambda (h - s)) dW(s) - exp(-lambda h) b`. With viscosity alone the result is exact;
    with convection the error of a path falls like h^1.7, where noise added after the step gives h.
    """
    count = len(rngs)
    rate = decay_rates(length, np.broadcast_to(params["Nu"], count).astype(float))[:, None, None, None]
    sigma = np.broadcast_to(params["sigma"], count).astype(float)[:, None, None, None, None]
    delta, group = dt / LEVELS, LEVELS // substeps
    shape = (frames - 1, substeps, group, 2 * len(MODES))
    normal = np.stack([rng.standard_normal(shape) for rng in rngs])
    fine = sigma * np.sqrt(-np.expm1(-2 * rate * delta) / (2 * rate)) * normal
    later = np.arange(group - 1, -1, -1)[:, None]
    before = (fine * (later + 0.5) / group).sum(axis=-2)
    total = (fine * np.exp(-rate * delta * later)).sum(axis=-2)
    return np.stack([before, total - np.exp(-rate[:, :, 0] * group * delta) * before], axis=-2)
