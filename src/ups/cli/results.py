"""Commands that start from a trained run: `ups evaluate`, `ups predict`, `ups steady`."""

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ups.cli.options import Overrides, Param, Run, assignments, number
from ups.core.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from ups.core.system import System
    from ups.surrogate.forecast import Forecast
    from ups.surrogate.surrogate import Surrogate


class SplitName(StrEnum):
    """What `--split` takes."""

    TEST = "test"
    VALIDATION = "validation"


class ModeName(StrEnum):
    """What `--mode` takes."""

    BASELINE = "baseline"
    TTC = "ttc"
    BOTH = "both"


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
        help="Initial states (B, C, *S) in physical units as .npy or .npz, or a data file.",
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
Frame = Annotated[int, typer.Option(min=0, help="Of a data file: the frame to start from.")]


def add_commands(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.command()(evaluate)
    app.command()(predict)
    app.command()(steady)


def evaluate(
    run: Run,
    split: Annotated[SplitName, typer.Option("--split", help="Trajectories to score on.")] = SplitName.TEST,
    mode: Annotated[
        ModeName | None,
        typer.Option(
            "--mode",
            help="All rows without test-time conditioning, the comparison with it (added to scores that are there), "
            "or both; as ttc.enabled says unless given.",
            show_default=False,
        ),
    ] = None,
    rescore: Annotated[
        bool,
        typer.Option(
            "--rescore",
            help="Score the stored forecasts again, without the model; all must have been stored.",
        ),
    ] = False,
    overrides: Overrides = None,
) -> None:
    """Score a trained run in physical units, beside its baselines, and write the report.

    \b
    [bold]Examples[/bold]
      ups evaluate runs/burgers1d
      ups evaluate runs/burgers1d --split validation
      ups evaluate runs/burgers1d --rescore --set evaluation.lead_times='[1, 10, 40]'
    """
    if rescore and mode is not None:
        raise UserError("--rescore and --mode contradict each other: leave one of them out")
    from ups.core.files import claimed
    from ups.run.rescore import rescore_run
    from ups.run.score import config_of, evaluate_run

    settings = config_of(run, overrides or ())
    with claimed(run, "evaluate a copy of it"):
        if rescore:
            rescore_run(run, split.value, config=settings)
        else:
            evaluate_run(run, split=split.value, config=settings, mode=None if mode is None else mode.value)


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
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sampling.")] = 0,
    param: Param = None,
    frame: Frame = 0,
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
    import ups

    _refuse(ttc, sampled=members > 1 or sampler != SamplerName.AUTO or nfe is not None, changed=bool(overrides))
    target, model = _target(output, input, "forecast"), ups.load(run)
    states, params = conditions_of(model.system, input, frame, param)
    where: dict[str, Any] = {"params": params, "space": space.value if space else None, "seed": seed}
    if ttc:
        forecast = _conditioned(model, run, overrides or [], states, steps, where)
    else:
        forecast = model.rollout(states, steps, members=members, sampler=sampler.value, nfe=nfe, **where)
    _write(forecast, target)
    typer.echo(f"wrote {target}: {len(states)} states, {members} members, {steps} steps")


def _refuse(ttc: bool, *, sampled: bool, changed: bool) -> None:
    """Raises UserError for options of sampling with test-time conditioning, and for its settings without it."""
    if ttc and sampled:
        raise UserError("--ttc makes one forecast of ttc.sampler and ttc.nfe: give no --members, --sampler or --nfe")
    if changed and not ttc:
        raise UserError("--set changes settings of test-time conditioning, such as ttc.candidates=16: give --ttc too")


def _conditioned(
    model: "Surrogate", run: Path, overrides: list[str], states: "np.ndarray", steps: int, where: dict[str, Any]
) -> "Forecast":
    """A forecast with test-time conditioning by the config of the run with `overrides`."""
    from ups.data.dataset import open_dataset
    from ups.data.sidecar import SIDECAR
    from ups.run.score import config_of
    from ups.ttc.forecast import conditioned
    from ups.ttc.forecaster import reward_of

    config = config_of(run, overrides)
    opened = partial(open_dataset, config.data, allow_generate=False, sidecar=run / SIDECAR)
    reward = reward_of(model.system, config.ttc, config.data.generate, lambda: opened().train)
    return conditioned(model, states, steps, settings=config.ttc, reward=reward, **where)


def steady(
    run: Run,
    input: Input,
    output: Output = None,
    frame: Frame = 0,
    param: Param = None,
) -> None:
    """Jump from initial states to the steady states that they go to.

    \b
    [bold]Examples[/bold]
      ups steady runs/steady states.npy
      ups steady runs/steady states.npy -o steady.png
    """
    import torch

    import ups

    target, model = _target(output, input, "steady"), ups.load(run)
    states, params = conditions_of(model.system, input, frame, param)
    values = model.steady(states, params=params)
    assert model.steady_prior is not None
    times, given = torch.tensor([torch.inf]), model.conditions(params, len(states)).cpu()
    origin = model.origin(params, sampler="steady prior")
    found = ups.Forecast(values[:, None, None], times, model.system, given, model.steady_prior.num_steps, origin)
    _write(found, target)
    typer.echo(f"wrote {target}: {len(states)} steady states")


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


def _write(forecast: "Forecast", target: Path) -> None:
    """Numbers or a picture, as the name says."""
    from ups.surrogate.forecast import PICTURES

    if target.suffix.lower() in PICTURES:
        forecast.plot(target)
    else:
        forecast.save(target)


def conditions_of(
    system: "System", path: Path, frame: int, param: list[str] | None
) -> "tuple[np.ndarray, np.ndarray | None]":
    """Initial states (B, C, *S) of an input and the PDE parameters that it holds or the command line gives."""
    from ups.data.inputs import load_input

    states, stored = load_input(path, system, frame)
    given = {name: number(value, f"--param {name}") for name, value in assignments(param, "--param").items()}
    return states, _conditions({**stored, **given}, system.param_names, len(states))


def _conditions(known: dict[str, Any], names: tuple[str, ...], count: int) -> Any:
    """PDE parameters `(B, P)` of `count` states, None if none are known; raises `UserError` if some are missing."""
    import numpy as np

    if not known:
        return None
    if set(known) != set(names):
        raise UserError(f"--param: expected {' and '.join(names) or 'none'}, found {' and '.join(known)}")
    return np.stack([np.broadcast_to(np.asarray(known[name], np.float32), (count,)) for name in names], axis=1)
