"""Commands about data files: `ups data generate`, `ups data info`, `ups data check`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ups.cli.options import Param, assignments, number
from ups.core.errors import UserError

app = typer.Typer(help="Generate, describe and check data files.", no_args_is_help=True, rich_markup_mode="rich")

File = Annotated[Path, typer.Argument(metavar="FILE", help="A data file.", show_default=False)]
Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Data files.", show_default=False)]
Mapped = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Config whose data section maps a layout of your own.", show_default=False),
]


@app.command()
def generate(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="What to simulate, such as burgers1d.", show_default=False)
    ],
    root: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("data"),
    trajectories: Annotated[int | None, typer.Option("--trajectories", "-n", min=1, show_default="1000")] = None,
    resolution: Annotated[int | None, typer.Option(min=4, help="Points per axis.", show_default="the task's")] = None,
    frames: Annotated[int | None, typer.Option(min=2, help="Frames per trajectory.", show_default="the task's")] = None,
    dt: Annotated[float | None, typer.Option(help="Time between frames.", show_default="the task's")] = None,
    length: Annotated[float | None, typer.Option(help="Extent of each axis.", show_default="the task's")] = None,
    observe_every: Annotated[
        int | None,
        typer.Option(min=1, help="Store every n-th point per axis: the rest stays hidden.", show_default="1"),
    ] = None,
    members: Annotated[
        int | None, typer.Option(min=0, help="Of random systems: truths per initial state.", show_default="0")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of all that is random.", show_default="0")] = None,
    param: Param = None,
    force: Annotated[bool, typer.Option("--force", help="Generate again what is there already.")] = False,
) -> None:
    """Simulate a task and write it in PDEBench's layout, under PDEBench's file name.

    A parameter may be a range LOW:HIGH, from which every trajectory draws its own. Needs the extra `data`.

    \b
    [bold]Examples[/bold]
      ups data generate burgers1d --root data/pdebench
      ups data generate burgers1d --param Nu=0.001 --trajectories 1200 --frames 41
      ups data generate ks1d --param Nu=0.5:1.5 --seed 1
      ups data generate ks1d --observe-every 4
    """
    from ups.data.locate import generate_with_bar
    from ups.simulate.generate import GenerateSettings, published_path

    given = {"trajectories": trajectories, "resolution": resolution, "frames": frames, "dt": dt, "length": length}
    given |= {"observe_every": observe_every, "members": members, "seed": seed, "params": _params(param)}
    settings = _validated(GenerateSettings, {"pde": task, **{k: v for k, v in given.items() if v is not None}})
    path = published_path(root, settings)
    if path.exists() and not force:
        raise UserError(f"{path} is there already; add --force to generate it again")
    typer.echo(f"wrote {generate_with_bar(settings, path)}")


@app.command()
def info(
    file: File,
    config: Mapped = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Describe a data file: shapes, axes, channels, parameters, ranges.

    \b
    [bold]Examples[/bold]
      ups data info data/1D_Burgers_Sols_Nu0.01.hdf5
      ups data info mine.npz --config configs/mine.yaml
    """
    from ups.data.inspect import describe_file

    described = describe_file(file, **_mapping(config))
    if as_json:
        typer.echo(json.dumps(described, indent=2, default=str))
        return
    width = max(len(str(name)) for name in described)
    for name, value in described.items():
        typer.echo(f"{name:<{width}}  {_text(value)}")


@app.command()
def check(files: Files, config: Mapped = None) -> None:
    """Look for what spoils training: NaN, duplicates, uneven times, fields that are zero or stand still.

    Prints one line per finding; exit code 2 if there is any but notes, which tell of what does no harm.

    \b
    [bold]Examples[/bold]
      ups data check data/*.hdf5
    """
    from ups.data.inspect import check_files

    found = check_files(files, **_mapping(config))
    for finding in found:
        typer.echo(str(finding))
    if findings := sum(finding.level != "note" for finding in found):
        raise UserError(f"{findings} finding{'s' if findings > 1 else ''} in {len(files)} file(s)")
    typer.echo(f"no findings in {len(files)} file(s)")


def _params(texts: list[str] | None) -> dict[str, float | tuple[float, float]]:
    """`Nu=0.01` as a number, `Nu=0.01:0.1` as a range."""
    params: dict[str, float | tuple[float, float]] = {}
    for name, text in assignments(texts, "--param").items():
        low, colon, high = text.partition(":")
        what = f"--param {name}"
        params[name] = (number(low, what), number(high, what)) if colon else number(text, what)
    return params


def _validated(settings: Any, values: dict[str, Any]) -> Any:
    from pydantic import ValidationError

    try:
        return settings(**values)
    except ValidationError as error:
        details = error.errors(include_url=False)
        sentences = [f"{'.'.join(map(str, d['loc']))}: {d['msg'].removeprefix('Value error, ')}" for d in details]
        raise UserError("; ".join(sentences)) from None


def _mapping(config: Path | None) -> dict[str, Any]:
    """What a config says about the layout of files of the user's own."""
    if config is None:
        return {}
    from ups.config import load_config

    data = load_config(config).data
    return {"mapping": data.mapping, "boundary": data.boundary}


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_text(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
