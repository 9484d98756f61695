"""UPS, the Universal Physics Stack: fast, calibrated latent-space surrogates of time-dependent physical systems.

model = ups.load("runs/burgers1d")
forecast = model.rollout(u0, steps=40)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ups.core.errors import UserError

if TYPE_CHECKING:
    import torch

    from ups.surrogate.forecast import Forecast
    from ups.surrogate.surrogate import Surrogate

__version__ = "0.1.0"
__all__ = ["Forecast", "Surrogate", "UserError", "load"]


def load(run: str | Path, device: torch.device | str = "cpu") -> Surrogate:
    """Opens the trained surrogate of a run folder on `device`."""
    from ups.surrogate.surrogate import Surrogate

    return Surrogate.load(run, device)


def __getattr__(name: str) -> Any:
    """Classes are imported when they are asked for: torch takes a second."""
    if name == "Surrogate":
        from ups.surrogate.surrogate import Surrogate

        return Surrogate
    if name == "Forecast":
        from ups.surrogate.forecast import Forecast

        return Forecast
    raise AttributeError(f"module 'ups' has no attribute {name!r}")
