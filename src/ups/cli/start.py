"""What a forecast from the command line starts from: a run, initial states of a file, PDE parameters."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ups.cli.options import assignments, number
from ups.core.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from ups.surrogate.surrogate import Surrogate

    Known = dict[str, tuple[np.ndarray, str]]

MEAN = "training mean, as none was given"
"""Where parameters are from that nobody gave."""


@dataclass(frozen=True)
class Start:
    """What a forecast from a file starts from."""

    model: "Surrogate"
    states: "np.ndarray"
    """`(B, C, *S)`"""
    params: "dict[str, np.ndarray]"
    """PDE parameters, name to `()` or `(B,)`."""
    states_from: str
    """The file and how it was read."""
    params_from: str
    """The parameters, each with where it is from."""


def start_from(run: Path, path: Path, frame: int | None, param: list[str] | None, device: str | None) -> Start:
    """The model of a run on its device and the initial states of an input, read as the run's own data were; says what
    was read and with which PDE parameters. Raises UserError."""
    import numpy as np

    import ups
    from ups.core.device import device_of
    from ups.run.folder import config_of
    from ups.surrogate.inputs import open_states

    config = config_of(run) if (run / "config.yaml").exists() else None
    model = ups.load(run, device_of(device or (config.run.device if config else "auto")))
    found = open_states(path, model.system, frame, config.data if config else None)
    given = {name: number(value, f"--param {name}") for name, value in assignments(param, "--param").items()}
    stored = {name: (values, str(path)) for name, values in found.params.items()}
    params = _params(model, stored | {name: (np.asarray(value), "command line") for name, value in given.items()})
    said = ", ".join(f"{name} = {_span(values)} ({where})" for name, (values, where) in params.items())
    typer.echo(f"states: {path}: {found.read_as}")
    if params:
        typer.echo(f"parameters: {said}")
    values = {name: value for name, (value, _) in params.items()}
    return Start(model, found.values, values, f"{path}: {found.read_as}", said)


def _params(model: "Surrogate", known: "Known") -> "Known":
    """PDE parameters in the order of the run's; the training mean where none is known.
    Raises UserError for one that the run does not have, or if only some are known."""
    names = model.system.param_names
    if unknown := [name for name in known if name not in names]:
        has = f"the parameters {', '.join(names)}" if names else "no parameters"
        raise UserError(f"--param: the run has {has}, found {', '.join(unknown)}")
    if not known:
        mean = model.param_mean.cpu().numpy()
        return {name: (value, MEAN) for name, value in zip(names, mean, strict=True)}
    if missing := [name for name in names if name not in known]:
        raise UserError(f"parameter {missing[0]} is missing beside {', '.join(known)}: give --param {missing[0]}=VALUE")
    return {name: known[name] for name in names}


def _span(values: "np.ndarray") -> str:
    """One value, or the smallest and the largest."""
    low, high = float(values.min()), float(values.max())
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
