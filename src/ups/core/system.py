"""The records that describe physical data: what every reader gives, every model asks for and every checkpoint holds.

Notation: T frames, C channels, S = (S_1, ..., S_d) grid points along d = 1, 2 or 3 spatial axes, P PDE parameters.
All values are physical, in the units of the data.
"""

import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, SupportsFloat

from pydantic import ConfigDict

from ups.core.domain import Boundary, Domain, read_boundary, sides
from ups.core.errors import UserError
from ups.core.spacing import UNEVEN
from ups.core.walls import Walls


@dataclass(frozen=True)
class System:
    """What a model has to know of its data: channels, grid, boundary, parameters and time step."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    channels: tuple[str, ...]
    """C names of the physical quantities."""
    shape: tuple[int, ...]
    """Grid points S along each axis."""
    coords: tuple[tuple[float, ...], ...]
    """Coordinates of the grid points along each axis, in units of length."""
    boundary: tuple[Boundary, ...]
    """Boundary condition of each axis, of all channels unless `channel_boundary` has others."""
    param_names: tuple[str, ...]
    """P names of the PDE parameters, in the order of every `(B, P)` tensor."""
    dt: float
    """Time between two frames, in units of time."""
    task: str = ""
    """Name of the data set, such as `burgers1d`, where it is known."""
    axes: tuple[str, ...] = ()
    """Names of the spatial axes, in the order of `shape`; x, y, z unless given."""
    param_range: tuple[tuple[float, float], ...] = ()
    """Smallest and largest value of each PDE parameter over the training split; empty where that is not known."""
    channel_boundary: tuple[tuple[Boundary, ...], ...] = ()
    """Boundary condition by channel and axis; empty where it is the same for all channels."""
    walls: Walls = ()
    """Value that the training split holds by axis, side and channel, None where it changes; empty if it holds none."""
    fixed_axes: tuple[int, ...] = ()
    """Axes along which a shifted solution is none, because a forcing, say, stands at a fixed place; of a system that is
    no known task also those with ends, where nothing can tell."""
    steps: tuple[float, ...] = ()
    """Time steps that are trained, in units of time: `dt` and its multiples of `data.strides`."""

    def __post_init__(self) -> None:
        if not self.axes:
            object.__setattr__(self, "axes", ("x", "y", "z")[: len(self.shape)])
        if not self.steps:
            object.__setattr__(self, "steps", (self.dt,))

    @property
    def varied(self) -> tuple[bool, bool]:
        """Whether the training data have several time steps, and several values of a PDE parameter."""
        return len(self.steps) > 1, any(low < high for low, high in self.param_range) or not self.param_range

    @property
    def spacing(self) -> tuple[float, ...]:
        """Mean distance of neighbouring grid points along each axis, in units of length."""
        return tuple((axis[-1] - axis[0]) / (len(axis) - 1) if len(axis) > 1 else 1.0 for axis in self.coords)

    @property
    def extent(self) -> tuple[float, ...]:
        """Length of each axis: the period of a periodic axis, the distance from first to last point of any other."""
        return self.domain.extent

    @cached_property
    def domain(self) -> Domain:
        """The grid and its boundary, as every model call takes it."""
        return Domain(self.shape, self.boundary, self.spacing, tuple(axis[0] for axis in self.coords))

    def boundary_of(self, channel: int) -> tuple[Boundary, ...]:
        """Boundary condition of each axis for a channel."""
        return self.channel_boundary[channel] if self.channel_boundary else self.boundary

    def closed(self, channel: int) -> bool:
        """Whether nothing flows through any side: all are periodic, or let nothing of a channel through."""
        kinds = {kind for axis in self.boundary_of(channel) for kind in sides(axis)}
        return kinds <= {"periodic", "neumann", "wall"}

    def on(self, domain: Domain) -> "System":
        """The same system on another domain."""
        coords = tuple(tuple(axis.tolist()) for axis in domain.coords)
        return replace(self, shape=domain.shape, boundary=domain.boundary, coords=coords)

    def time_step(self, dt: Any) -> float:
        """Return the trained time step that equals `dt` to 1e-3, `dt` of the data unless given.

        Raises UserError for any other: a model knows nothing of steps that it was not trained on.
        """
        for step in self.steps:
            if dt is None or (isinstance(dt, SupportsFloat) and math.isclose(float(dt), step, rel_tol=UNEVEN)):
                return step
        known = ", ".join(f"{step:g}" for step in self.steps)
        raise UserError(
            f"dt = {dt} was not trained, trained are steps of {known}: take several of these, or train on multiples of "
            f"{self.dt:g} with data.strides"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return lists, numbers and strings only, which `torch.load(weights_only=True)` and JSON accept."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "System":
        """Rebuild a system from `to_dict`. Raises UserError if an entry is unknown, or missing without a default."""
        known = {field.name for field in fields(cls)}
        needed = {field.name for field in fields(cls) if field.default is MISSING}
        if not needed <= set(record) <= known:
            raise UserError(f"a system record has the entries {sorted(known)}, found {sorted(record)}")
        return cls(**{name: _frozen(value) for name, value in record.items()})


def consistent(system: System) -> System:
    """The same system; raises ValueError where its entries do not fit together, as they may not in a damaged file."""
    axes, channels = len(system.shape), len(system.channels)
    by_axis = (system.coords, system.boundary, system.axes, *system.channel_boundary)
    grid = [len(axis) for axis in system.coords]
    held = [side for axis in system.walls for side in axis]
    problems = {
        f"shape must have 1 to 3 axes, found {axes}": not 1 <= axes <= 3,
        "channels is empty": not channels,
        f"coords are of the grid {grid}, and shape says {list(system.shape)}": grid != list(system.shape) or 0 in grid,
        "coords, boundary and axes must have an entry for each axis": any(len(each) != axes for each in by_axis),
        "coords must be finite and rise": not all(
            math.isfinite(low) and math.isfinite(high) and low < high
            for axis in system.coords
            for low, high in pairwise(axis)
        ),
        "dt and steps must be above 0 and finite": not all(0 < step < math.inf for step in (system.dt, *system.steps)),
        "param_range must have an entry for each parameter": len(system.param_range)
        not in (0, len(system.param_names)),
        "channel_boundary must have an entry for each channel": len(system.channel_boundary) not in (0, channels),
        "walls must have two sides for each axis": [len(axis) for axis in system.walls] not in ([], [2] * axes),
        "walls must have an entry for each channel": any(len(side) != channels for side in held),
        "fixed_axes must name axes": not set(system.fixed_axes) <= set(range(axes)),
    }
    for sentence, applies in problems.items():
        if applies:
            raise ValueError(f"system.{sentence}")
    for kind in (*system.boundary, *(kind for each in system.channel_boundary for kind in each)):
        try:
            read_boundary(kind)
        except ValueError as error:
            raise ValueError(f"system.boundary: {error}") from None
    return system


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation over the **training** split, in physical units."""

    mean: tuple[float, ...]
    """Per channel, over trajectories, frames and grid points."""
    std: tuple[float, ...]
    """Per channel (sigma), the unit of losses and scores; 0.0 for a channel that never changes, which is carried."""
    param_mean: tuple[float, ...]
    """Per PDE parameter, over trajectories."""
    param_std: tuple[float, ...]
    """Per PDE parameter; 1.0 for a parameter that never changes."""

    def to_dict(self) -> dict[str, list[float]]:
        """Return lists of numbers only, as `System.to_dict` does."""
        return {name: list(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Statistics":
        """Rebuild statistics from `to_dict`. Raises UserError if an entry is missing or unknown."""
        expected = {field.name for field in fields(cls)}
        if set(record) != expected:
            raise UserError(f"a statistics record has the entries {sorted(expected)}, found {sorted(record)}")
        return cls(**{name: _frozen(value) for name, value in record.items()})


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, (list, tuple)) else value
