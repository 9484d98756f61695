"""The one table of named tasks: how a file is called, what it holds, and the defaults of its generator.

File names follow PDEBench (arXiv 2210.07182) where PDEBench publishes the task, and its style elsewhere.
"""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Literal

from ups.core.errors import UserError

Parameter = float | tuple[float, float]
"""A constant, or a range from which every trajectory draws its own value uniformly."""


@dataclass(frozen=True)
class Task:
    """A named data set: `u (n, T, *S[, C])` of one PDE on one domain.

    `pattern` is the file name with `{parameter}` fields, `pde` a key of `ups.simulate.pdes.PDES`, `params` the default
    of every parameter, `length` the extent of each axis, `resolution` the points stored per axis, `dt` the time between
    frames.
    """

    pattern: str
    pde: str
    channels: tuple[str, ...]
    boundary: tuple[Literal["periodic", "dirichlet", "neumann"], ...]
    params: Mapping[str, Parameter]
    length: float
    resolution: int
    frames: int
    dt: float
    fixed_axes: tuple[int, ...] = ()
    """Axes along which the equation changes with position, so that a shifted solution is none."""


LINE: tuple[Literal["periodic"]] = ("periodic",)
PLANE: tuple[Literal["periodic"], Literal["periodic"]] = ("periodic", "periodic")
SPACE: tuple[Literal["periodic"], Literal["periodic"], Literal["periodic"]] = ("periodic", "periodic", "periodic")

TASKS: dict[str, Task] = {
    "advection1d": Task(
        "1D_Advection_Sols_beta{beta}.hdf5", "advection", ("u",), LINE, {"beta": 0.4}, 1.0, 256, 41, 0.05
    ),
    "burgers1d": Task("1D_Burgers_Sols_Nu{Nu}.hdf5", "burgers", ("u",), LINE, {"Nu": 0.01}, 1.0, 256, 41, 0.05),
    "forced_burgers1d": Task(
        "1D_ForcedBurgers_Sols_Nu{Nu}_sigma{sigma}.hdf5",
        "forced_burgers",
        ("u",),
        LINE,
        {"Nu": 0.03, "sigma": 0.3},
        1.0,
        128,
        41,
        0.05,
    ),
    "diffusion1d": Task(
        "1D_Diffusion_Sols_Nu{Nu}.hdf5",
        "diffusion",
        ("u", "source"),
        LINE,
        {"Nu": 0.01, "k": (2.0, 5.0)},
        1.0,
        128,
        41,
        0.1,
    ),
    "fisher_kpp1d": Task(
        "ReacDiff_Nu{Nu}_Rho{Rho}.hdf5", "fisher_kpp", ("u",), LINE, {"Nu": 0.5, "Rho": 1.0}, 1.0, 256, 41, 0.025
    ),
    "ks1d": Task("1D_KS_Sols_Nu{Nu}.hdf5", "kuramoto_sivashinsky", ("u",), LINE, {"Nu": 1.0}, 64.0, 128, 101, 0.5),
    "kdv1d": Task("1D_KdV_Sols_delta{delta}.hdf5", "kdv", ("u",), LINE, {"delta": 1.0}, 64.0, 256, 41, 1.0),
    "gray_scott2d": Task(
        "2D_GrayScott_Sols_F{F}_k{k}.hdf5",
        "gray_scott",
        ("u", "v"),
        PLANE,
        {"F": 0.04, "k": 0.06},
        0.5,
        64,
        41,
        50.0,
    ),
    "kolmogorov2d": Task(
        "2D_Kolmogorov_Sols_Nu{Nu}.hdf5",
        "kolmogorov",
        ("vorticity",),
        PLANE,
        {"Nu": 0.01},
        2 * math.pi,
        64,
        41,
        0.5,
        (1,),
    ),
    "swift_hohenberg3d": Task(
        "3D_SwiftHohenberg_Sols_r{r}.hdf5",
        "swift_hohenberg",
        ("u",),
        SPACE,
        {"r": 0.7},
        4 * math.pi,
        16,
        51,
        2.0,
    ),
}


def find_task(name: str) -> Task:
    """The task called `name`; raises `UserError` with the nearest known name otherwise."""
    if name not in TASKS:
        raise UserError(unknown(name, TASKS, "task"))
    return TASKS[name]


def unknown(name: str, known: Mapping[str, object], kind: str) -> str:
    """The sentence for a name that is not in a table, with the nearest name that is."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    hint = f", did you mean '{near[0]}'?" if near else ""
    return f"expected one of the {kind}s {', '.join(known)}, found '{name}'{hint}"


def published_name(task: str, params: Mapping[str, Parameter] | None = None) -> str:
    """File name of `task` with `params` (defaults for those not given), e.g. `1D_Burgers_Sols_Nu0.01.hdf5`.

    Parameters that differ from the default but have no field in the pattern are appended: `..._k2.0.hdf5`.
    Raises `UserError` for an unknown task or parameter.
    """
    entry, given = find_task(task), dict(params or {})
    for name in given:
        if name not in entry.params:
            raise UserError(unknown(name, entry.params, f"{task} parameter"))
    values = {**entry.params, **given}
    fields = {name for _, name, _, _ in Formatter().parse(entry.pattern) if name}
    stem, suffix = entry.pattern.rsplit(".", 1)
    for name in sorted(set(given) - fields):
        if given[name] != entry.params[name]:
            stem += f"_{name}{{{name}}}"
    return f"{stem}.{suffix}".format(**{name: _spell(value) for name, value in values.items()})


def _spell(value: Parameter) -> str:
    if isinstance(value, tuple):
        return "-".join(repr(float(v)) for v in value)
    return repr(float(value))
