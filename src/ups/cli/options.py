"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from ups.core.errors import UserError

Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file of settings.", show_default=False)]
Run = Annotated[
    Path, typer.Argument(metavar="RUN", help="Folder of a run, such as runs/burgers1d.", show_default=False)
]
Channels = Annotated[
    bool, typer.Option("--channels", help="Print the scores channel by channel too, in physical units.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a setting, such as training.batch_size=16; the value is YAML. Repeatable.",
        show_default=False,
    ),
]
Param = Annotated[
    list[str] | None,
    typer.Option("--param", metavar="NAME=VALUE", help="Value of a PDE parameter. Repeatable.", show_default=False),
]


def assignments(texts: list[str] | None, option: str) -> dict[str, str]:
    """`["Nu=0.01"]` as `{"Nu": "0.01"}`; raises `UserError` for text without `=`."""
    result = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise UserError(f"{option}: expected NAME=VALUE, found `{text}`")
        result[name] = value
    return result


def number(text: str, what: str) -> float:
    """The number `text` spells; raises `UserError` naming `what` otherwise."""
    try:
        return float(text)
    except ValueError:
        raise UserError(f"{what}: expected a number, found `{text}`") from None
