"""The table of PDEs the generator solves on periodic domains: equation, initial states, grid rule, and solver.

Notation: `u (C, *S)` state, `L` length, `h` solver step, `dx` solver spacing, `kappa = 2 pi n / L` wave numbers.
Steppers are exponax's (ETDRK4, dealiased), built lazily because exponax is an optional dependency.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ups.simulate import initial

Params = Mapping[str, Any]


class Stepper(Protocol):
    """One step of a PDE in Fourier space."""

    def step_fourier(self, u_hat: Any) -> Any:
        """Advance the half spectrum `(C, *S_half)` by one step h."""
        ...


@dataclass(frozen=True)
class Pde:
    """A PDE the generator can solve.

    `spacing(params, L)` and `step(params, dx)` are a grid and step that keep the error of a frame below 1e-3 (0.5 % for
    Gray-Scott), which `ups.simulate.generate.refinement_error` checks. Either `stepper(points, L, h, params)` builds a
    spectral solver, or the equation is linear and `exact(u0 (B, C, X), L, times (T,), params) -> (B, T, C, X)` solves
    it without error in time.
    """

    equation: str
    initial: Callable[[np.random.Generator, initial.Mesh], np.ndarray]
    spacing: Callable[[Params, float], float]
    step: Callable[[Params, float], float]
    stepper: Callable[[int, float, Any, Params], Stepper] | None = None
    exact: Callable[[np.ndarray, float, np.ndarray, Params], np.ndarray] | None = None
    spinup: float = 0.0
    """Time that every initial state runs, unrecorded, to reach the attractor."""
    forced: bool = False
    """Whether white-in-time noise of strength `sigma` drives the large scales (`ups.simulate.forcing`)."""
    galilean: bool = False
    """Whether u(x - m t, t) + m solves the equation whenever u does: one axis, one channel, no forcing fixed in x."""
    growing: bool = False
    """Whether waves grow by the linear part alone, until the rest of the equation stops them."""
    single: bool = False
    """Whether it is solved in single precision, whose error is far below that of the grid."""


def wave_numbers(points: int, length: float) -> np.ndarray:
    """`kappa = 2 pi n / L` of the half spectrum, shape (points // 2 + 1,)."""
    return 2 * np.pi * np.fft.rfftfreq(points, length / points)


def _advect(u0: np.ndarray, length: float, times: np.ndarray, params: Params) -> np.ndarray:
    kappa = wave_numbers(u0.shape[-1], length)
    speed = np.broadcast_to(params["beta"], u0.shape[:1])[:, None, None, None]
    shift = np.exp(-1j * speed * times[:, None, None] * kappa)
    return np.fft.irfft(np.fft.rfft(u0)[:, None] * shift, n=u0.shape[-1])


def _diffuse(u0: np.ndarray, length: float, times: np.ndarray, params: Params) -> np.ndarray:
    kappa = wave_numbers(u0.shape[-1], length)
    nu, k = (np.broadcast_to(params[name], u0.shape[:1])[:, None, None] for name in ("Nu", "k"))
    rate = k + nu * kappa**2
    state, source = np.fft.rfft(u0)[:, :, None].swapaxes(0, 1)
    decay = np.exp(-rate * times[:, None])
    u = np.fft.irfft(decay * state + (1 - decay) / rate * source, n=u0.shape[-1])
    return np.stack([u, np.broadcast_to(u0[:, None, 1], u.shape)], axis=2)


def _burgers(points: int, length: float, h: Any, params: Params) -> Stepper:
    import exponax

    return exponax.stepper.Burgers(1, length, points, h, diffusivity=params["Nu"] / np.pi, conservative=True, order=4)


def _fisher_kpp(points: int, length: float, h: Any, params: Params) -> Stepper:
    import exponax

    nu, rho = params["Nu"], params["Rho"]
    return exponax.stepper.reaction.FisherKPP(1, length, points, h, diffusivity=nu, reactivity=rho, order=4)


def _kuramoto_sivashinsky(points: int, length: float, h: Any, params: Params) -> Stepper:
    import exponax

    return exponax.stepper.KuramotoSivashinskyConservative(
        1, length, points, h, fourth_order_scale=params["Nu"], conservative=True, order=4
    )


def _gray_scott(points: int, length: float, h: Any, params: Params) -> Stepper:
    import exponax

    return exponax.stepper.reaction.GrayScott(
        2, length, points, h, feed_rate=params["F"], kill_rate=params["k"], order=4
    )


def _swift_hohenberg(points: int, length: float, h: Any, params: Params) -> Stepper:
    import exponax

    return exponax.stepper.reaction.SwiftHohenberg(3, length, points, h, reactivity=params["r"], order=4)


def _kolmogorov(points: int, length: float, h: Any, params: Params) -> Stepper:
    import exponax

    return exponax.stepper.KolmogorovFlowVorticity(
        2, length, points, h, diffusivity=params["Nu"], drag=-0.1, injection_mode=4, order=4
    )


class _KortewegDeVries:
    """Integrating-factor Runge-Kutta 4 for `u_t + u u_x + delta u_xxx = 0`, dealiased with the 2/3 rule.

    exponax 0.2 keeps only the real part of the ETDRK coefficients, which makes its KdV stepper first order in time.
    """

    def __init__(self, points: int, length: float, h: Any, params: Params) -> None:
        import jax.numpy as jnp

        kappa = wave_numbers(points, length)
        kept = kappa <= 2 / 3 * kappa[-1]
        self.points, self.h = points, h
        self.derivative = -0.5j * kappa * kept
        self.half = jnp.exp(0.5j * h * params["delta"] * kappa**3)

    def step_fourier(self, u_hat: Any) -> Any:
        h, half, full = self.h, self.half, self.half**2
        a = self._convection(u_hat)
        b = self._convection(half * (u_hat + h / 2 * a))
        c = self._convection(half * u_hat + h / 2 * b)
        d = self._convection(full * u_hat + h * half * c)
        return full * u_hat + h / 6 * (full * a + 2 * half * (b + c) + d)

    def _convection(self, u_hat: Any) -> Any:
        import jax.numpy as jnp

        return self.derivative * jnp.fft.rfft(jnp.fft.irfft(u_hat, n=self.points) ** 2)


PDES: dict[str, Pde] = {
    "advection": Pde(
        "u_t + beta u_x = 0",
        initial.pdebench_waves,
        spacing=lambda p, length: length / 1024,
        step=lambda p, dx: np.inf,
        exact=_advect,
    ),
    "burgers": Pde(
        "u_t + u u_x = Nu / pi u_xx",
        initial.pdebench_waves,
        spacing=lambda p, length: min(p["Nu"] / 2, length / 512),
        step=lambda p, dx: min(1.0 * dx, 0.35 * p["Nu"]),
        stepper=_burgers,
        galilean=True,
    ),
    "forced_burgers": Pde(
        "u_t + u u_x = Nu / pi u_xx + sigma dW in wave numbers 1 to 4",
        initial.smooth_waves,
        spacing=lambda p, length: min(p["Nu"] / 2, length / 128),
        step=lambda p, dx: min(0.4 * dx, 0.35 * p["Nu"]),
        stepper=_burgers,
        forced=True,
    ),
    "diffusion": Pde(
        "u_t = Nu u_xx - k u + s(x)",
        initial.state_and_source,
        spacing=lambda p, length: length / 64,
        step=lambda p, dx: np.inf,
        exact=_diffuse,
    ),
    "fisher_kpp": Pde(
        "u_t = Nu u_xx + Rho u (1 - u)",
        initial.fractions,
        spacing=lambda p, length: min(0.1 * np.sqrt(p["Nu"] / p["Rho"]), length / 128),
        step=lambda p, dx: 0.01 / p["Rho"],
        stepper=_fisher_kpp,
    ),
    "kuramoto_sivashinsky": Pde(
        "u_t + u u_x + u_xx + Nu u_xxxx = 0",
        initial.small_noise,
        spacing=lambda p, length: 0.5 * np.sqrt(p["Nu"]),
        step=lambda p, dx: 0.1 * p["Nu"],
        stepper=_kuramoto_sivashinsky,
        spinup=100.0,
    ),
    "kdv": Pde(
        "u_t + u u_x + delta u_xxx = 0",
        initial.smooth_waves,
        spacing=lambda p, length: 0.25 * np.sqrt(p["delta"]),
        step=lambda p, dx: 0.1 * dx,
        stepper=_KortewegDeVries,
    ),
    "gray_scott": Pde(
        "u_t = 2e-5 lap u - u v^2 + F (1 - u), v_t = 1e-5 lap v + u v^2 - (F + k) v",
        initial.blobs,
        spacing=lambda p, length: 1 / 128,
        step=lambda p, dx: 5.0,
        stepper=_gray_scott,
        single=True,
    ),
    "swift_hohenberg": Pde(
        "u_t = r u - (1 + lap)^2 u + u^2 - u^3",
        initial.weak_noise,
        spacing=lambda p, length: np.pi / 8,
        step=lambda p, dx: 0.25,
        stepper=_swift_hohenberg,
        growing=True,
        single=True,
    ),
    "kolmogorov": Pde(
        "w_t + (v . grad) w = Nu lap w - 0.1 w - 4 cos(4 y), v = curl^-1 w",
        initial.vorticity,
        spacing=lambda p, length: min(0.05 * np.sqrt(p["Nu"] / 0.01), length / 128),
        step=lambda p, dx: 0.35 * dx,
        stepper=_kolmogorov,
        single=True,
        spinup=10.0,
    ),
}
