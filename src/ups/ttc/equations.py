"""Known PDEs on a periodic line, plane or cube: the right-hand sides of `ups.simulate.pdes`.

    u_t = L u + N(u),   L diagonal in Fourier space with symbol l(kappa), kappa = 2 pi n / length

Notation: d axes, kappa = (kappa_1, ..., kappa_d) wave numbers that broadcast against spectra (B, C, *K), the last axis
holding half of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Waves = tuple[Tensor, ...]
"""Wave numbers of each axis, broadcastable against each other."""
Parameters = Mapping[str, Tensor]
"""Name to values (B, 1, *1), which broadcast against fields (B, C, *S)."""


@dataclass(frozen=True)
class Equation:
    """The right-hand side of a PDE.

    Attributes:
        params: Names of the parameters that it needs.
        linear: (kappa, parameters) -> symbol l, broadcastable to (B, C, *K).
        nonlinear: (u (B, C, *S), kappa of its half spectrum, parameters) -> spectrum of N(u); None where there is none.
    """

    params: tuple[str, ...]
    linear: Callable[[Waves, Parameters], Tensor]
    nonlinear: Callable[[Tensor, Waves, Parameters], Tensor] | None = None


def _convection(u: Tensor, kappa: Waves, p: Parameters) -> Tensor:
    return -0.5j * kappa[0] * torch.fft.rfft(u.square())


def _decay_of_the_state(kappa: Waves, p: Parameters) -> Tensor:
    rate = p["k"] + p["Nu"] * kappa[0] ** 2
    return torch.cat([-rate, torch.zeros_like(rate)], dim=1)


def _source(u: Tensor, kappa: Waves, p: Parameters) -> Tensor:
    source = torch.fft.rfft(u[:, 1:])
    return torch.cat([source, torch.zeros_like(source)], dim=1)


def _square(kappa: Waves) -> Tensor:
    """|kappa|^2."""
    return sum((k**2 for k in kappa[1:]), kappa[0] ** 2)


def _decay_of_both(kappa: Waves, p: Parameters) -> Tensor:
    u, v = 2e-5 * _square(kappa) + p["F"], 1e-5 * _square(kappa) + p["F"] + p["k"]
    return -torch.cat([u, v], dim=1)


def _reaction(u: Tensor, kappa: Waves, p: Parameters) -> Tensor:
    used = u[:, :1] * u[:, 1:].square()
    return torch.fft.rfft2(torch.cat([p["F"] - used, used], dim=1))


MODE = 4
"""Wave number along y of the force of Kolmogorov flow."""


def _stirring(w: Tensor, kappa: Waves, p: Parameters) -> Tensor:
    """-(v . grad) w - 4 cos(4 y), where v = (psi_y, -psi_x) and lap psi = w, the signs of `ups.simulate.pdes`."""
    vorticity, square, (x, y) = torch.fft.rfft2(w), _square(kappa), kappa
    stream = -vorticity / square.where(square > 0, torch.ones_like(square))

    def derivative(spectrum: Tensor, wave: Tensor) -> Tensor:
        return torch.fft.irfft2(1j * wave * spectrum, s=w.shape[-2:])

    carried = derivative(stream, y) * derivative(vorticity, x) - derivative(stream, x) * derivative(vorticity, y)
    place = 2 * math.pi / w.shape[-1] * torch.arange(w.shape[-1], dtype=w.dtype, device=w.device)
    return torch.fft.rfft2(-carried - MODE * (MODE * place).cos())


def _growth_of_patterns(kappa: Waves, p: Parameters) -> Tensor:
    """r - (1 - |kappa|^2)^2, largest at wave number 1."""
    return p["r"] - (1 - _square(kappa)).square()


EQUATIONS: dict[str, Equation] = {
    "advection1d": Equation(("beta",), lambda k, p: -1j * p["beta"] * k[0]),
    "burgers1d": Equation(("Nu",), lambda k, p: -p["Nu"] / math.pi * k[0] ** 2, _convection),
    "diffusion1d": Equation(("Nu", "k"), _decay_of_the_state, _source),
    "fisher_kpp1d": Equation(
        ("Nu", "Rho"),
        lambda k, p: p["Rho"] - p["Nu"] * k[0] ** 2,
        lambda u, k, p: -p["Rho"] * torch.fft.rfft(u.square()),
    ),
    "kdv1d": Equation(("delta",), lambda k, p: 1j * p["delta"] * k[0] ** 3, _convection),
    "ks1d": Equation(("Nu",), lambda k, p: k[0] ** 2 - p["Nu"] * k[0] ** 4, _convection),
    "gray_scott2d": Equation(("F", "k"), _decay_of_both, _reaction),
    "kolmogorov2d": Equation(("Nu",), lambda k, p: -p["Nu"] * _square(k) - 0.1, _stirring),
    "swift_hohenberg3d": Equation(
        ("r",), _growth_of_patterns, lambda u, k, p: torch.fft.rfftn(u.square() - u**3, dim=(-3, -2, -1))
    ),
}
"""Deterministic tasks whose equation is known, by the names of `ups.core.tasks`."""
