"""A forecast: members of physical fields over time, with what is usually asked of them.

Layout of the file that `save` writes and `load` reads, B states, M members, T frames, C channels, grid S:

    values (B, M, T, C, *S)   times (T,)   <axis>-coordinate (S_i,)   params/<name> (B,)
    attributes: what the values are (`channels`, `axes`, `boundary`, `system`) and how they came about (`Origin`)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import torch
from torch import Tensor

from ups.core.errors import UserError
from ups.core.files import replacing
from ups.core.pictures import Scale, edges, field_scale, figure, legible, spread_scale
from ups.core.system import System

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NUMBERS = (".h5", ".hdf5")
"""Endings of files of numbers."""
PICTURES = (".png", ".pdf", ".svg", ".jpg", ".jpeg")
"""Endings of pictures."""
LEADING = ("trajectory", "member", "time", "channel")
"""Names of the axes of `values` before those of space."""
KIND = "ups forecast"
"""Attribute `kind` of the files."""


@dataclass(frozen=True)
class Origin:
    """How a forecast came about."""

    run: str = ""
    """Folder of the run."""
    data_hash: str = ""
    """Hash of the data and splits that the model was trained on."""
    sampler: str = "none"
    """Where members differ: `diffusion`, `crps`, `consistency`, or `none` for the operator alone."""
    nfe: int = 0
    """Sampling steps per forecast step; 0: the sampler's own."""
    space: str = ""
    """`field` or `latent`."""
    seed: int = 0
    """Seed of the sampling."""
    dt: float = 0.0
    """Physical time step; 0 for a steady state."""
    params_from: str = "given"
    """Where the PDE parameters are from."""
    states_from: str = ""
    """Where the initial states are from."""


