"""`data.boundary`: one condition for all axes, a list with one for each, or a mapping by axis, side and channel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_serializer, model_validator

from ups.core.domain import Boundary, read_boundary
from ups.core.errors import UserError
from ups.core.settings import Settings


def _joined(value: Any) -> Any:
    """Let `{low: a, high: b}` stand for `a/b`."""
    if isinstance(value, dict) and set(value) == {"low", "high"}:
        return f"{value['low']}/{value['high']}"
    return value


Condition = Annotated[str, AfterValidator(read_boundary), BeforeValidator(_joined)]


def _as_axes(value: Any) -> Any:
    """Let one condition stand for all axes that are not periodic, and a list for the axes in their order."""
    if isinstance(value, str):
        return {"every": [value]}
    return {"every": value} if isinstance(value, list | tuple) else value


class AxesSettings(Settings):
    """Conditions by axis, each a word (`periodic`, `dirichlet`, `neumann`, `wall`, `open`) for both of its sides, or
    `{low: dirichlet, high: neumann}`.

    Good values: `dirichlet` where values are prescribed at the side, `neumann` or `wall` where nothing flows through
    it, `open` where things leave through it.
    """

    every: tuple[Condition, ...] = ()
    """One for all axes or one for each, which a plain word or list stands for."""
    x: Condition | None = None
    """Of the axis x."""
    y: Condition | None = None
    """Of the axis y."""
    z: Condition | None = None
    """Of the axis z."""

    @model_validator(mode="after")
    def _one_form(self) -> AxesSettings:
        if self.every and (self.x or self.y or self.z):
            raise ValueError("give a list of conditions or one by the name of each axis, not both")
        return self

    def of(self, axes: Sequence[str], where: str) -> tuple[Boundary, ...]:
        """The condition of each of the named axes; raises UserError, which starts with `where`, if they do not fit."""
        if self.every:
            found = self.every * (len(axes) if len(self.every) == 1 else 1)
            if len(found) != len(axes):
                given = ", ".join(found)
                raise UserError(f"{where}: data.boundary for {len(axes)} spatial axes expected, found [{given}]")
            return found
        named = {name: kind for name, kind in (("x", self.x), ("y", self.y), ("z", self.z)) if kind}
        if set(named) != set(axes):
            raise UserError(
                f"{where}: data.boundary for the spatial axes {', '.join(axes)} expected, found "
                f"{', '.join(sorted(named)) or 'none'}"
            )
        return tuple(named[name] for name in axes)


class BoundarySettings(AxesSettings):
    """Boundary condition of each axis, or of each of its sides, and of channels that have another one there.

    Good values: `periodic`; `[neumann, periodic]`; `{y: {low: dirichlet, high: neumann}, x: periodic, channels: {v:
    {y: dirichlet}}}`.
    """

    channels: dict[str, Annotated[AxesSettings, BeforeValidator(_as_axes)]] = Field(default_factory=dict)
    """By channel: a condition for all axes that are not periodic, or conditions by axis."""

    @model_serializer
    def _short(self) -> Any:
        named = {name: kind for name, kind in (("x", self.x), ("y", self.y), ("z", self.z)) if kind}
        own = {name: axes.model_dump(exclude_defaults=True) for name, axes in self.channels.items()}
        if not own:
            return list(self.every) or named
        return {**({"every": list(self.every)} if self.every else named), "channels": own}

    def of_channels(
        self, boundary: Sequence[Boundary], axes: Sequence[str], channels: Sequence[str], where: str
    ) -> tuple[tuple[Boundary, ...], ...]:
        """The conditions of each channel, C x d, or none if all have those of the axes; raises UserError."""
        for name in self.channels:
            if name not in channels:
                raise UserError(f"{where}: data.boundary.channels names {name}, expected one of {', '.join(channels)}")
        if not self.channels:
            return ()
        return tuple(self._of_channel(name, tuple(boundary), axes, where) for name in channels)

    def _of_channel(
        self, name: str, boundary: tuple[Boundary, ...], axes: Sequence[str], where: str
    ) -> tuple[Boundary, ...]:
        own = self.channels.get(name)
        if own is None:
            return boundary
        if own.every:
            wanted = own.every * (len(axes) if len(own.every) == 1 else 1)
            found = tuple(b if b == "periodic" else w for b, w in zip(boundary, wanted, strict=len(own.every) > 1))
        else:
            found = tuple(getattr(own, axis) or b for axis, b in zip(axes, boundary, strict=True))
        if any((a == "periodic") != (b == "periodic") for a, b in zip(found, boundary, strict=True)):
            raise UserError(
                f"{where}: data.boundary.channels.{name} = {list(found)} and the axes' {list(boundary)} differ in what "
                "is periodic, which holds for all channels alike"
            )
        return found


Boundaries = Annotated[BoundarySettings, BeforeValidator(_as_axes)]


def along(boundary: BoundarySettings | Sequence[Boundary], axes: Sequence[str], path: Path) -> tuple[Boundary, ...]:
    """The condition of each of the named axes of a file, from settings or from one condition for all or for each."""
    if not isinstance(boundary, BoundarySettings):
        boundary = BoundarySettings(every=tuple(boundary))
    return boundary.of(axes, str(path))
