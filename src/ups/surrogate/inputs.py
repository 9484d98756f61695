"""Where a forecast starts from: a file of states or trajectories, or a forecast that is continued."""

from __future__ import annotations

from pathlib import Path

from ups.core.errors import UserError
from ups.core.system import System
from ups.data.inputs import InputStates, load_input, require_grid
from ups.data.settings import DataSettings
from ups.surrogate.forecast import Forecast, is_forecast


def open_states(path: Path, system: System, frame: int | None = None, data: DataSettings | None = None) -> InputStates:
    """Initial states for `system` out of a file: of a forecast its last frame, else as `load_input` reads it.

    Args:
        path: The file.
        system: What the states must fit.
        frame: Of a forecast or a file of trajectories: the frame to start from, counted from 0; the last of a forecast
            and the first of a trajectory unless given.
        data: How the data of the run were read.

    Raises:
        UserError: As `load_input`, or the forecast is one of another system.
    """
    return _continued(path, system, frame) if is_forecast(path) else load_input(path, system, frame, data)


def _continued(path: Path, system: System, frame: int | None) -> InputStates:
    """One frame of a forecast; every member goes on as a state of its own, with the parameters of its forecast."""
    found = Forecast.load(path, slice(-1, None) if frame is None else slice(frame, frame + 1))
    if not len(found.times):
        raise UserError(f"{path}: frame {frame} asked for, but the forecast, counted from 0, has no such frame")
    require_grid(path, found.system.axes, found.system.coords, system)
    if found.system.channels != system.channels:
        raise UserError(f"{path}: channels {list(system.channels)} expected, found {list(found.system.channels)}")
    states, members = found.values.shape[:2]
    params = dict(zip(found.system.param_names, found.params.repeat_interleave(members, 0).T.numpy(), strict=True))
    which = "the last frame" if frame is None else f"frame {frame}"
    each = f" with {members} members each, which go on as states" if members > 1 else ""
    return InputStates(
        found.values[:, :, 0].flatten(0, 1).numpy(),
        {name: params[name] for name in system.param_names if name in params},
        f"{which} (t = {float(found.times[0]):g}) of a forecast of {states} states{each}",
    )
