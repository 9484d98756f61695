"""Known PDEs on a periodic line, advanced cheaply over one frame: the yardstick of a step's physics.

    u_t = L u + N(u),   L diagonal in Fourier space with symbol l(kappa), kappa = 2 pi n / length
    a       = e^(h l) u + h phi_1(h l) N(u)
    u(t+h)  = a + h phi_2(h l) (N(a) - N(u))

Exponential time differencing of second order (Cox & Matthews, J. Comput. Phys. 176, 2002, equations 20 to 22), exact
where N does not depend on u. All is differentiable and batched; the equations are those of `ups.data.pdes`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ups.core.errors import UserError
from ups.data.fields import System

Parameters = Mapping[str, Tensor]
"""Name to values (B, 1, 1)."""


@dataclass(frozen=True)
class Equation:
    """The right-hand side of a PDE.

    Attributes:
        params: Names of the parameters that it needs.
        linear: (kappa (K,), parameters) -> symbol l, broadcastable to (B, C, K).
        nonlinear: (u (B, C, X), kappa (K,), parameters) -> spectrum of N(u), (B, C, K); None where there is none.
    """

    params: tuple[str, ...]
    linear: Callable[[Tensor, Parameters], Tensor]
    nonlinear: Callable[[Tensor, Tensor, Parameters], Tensor] | None = None


def _convection(u: Tensor, kappa: Tensor, p: Parameters) -> Tensor:
    return -0.5j * kappa * torch.fft.rfft(u.square())


def _decay_of_the_state(kappa: Tensor, p: Parameters) -> Tensor:
    rate = p["k"] + p["Nu"] * kappa**2
    return torch.cat([-rate, torch.zeros_like(rate)], dim=1)


def _source(u: Tensor, kappa: Tensor, p: Parameters) -> Tensor:
    source = torch.fft.rfft(u[:, 1:])
    return torch.cat([source, torch.zeros_like(source)], dim=1)


EQUATIONS: dict[str, Equation] = {
    "advection1d": Equation(("beta",), lambda k, p: -1j * p["beta"] * k),
    "burgers1d": Equation(("Nu",), lambda k, p: -p["Nu"] / math.pi * k**2, _convection),
    "diffusion1d": Equation(("Nu", "k"), _decay_of_the_state, _source),
    "fisher_kpp1d": Equation(
        ("Nu", "Rho"),
        lambda k, p: p["Rho"] - p["Nu"] * k**2,
        lambda u, k, p: -p["Rho"] * torch.fft.rfft(u.square()),
    ),
    "kdv1d": Equation(("delta",), lambda k, p: 1j * p["delta"] * k**3, _convection),
    "ks1d": Equation(("Nu",), lambda k, p: k**2 - p["Nu"] * k**4, _convection),
}
"""Deterministic tasks whose equation is known, by the names of `ups.data.tasks`."""


@dataclass(frozen=True)
class Integrator:
    """Advances fields by one frame on a coarse grid, which holds their lowest wave numbers.

    Attributes:
        equation: The right-hand side.
        names: Parameters in the order of `params (B, P)`.
        length: Extent of the domain.
        dt: Time between frames.
        points: Points of the coarse grid; products are dealiased on it, so it answers for `points // 3` wave numbers.
        substeps: Steps per frame.
    """

    equation: Equation
    names: tuple[str, ...]
    length: float
    dt: float
    points: int
    substeps: int

    def spectrum(self, u: Tensor) -> Tensor:
        """u (B, C, X) -> coefficients of wave numbers 0 to `points // 3`, those of the mean being its value."""
        return (torch.fft.rfft(u) / u.shape[-1])[..., : self.points // 3 + 1]

    def advance(self, u: Tensor, params: Tensor) -> Tensor:
        """u (B, C, X) physical at a frame, params (B, P) -> its spectrum one frame later, (B, C, points // 3 + 1)."""
        kappa = 2 * math.pi / self.length * torch.arange(self.points // 3 + 1, dtype=torch.double, device=u.device)
        p = {name: params[:, i, None, None].double() for i, name in enumerate(self.names)}
        h, exact = self.dt / self.substeps, self.equation.nonlinear is None
        z = h * self.equation.linear(kappa, p).to(torch.cdouble)
        z = z if not exact else z * self.substeps
        v = self.spectrum(u)
        decay = z.exp().to(v.dtype)
        if exact:
            return decay * v
        first, second = (h * phi.to(v.dtype) for phi in (phi_1(z), phi_2(z)))
        kappa, p = kappa.to(u.dtype), {name: value.to(u.dtype) for name, value in p.items()}
        for _ in range(self.substeps):
            force = self._force(v, kappa, p)
            a = decay * v + first * force
            v = a + second * (self._force(a, kappa, p) - force)
        return v

    def _force(self, v: Tensor, kappa: Tensor, p: Parameters) -> Tensor:
        assert self.equation.nonlinear is not None
        fine = 2 * math.pi / self.length * torch.arange(self.points // 2 + 1, dtype=kappa.dtype, device=v.device)
        u = torch.fft.irfft(v * self.points, n=self.points)
        return self.equation.nonlinear(u, fine, p)[..., : len(kappa)] / self.points


def integrator_of(system: System, points: int, substeps: int) -> Integrator:
    """The integrator of the PDE of `system.task` on at most `points` points.

    Raises UserError if the task's equation is not known, its axis is not periodic or a parameter is missing.
    """
    if system.task not in EQUATIONS or system.boundary != ("periodic",):
        raise UserError(
            f"a PDE residual is known for periodic {', '.join(EQUATIONS)}, found task {system.task!r} "
            f"with boundary {', '.join(system.boundary)}"
        )
    equation = EQUATIONS[system.task]
    missing = [name for name in equation.params if name not in system.param_names]
    if missing:
        raise UserError(
            f"the PDE residual of {system.task} needs the parameters {', '.join(equation.params)}, but the data lack "
            f"{', '.join(missing)}; name them in the file or in data.mapping.params"
        )
    return Integrator(
        equation,
        system.param_names,
        system.extent[0],
        system.dt,
        min(points, system.shape[0]),
        substeps,
    )


def phi_1(z: Tensor) -> Tensor:
    """(e^z - 1) / z, by its series near 0."""
    near = z.abs() < 0.1
    safe = torch.where(near, torch.ones_like(z), z)
    return torch.where(near, _series(z, 1), safe.exp().sub(1) / safe)


def phi_2(z: Tensor) -> Tensor:
    """(e^z - 1 - z) / z^2, by its series near 0."""
    near = z.abs() < 0.1
    safe = torch.where(near, torch.ones_like(z), z)
    return torch.where(near, _series(z, 2), (safe.exp() - 1 - safe) / safe.square())


def _series(z: Tensor, order: int) -> Tensor:
    """sum_n z^n / (n + order)!"""
    total = torch.zeros_like(z)
    for n in reversed(range(7)):
        total = total * z + 1 / math.factorial(n + order)
    return total
