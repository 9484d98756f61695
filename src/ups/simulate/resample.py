"""Trigonometric interpolation of periodic fields between grids."""

import numpy as np


def resample(u: np.ndarray, points: int, axes: int) -> np.ndarray:
    """The field with the same Fourier series on `points` per axis, for the last `axes` axes of `u (..., *S)`.

    Wave numbers that the coarser of the two grids cannot tell apart (its Nyquist frequency and above) are dropped.
    """
    for axis in range(u.ndim - axes, u.ndim):
        u = _resample_axis(u, points, axis)
    return u


def _resample_axis(u: np.ndarray, points: int, axis: int) -> np.ndarray:
    old = u.shape[axis]
    if old == points:
        return u
    u_hat = np.moveaxis(np.fft.rfft(u, axis=axis), axis, -1)
    kept = (min(old, points) + 1) // 2
    padded = np.zeros((*u_hat.shape[:-1], points // 2 + 1), dtype=u_hat.dtype)
    padded[..., :kept] = u_hat[..., :kept]
    return np.moveaxis(np.fft.irfft(padded, n=points), -1, axis) * (points / old)
