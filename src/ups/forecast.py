"""A forecast: members of physical fields over time, with what is usually asked of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor

from ups.core.errors import UserError
from ups.core.files import replacing
from ups.data.fields import System


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
        """Draws mean and spread of one trajectory over space and time (1D), or its last frame (2D)."""
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt

        dims = len(self.system.shape)
        if dims > 2:
            raise UserError(f"forecasts are drawn on 1 or 2 axes, found {dims}; save them and take a slice")
        pictures = {"mean": self.mean()[trajectory, :, channel].cpu()}
        if self.values.shape[1] > 1:
            pictures["standard deviation"] = self.std()[trajectory, :, channel].cpu()
        figure, axes = plt.subplots(
            1, len(pictures), figsize=(5.2 * len(pictures), 4), squeeze=False, layout="constrained"
        )
        x = self.system.coords
        for ax, (title, values) in zip(axes[0], pictures.items(), strict=True):
            limit = float(values.abs().max()) or 1.0
            style = (
                {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit} if title == "mean" else {"cmap": "cividis", "vmin": 0}
            )
            if dims == 1:
                image = ax.pcolormesh(x[0], self.times.cpu(), values, shading="nearest", **style)
                ax.set(xlabel="x", ylabel="time", title=f"{self.system.channels[channel]}: {title}")
            else:
                image = ax.pcolormesh(x[0], x[1], values[-1].T, shading="nearest", **style)
                ax.set(
                    xlabel="x",
                    ylabel="y",
                    title=f"{self.system.channels[channel]} at t = {float(self.times[-1]):.3g}: {title}",
                )
            figure.colorbar(image, ax=ax)
        figure.savefig(path, dpi=150)
        plt.close(figure)
        return Path(path)