@dataclass(frozen=True)
class Forecast:
    """What `Surrogate.rollout` returns.

    Attributes:
        values: Physical fields, (B, M, T, C, *S): B initial states, M members, T frames after the initial one.
        times: Physical time since the initial state, (T,).
        system: Channels, grid and boundary.
        params: PDE parameters, (B, P) in the order of `system.param_names`.
        evaluations: Network evaluations per step and member; a mean over states where they differ.
        origin: How it came about.
    """

    values: Tensor
    times: Tensor
    system: System
    params: Tensor
    evaluations: float
    origin: Origin = Origin()

    def mean(self) -> Tensor:
        """Ensemble mean, (B, T, C, *S)."""
        return self.values.mean(1)

    def std(self) -> Tensor:
        """Ensemble standard deviation (unbiased; zero for one member), (B, T, C, *S)."""
        return self.values.std(1) if self.values.shape[1] > 1 else torch.zeros_like(self.values[:, 0])

    def interval(self, share: float = 0.9) -> tuple[Tensor, Tensor]:
        """Lower and upper end of the central interval that holds `share` of the members, each (B, T, C, *S)."""
        if not 0 < share < 1:
            raise UserError(f"an interval holds a share between 0 and 1, found {share}")
        tail = (1 - share) / 2
        return torch.quantile(self.values, tail, dim=1), torch.quantile(self.values, 1 - tail, dim=1)

    def save(self, path: str | Path) -> Path:
        """Writes everything that the forecast holds to HDF5, atomically."""
        path, system = Path(path), self.system
        with replacing(path, "forecast") as part, h5py.File(part, "w") as file:
            stored, file["times"] = file.create_dataset("values", data=self.values.cpu()), self.times.cpu().numpy()
            for dim, name in zip(stored.dims, (*LEADING, *system.axes), strict=True):
                dim.label = name
            for name, axis in zip(system.axes, system.coords, strict=True):
                file[f"{name}-coordinate"] = np.array(axis)
            for name, column in zip(system.param_names, self.params.cpu().T.numpy(), strict=True):
                file[f"params/{name}"] = column
            for name in ("channels", "axes", "boundary", "param_names"):
                file.attrs[name] = np.array(getattr(system, name), h5py.string_dtype())
            file.attrs.update({"kind": KIND, "system": json.dumps(system.to_dict()), **asdict(self.origin)})
            file.attrs["evaluations_per_step"] = self.evaluations
        return path

    @classmethod
    def load(cls, path: str | Path, frames: slice = slice(None)) -> Forecast:
        """Reads what `save` wrote, of the values and times only `frames`.

        Raises:
            UserError: The file is missing, damaged, or holds no forecast.
        """
        path = Path(path)
        with _opened(path) as file:
            if not _is_kind(file):
                raise UserError(f"{path}: a file of `ups predict` or `Forecast.save` expected, found another")
            system = System.from_dict(json.loads(str(file.attrs["system"])))
            columns = [np.asarray(file[f"params/{name}"]) for name in system.param_names]
            values = torch.from_numpy(np.asarray(file["values"][:, :, frames]))
            origin = Origin(**{field.name: _plain(file.attrs[field.name]) for field in fields(Origin)})
            return cls(
                values,
                torch.from_numpy(np.asarray(file["times"][frames])),
                system,
                torch.from_numpy(np.stack(columns, 1)) if columns else torch.zeros(len(values), 0),
                float(file.attrs["evaluations_per_step"]),
                origin,
            )

    def plot(self, path: str | Path, trajectory: int = 0, channel: int = 0) -> Path:
        """Draws mean and spread of one trajectory, atomically: over space and time, over space if there is a single
        frame (1D), or the last frame (2D).

        Raises:
            UserError: The field has more than 2 axes, there is no such trajectory or channel, or the name ends in none
                of `PICTURES`.
        """
        path, dims = Path(path), len(self.system.shape)
        if dims > 2:
            raise UserError(f"forecasts are drawn on 1 or 2 axes, found {dims}; save them and take a slice")
        if path.suffix.lower() not in PICTURES:
            raise UserError(f"a picture has a name that ends in {', '.join(PICTURES)}, found {path.name}")
        for what, index, count in (("trajectory", trajectory, len(self.values)), ("channel", channel, self._channels)):
            if not 0 <= index < count:
                raise UserError(f"{what} {index} asked for, but the forecast has {count}, counted from 0")
        mean = self.mean()[trajectory, :, channel].cpu().numpy()
        panels = [("mean", mean, field_scale(mean))]
        if self.values.shape[1] > 1:
            spread = self.std()[trajectory, :, channel].cpu().numpy()
            panels.append(("standard deviation", spread, spread_scale(spread)))
        name = legible(self.system.channels[channel])
        with figure(path, 5.2 * len(panels), 4.0) as canvas:
            grid = canvas.subplots(1, len(panels), squeeze=False)[0]
            for axis, (what, values, scale) in zip(grid, panels, strict=True):
                self._draw(axis, values, f"{name}: {what}" if len(panels) > 1 else name, scale)
            given = zip(self.system.param_names, self.params[trajectory].tolist(), strict=True)
            canvas.suptitle(legible(", ".join(f"{param} = {value:.4g}" for param, value in given)))
        return path

    @property
    def _channels(self) -> int:
        return len(self.system.channels)

    def _draw(self, axis: Axes, values: np.ndarray, title: str, scale: Scale) -> None:
        """Draws fields (T, *S)."""
        names, places = self.system.axes, [np.array(points) for points in self.system.coords]
        last = float(self.times[-1])
        when = f"at t = {last:.3g}" if np.isfinite(last) else "in the steady state"
        if len(places) == 1 and len(values) == 1:
            axis.plot(places[0], values[0])
            axis.set(xlabel=names[0], ylabel=title, title=f"{title} {when}")
            return
        if len(places) == 1:
            across, up, shown = edges(places[0]), edges(self.times.cpu().numpy()), values
            axis.set(xlabel=names[0], ylabel="time", title=title)
        else:
            across, up, shown = edges(places[0]), edges(places[1]), values[-1].T
            axis.set(xlabel=names[0], ylabel=names[1], title=f"{title} {when}")
        options: dict[str, Any] = {"cmap": scale.cmap, "vmin": scale.low, "vmax": scale.high}
        image = axis.imshow(shown, origin="lower", aspect="auto", extent=(*across, *up), **options)
        axis.figure.colorbar(image, ax=axis)


def is_forecast(path: Path) -> bool:
    """Whether a file is one that `Forecast.save` wrote."""
    if path.suffix.lower() not in NUMBERS or not path.is_file() or not h5py.is_hdf5(path):
        return False
    with _opened(path) as file:
        return _is_kind(file)


def _plain(value: Any) -> Any:
    """An attribute as the Python number or string that was written."""
    return value.item() if isinstance(value, np.generic) else value


def _is_kind(file: h5py.File) -> bool:
    return file.attrs.get("kind") == KIND


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """An HDF5 file; what is missing or of another kind in it becomes a sentence."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path}: the forecast is missing or damaged ({str(error).splitlines()[0]})") from error
