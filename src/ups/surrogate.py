"""The trained surrogate as its users see it: encode, step, decode, roll out.

u_t --encode--> z_t --operator(dt, c)--> z_t+1 --decode--> u_t+1
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ups.core.errors import UserError
from ups.data.fields import System
from ups.forecast import Forecast
from ups.models.autoencoder import LatentSettings
from ups.models.latent_operator import LatentModel, OperatorSettings
from ups.training import checkpoint

Params = Tensor | np.ndarray | Sequence[float] | Mapping[str, float]


def best_weights(folder: Path, stage: str) -> Path | None:
    """The weights of a stage that are meant to be used: the averaged ones where there are any."""
    candidates = [folder / f"{stage}_ema.pt", folder / f"{stage}.pt"]
    return next((path for path in candidates if path.exists()), None)


class Surrogate:
    """A trained model in physical units.

    Attributes:
        model: Codec and operator.
        system: Channels, grid, boundary, parameters and time step of the data it was trained on.
        space: Where rollouts run unless asked otherwise, `field` or `latent`.
        train_seconds: Time spent on training.
    """

    def __init__(
        self,
        model: LatentModel,
        *,
        space: str = "field",
        train_seconds: float = 0.0,
        device: torch.device | str = "cpu",
    ):
        self.device = torch.device(device)
        self.model = model.to(self.device).eval().requires_grad_(False)
        self.space, self.train_seconds = space, train_seconds

    @property
    def system(self) -> System:
        """What the data are."""
        return self.model.system

    @property
    def parameters(self) -> int:
        """Number of weights of codec and operator."""
        return sum(p.numel() for p in self.model.parameters())

    @classmethod
    def load(cls, run: str | Path, device: torch.device | str = "cpu") -> Surrogate:
        """Opens a run folder.

        Raises:
            UserError: There is no trained operator, or its file is damaged or foreign.
        """
        folder = Path(run) / "checkpoints"
        path = best_weights(folder, "operator")
        if path is None:
            raise UserError(f"no trained operator in {folder}: expected operator.pt; train one with `ups run CONFIG`")
        payload = checkpoint.load(path, device)
        model = build(payload, path)
        seconds = payload["train_seconds"] + sum(
            checkpoint.load(p)["train_seconds"] for p in [best_weights(folder, "autoencoder")] if p
        )
        return cls(model, space=payload.get("rollout_space", "field"), train_seconds=seconds, device=device)

    @torch.no_grad()
    def encode(self, u: Tensor, coords: Sequence[Tensor] | None = None) -> Tensor:
        """Physical fields (B, C, *S) -> latent tokens (B, N, D); `coords` as in `Autoencoder.encode`."""
        return self.model.codec.encode(u.to(self.device), coords)

    @torch.no_grad()
    def decode(self, z: Tensor, coords: Sequence[Tensor] | Tensor | None = None) -> Tensor:
        """Latent tokens (B, N, D) -> physical fields (B, C, *S), or at other `coords` as in `Autoencoder.decode`."""
        return self.model.codec.decode(z.to(self.device), coords)

    @torch.no_grad()
    def rollout(
        self,
        u0: Tensor | np.ndarray,
        steps: int,
        *,
        params: Params | None = None,
        space: str | None = None,
        dt: float | None = None,
        batch: int = 64,
    ) -> Forecast:
        """Forecasts from initial states.

        Args:
            u0: Physical fields, (B, C, *S); (C, *S), (B, *S) with one channel, and (*S) are understood.
            steps: Steps of `dt` to go.
            params: PDE parameters, (B, P) or (P,) in the order of `system.param_names`, or by name; the training mean
                unless given.
            space: `field` decodes and encodes between steps, `latent` does not; the run's setting unless given.
            dt: Physical time step; the data's unless given.
            batch: States rolled out at once.

        Returns:
            A `Forecast` with values (B, 1, steps, C, *S).

        Raises:
            UserError: The shape, a value or a name does not fit.
        """
        fields, conditions = self._initial(u0), None
        conditions = self._params(params, len(fields))
        space = space or self.space
        if space not in ("field", "latent"):
            raise UserError(f"space must be `field` or `latent`, found {space!r}")
        if steps < 1:
            raise UserError(f"steps must be at least 1, found {steps}")
        step = dt or self.system.dt
        parts = []
        for u, c in zip(fields.split(batch), conditions.split(batch), strict=True):
            parts.append(self.model.rollout(u, steps, c, torch.full((len(u),), step, device=self.device), space).cpu())
        times = step * torch.arange(1, steps + 1, dtype=torch.double)
        return Forecast(torch.cat(parts).unsqueeze(1), times, self.system, evaluations=1)

    def _initial(self, u0: Tensor | np.ndarray) -> Tensor:
        u = torch.as_tensor(u0, dtype=torch.float32, device=self.device)
        expected = (len(self.system.channels), *self.system.shape)
        if tuple(u.shape) in (expected, expected[1:]):
            u = u.reshape(1, *expected)
        elif expected[0] == 1 and tuple(u.shape[1:]) == expected[1:]:
            u = u.unsqueeze(1)
        if tuple(u.shape[1:]) != expected:
            raise UserError(
                f"initial states must have shape (B, {', '.join(map(str, expected))}), found {tuple(u.shape)}"
            )
        if not torch.isfinite(u).all():
            raise UserError("initial states must be finite, found NaN or infinity")
        return u

    def _params(self, params: Params | None, batch: int) -> Tensor:
        names = self.system.param_names
        if params is None:
            return self.model.operator.param_mean.expand(batch, -1)
        if isinstance(params, Mapping):
            if set(params) != set(names):
                raise UserError(
                    f"params must name {', '.join(names) or 'nothing'}, found {', '.join(params) or 'nothing'}"
                )
            params = [float(params[name]) for name in names]
        values = torch.as_tensor(params, dtype=torch.float32, device=self.device)
        if values.shape not in ((len(names),), (batch, len(names))):
            raise UserError(
                f"params must have shape ({batch}, {len(names)}) or ({len(names)},), found {tuple(values.shape)}"
            )
        return values.expand(batch, -1)


def build(payload: Mapping[str, Any], path: Path) -> LatentModel:
    """A `LatentModel` from an operator checkpoint alone."""
    try:
        system = System.from_dict(payload["system"])
        model = LatentModel(
            system,
            LatentSettings.model_validate(payload["latent"]),
            OperatorSettings.model_validate(payload["operator"]),
        )
    except (KeyError, ValueError) as error:
        raise UserError(f"{path} is not an operator checkpoint of this program: {error}") from error
    checkpoint.load_state(model, payload, path)
    return model
