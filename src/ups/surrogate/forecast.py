"""A forecast: members of physical fields over time, with what is usually asked of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from ups.core.errors import UserError
from ups.core.files import replacing
from ups.core.system import System

NUMBERS = (".h5", ".hdf5")
"""Endings of files of numbers."""
PICTURES = (".png", ".pdf", ".svg", ".jpg", ".jpeg")
"""Endings of pictures."""


@dataclass(frozen=True)
class Forecast:
    """What `Surrogate.rollout` returns.

    Attributes:
        values: Physical fields, (B, M, T, C, *S): B initial states, M members, T frames after the initial one.
        times: Physical time since the initial state, (T,).
        system: Channels, grid and boundary.
        evaluations: Network evaluations per step and member; a mean over states where they differ.
    """

    values: Tensor
    times: Tensor
    system: System
    evaluations: float

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
        """Writes `values`, `times`, coordinates and names to HDF5, atomically."""
        path = Path(path)
        with replacing(path, "forecast") as part, h5py.File(part, "w") as file:
            file["values"], file["times"] = self.values.cpu().numpy(), self.times.cpu().numpy()
            file["values"].attrs["axes"] = "trajectory member time channel " + " ".join("xyz"[: len(self.system.shape)])
            for name, axis in zip("xyz", self.system.coords, strict=False):
                file[f"{name}-coordinate"] = np.array(axis, dtype=np.float32)
            file.attrs["channels"], file.attrs["boundary"] = list(self.system.channels), list(self.system.boundary)
            file.attrs["evaluations_per_step"] = self.evaluations
        return path

    def plot(self, path: str | Path, trajectory: int = 0, channel: int = 0) -> Path:
        """Draws mean and spread of one trajectory, atomically: over space and time, over space if there is a single
        frame (1D), or the last frame (2D).

        Raises:
            UserError: The field has more than 2 axes, or the name ends in none of `PICTURES`.
        """
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt

        path, dims = Path(path), len(self.system.shape)
        if dims > 2:
            raise UserError(f"forecasts are drawn on 1 or 2 axes, found {dims}; save them and take a slice")
        if path.suffix.lower() not in PICTURES:
            raise UserError(f"a picture has a name that ends in {', '.join(PICTURES)}, found {path.name}")
        pictures = {"mean": self.mean()[trajectory, :, channel].cpu()}
        if self.values.shape[1] > 1:
            pictures["standard deviation"] = self.std()[trajectory, :, channel].cpu()
        size = (5.2 * len(pictures), 4)
        figure, axes = plt.subplots(1, len(pictures), figsize=size, squeeze=False, layout="constrained")
        name = self.system.channels[channel]
        for ax, (what, values) in zip(axes[0], pictures.items(), strict=True):
            self._draw(ax, values, f"{name}: {what}" if len(pictures) > 1 else name, signed=what == "mean")
        with replacing(path, "picture") as part:
            figure.savefig(part, dpi=150, format=path.suffix[1:].lower())
        plt.close(figure)
        return path

    def _draw(self, ax: Any, values: Tensor, title: str, signed: bool) -> None:
        """Draws fields (T, *S) on axes of matplotlib; colours are centred on 0 if they have a sign."""
        x, last = self.system.coords, float(self.times[-1])
        when = f"at t = {last:.3g}" if np.isfinite(last) else "in the steady state"
        limit = float(values.abs().max()) or 1.0
        colours: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
        style = colours if signed else {"cmap": "cividis", "vmin": 0}
        if len(x) == 1 and len(values) == 1:
            ax.plot(x[0], values[0])
            ax.set(xlabel="x", title=f"{title} {when}")
            return
        if len(x) == 1:
            image = ax.pcolormesh(x[0], self.times.cpu(), values, shading="nearest", **style)
            ax.set(xlabel="x", ylabel="time", title=title)
        else:
            image = ax.pcolormesh(x[0], x[1], values[-1].T, shading="nearest", **style)
            ax.set(xlabel="x", ylabel="y", title=f"{title} {when}")
        ax.figure.colorbar(image, ax=ax)
