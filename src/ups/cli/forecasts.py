"""`ups predict` and `ups steady`: forecasts of a trained run from a file of states."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ups.cli.options import Overrides, Param, Run
from ups.cli.start import Start, start_from
from ups.core.errors import ForecastWarning, UserError

if TYPE_CHECKING:
    import numpy as np

    from ups.surrogate.forecast import Forecast
    from ups.surrogate.surrogate import Surrogate


class SamplerName(StrEnum):
    """What `--sampler` takes."""

    AUTO = "auto"
    NONE = "none"
    DIFFUSION = "diffusion"
    CONSISTENCY = "consistency"
    CRPS = "crps"


class SpaceName(StrEnum):
    """What `--space` takes."""

    FIELD = "field"
    LATENT = "latent"


Input = Annotated[
    Path,
    typer.Argument(
        metavar="INPUT",
        help="Initial states (B, C, *S) in physical units as .npy or .npz, a data file laid out as the run's own, or a "
        "forecast to continue.",
        show_default=False,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="File to write: numbers if it ends in .h5 or .hdf5, a picture of the first state if it ends in .png, "
        ".pdf, .svg or .jpg.",
        show_default="INPUT_forecast.h5 or INPUT_steady.h5, here",
    ),
]
Frame = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Of a file of trajectories or a forecast: the frame to start from, counted from 0.",
        show_default="0; the last of a forecast",
    ),
]
Device = Annotated[
    str | None,
    typer.Option("--device", help="Where to compute, such as cpu or cuda.", show_default="run.device of the run"),
]


def add_commands(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.command()(predict)
    app.command()(steady)


def predict(
    run: Run,
    input: Input,
    output: Output = None,
    steps: Annotated[int, typer.Option(min=1, help="Time steps to go.")] = 40,
    members: Annotated[int, typer.Option(min=1, help="Members of the ensemble.")] = 1,
    sampler: Annotated[
        SamplerName, typer.Option(help="Where members differ; `auto`: the cheapest there is if members > 1, else none.")
    ] = SamplerName.AUTO,
    nfe: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Sampling steps K per forecast step: 2K - 1 network calls by Heun's method (diffusion), K of the "
            "consistency student; as the run is set unless given.",
            show_default=False,
        ),
    ] = None,
    space: Annotated[
        SpaceName | None,
        typer.Option(help="Decode and encode each step, or stay latent; as the run does.", show_default=False),
    ] = None,
    dt: Annotated[
        float | None,
        typer.Option(help="Time step, one of those trained (data.strides); the data's.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sampling.")] = 0,
    param: Param = None,
    frame: Frame = None,
    device: Device = None,
    ttc: Annotated[
        bool, typer.Option("--ttc", help="Test-time conditioning, as the section `ttc` of the run's config says.")
    ] = False,
    overrides: Overrides = None,
) -> None:
    """Roll a trained surrogate out from initial states.

    \b
    [bold]Examples[/bold]
      ups predict runs/burgers1d states.npy --steps 40 -o forecast.png
      ups predict runs/burgers1d states.npy -o out.h5 --members 16 --param Nu=0.01
      ups predict runs/ttc_advection states.npy -o out.h5 --param beta=0.4 --ttc --set ttc.candidates=16
    """
    if ttc and dt is not None:
        raise UserError("--ttc steps by the time between the data's frames: give no --dt")
    _refuse(ttc, sampled=members > 1 or sampler != SamplerName.AUTO or nfe is not None, changed=bool(overrides))
    target, start = _target(output, input, "forecast"), start_from(run, input, frame, param, device)
    where: dict[str, Any] = {"params": start.params, "space": space.value if space else None, "seed": seed}
    with _warnings_said():
        if ttc:
            forecast = _rollout_with_ttc(start.model, run, overrides or [], start.states, steps, where)
        else:
            options = {"members": members, "sampler": sampler.value, "nfe": nfe, "dt": dt}
            forecast = start.model.rollout(start.states, steps, **options, **where)
    _write(forecast, start, target)
    count = len(start.states)
    typer.echo(f"wrote {target}: {count} states, {members} members, {steps} steps, computed on {start.model.device}")


def _refuse(ttc: bool, *, sampled: bool, changed: bool) -> None:
    """Raises UserError for options of sampling with test-time conditioning, and for its settings without it."""
    if ttc and sampled:
        raise UserError("--ttc makes one forecast of ttc.sampler and ttc.nfe: give no --members, --sampler or --nfe")
    if changed and not ttc:
        raise UserError("--set changes settings of test-time conditioning, such as ttc.candidates=16: give --ttc too")


def _rollout_with_ttc(
    model: "Surrogate", run: Path, overrides: list[str], states: "np.ndarray", steps: int, where: dict[str, Any]
) -> "Forecast":
    """A forecast with test-time conditioning by the config of the run with `overrides`."""
    from ups.data.dataset import open_dataset
    from ups.data.sidecar import SIDECAR
    from ups.run.folder import config_of
    from ups.ttc.forecast import rollout_with_ttc
    from ups.ttc.forecaster import reward_of

    config = config_of(run, overrides)
    opened = partial(open_dataset, config.data, allow_generate=False, sidecar=run / SIDECAR)
    reward = reward_of(
        model.system, model.model.codec.u_std.tolist(), config.ttc, config.data.generate, lambda: opened().train
    )
    return rollout_with_ttc(model, states, steps, settings=config.ttc, reward=reward, **where)


def steady(
    run: Run,
    input: Input,
    output: Output = None,
    frame: Frame = None,
    param: Param = None,
    device: Device = None,
) -> None:
    """Jump from initial states to the steady states that they go to.

    \b
    [bold]Examples[/bold]
      ups steady runs/steady states.npy
      ups steady runs/steady states.npy -o steady.png
    """
    import torch

    import ups
    from ups.surrogate.forecast import Origin

    target, start = _target(output, input, "steady"), start_from(run, input, frame, param, device)
    model, states = start.model, start.states
    with _warnings_said():
        values, given = model.steady(states, params=start.params), model.conditions(start.params, len(states)).cpu()
    assert model.steady_prior is not None
    times = torch.tensor([torch.inf])
    origin = Origin(run=model.run, data_hash=model.data_hash, sampler="steady prior")
    found = ups.Forecast(values[:, None, None], times, model.system, given, model.steady_prior.num_steps, origin)
    _write(found, start, target)
    typer.echo(f"wrote {target}: {len(states)} steady states, computed on {model.device}")


def _target(output: Path | None, input: Path, what: str) -> Path:
    """The file to write, in a folder that is made if need be; in the current one and named after the input unless
    given. Raises UserError for an ending that says neither numbers nor a picture."""
    from ups.surrogate.forecast import NUMBERS, PICTURES

    target = output or Path(f"{input.stem}_{what}{NUMBERS[0]}")
    if target.suffix.lower() not in (*NUMBERS, *PICTURES):
        endings = f"{', '.join(NUMBERS)} (numbers) or {', '.join(PICTURES)} (a picture)"
        raise UserError(f"--output: expected a name that ends in {endings}, found {target}")
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _write(forecast: "Forecast", start: Start, target: Path) -> None:
    """Numbers or a picture, as the name says, with where states and parameters are from."""
    from ups.surrogate.forecast import PICTURES

    origin = replace(forecast.origin, params_from=start.params_from, states_from=start.states_from)
    labelled = replace(forecast, origin=origin)
    if target.suffix.lower() in PICTURES:
        labelled.plot(target)
    else:
        labelled.save(target)


@contextmanager
def _warnings_said() -> Iterator[None]:
    """Warnings of forecasts as lines on stderr, each once, without the place in the code."""
    show, lines = warnings.showwarning, set[str]()

    def said(message: Warning | str, category: type[Warning], *place: Any, **further: Any) -> None:
        if not issubclass(category, ForecastWarning):
            show(message, category, *place, **further)
        elif str(message) not in lines:
            lines.add(str(message))
            typer.echo(f"warning: {message}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always", ForecastWarning)
        warnings.showwarning = said
        yield
