"""A known PDE advanced cheaply over one frame: the yardstick of a step's physics.

    a       = e^(h l) u + h phi_1(h l) N(u)
    u(t+h)  = a + h phi_2(h l) (N(a) - N(u))

Exponential time differencing of second order (Cox & Matthews, J. Comput. Phys. 176, 2002, equations 20 to 22), exact
where N is none. All is differentiable and batched; l and N are those of `ups.ttc.equations`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ups.core.errors import UserError
from ups.core.system import System
from ups.ttc.equations import EQUATIONS, Equation, Parameters, Waves


@dataclass(frozen=True)
class Integrator:
    """Advances fields by one frame on a coarse grid, which holds their lowest wave numbers.

    Attributes:
        equation: The right-hand side.
        names: Parameters in the order of `params (B, P)`.
        extent: Length of each axis.
        dt: Time between frames.
        points: Points of the coarse grid along each axis; products are dealiased on it, so of each axis it answers for
            the wave numbers 0 to m = `points // 3`.
        substeps: Steps per frame.
    """

    equation: Equation
    names: tuple[str, ...]
    extent: tuple[float, ...]
    dt: float
    points: tuple[int, ...]
    substeps: int

    def spectrum(self, u: Tensor) -> Tensor:
        """u (B, C, *S) -> coefficients (B, C, *K) of the wave numbers that are answered for, those of the mean being
        its value: -m to m of every axis but the last, 0 to m of the last."""
        return self._kept(torch.fft.rfftn(u, dim=self._axes) / math.prod(u.shape[2:]))

    def advance(self, u: Tensor, params: Tensor) -> Tensor:
        """u (B, C, *S) physical at a frame, params (B, P) -> its spectrum one frame later, (B, C, *K)."""
        kappa = self._waves(torch.double, u.device)
        one = [1] * (1 + len(self.extent))
        p = {name: params[:, i].double().view(-1, *one) for i, name in enumerate(self.names)}
        h, exact = self.dt / self.substeps, self.equation.nonlinear is None
        z = h * self._kept(self.equation.linear(kappa, p).to(torch.cdouble))
        z = z if not exact else z * self.substeps
        v = self.spectrum(u)
        decay = z.exp().to(v.dtype)
        if exact:
            return decay * v
        first, second = (h * phi.to(v.dtype) for phi in (phi_1(z), phi_2(z)))
        kappa, p = self._waves(u.dtype, u.device), {name: value.to(u.dtype) for name, value in p.items()}
        for _ in range(self.substeps):
            force = self._force(v, kappa, p)
            a = decay * v + first * force
            v = a + second * (self._force(a, kappa, p) - force)
        return v

    @property
    def _axes(self) -> tuple[int, ...]:
        return tuple(range(-len(self.points), 0))

    def _waves(self, dtype: torch.dtype, device: torch.device) -> Waves:
        """Wave numbers of the coarse grid's half spectrum, along each axis."""
        found: list[Tensor] = []
        for axis, n, length in zip(self._axes, self.points, self.extent, strict=True):
            numbers = torch.fft.rfftfreq if axis == -1 else torch.fft.fftfreq
            kappa = 2 * math.pi * n / length * numbers(n, dtype=dtype, device=device)
            found.append(kappa.view(-1, *[1] * (-axis - 1)))
        return tuple(found)

    def _kept(self, spectrum: Tensor) -> Tensor:
        """The lowest wave numbers of a half spectrum (B, C, ...) of any grid, (B, C, *K)."""
        for axis, n in zip(self._axes, self.points, strict=True):
            low = spectrum.narrow(axis, 0, n // 3 + 1)
            high = spectrum.narrow(axis, spectrum.shape[axis] - n // 3, n // 3)
            spectrum = low if axis == -1 else torch.cat([low, high], dim=axis)
        return spectrum

    def _placed(self, v: Tensor) -> Tensor:
        """The half spectrum of the coarse grid that is v (B, C, *K) at the lowest wave numbers and 0 elsewhere."""
        for axis, n in zip(self._axes[:-1], self.points[:-1], strict=True):
            low, high = v.split([n // 3 + 1, n // 3], dim=axis)
            between = [*v.shape]
            between[axis] = n - 2 * (n // 3) - 1
            v = torch.cat([low, v.new_zeros(between), high], dim=axis)
        return torch.nn.functional.pad(v, (0, self.points[-1] // 2 - self.points[-1] // 3))

    def _force(self, v: Tensor, kappa: Waves, p: Parameters) -> Tensor:
        assert self.equation.nonlinear is not None
        size = math.prod(self.points)
        u = torch.fft.irfftn(self._placed(v) * size, s=self.points, dim=self._axes)
        return self._kept(self.equation.nonlinear(u, kappa, p)) / size


def integrator_of(system: System, points: int, substeps: int) -> Integrator:
    """The integrator of the PDE of `system.task` on at most `points` points along each axis.

    Raises UserError if the task's equation is not known, an axis is not periodic or a parameter is missing.
    """
    if system.task not in EQUATIONS or any(kind != "periodic" for kind in system.boundary):
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
    grid = tuple(min(points, n) for n in system.shape)
    return Integrator(equation, system.param_names, system.extent, system.dt, grid, substeps)


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
