"""JSON files of this package as typed records: validated when read, or refused in a sentence that says what to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from ups.core.errors import UserError

Score = Annotated[float, Field(allow_inf_nan=False)] | None
"""A finite number, or None where there is none."""
LARGEST = 2**28
"""Bytes of a JSON file of ours; larger ones are not read."""


class Record(BaseModel):
    """A record that is written to a file and read back: frozen, and strict about names and types."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )


T = TypeVar("T", bound=BaseModel)


def read_json(path: Path, again: str) -> Any:
    """The content of a JSON file of ours.

    Args:
        path: The file.
        again: What the user can do where it cannot be read, such as "evaluate again".

    Raises:
        UserError: It is missing, no JSON, nested too deeply, or larger than `LARGEST`.
    """
    if not path.is_file():
        raise UserError(f"there is no file {path}; {again}")
    if path.stat().st_size > LARGEST:
        raise UserError(f"{path} is larger than {LARGEST // 2**20} MB, which no file of this program is; {again}")
    return parse_json(path.read_bytes(), path, again)


def parse_json(text: bytes | str, where: str | Path, again: str) -> Any:
    """The content of JSON text of ours. Raises UserError if it is none, or nested too deeply."""
    try:
        return from_json(text)
    except ValueError as error:
        raise UserError(f"{where} is damaged ({error}); {again}") from None


def record_of(kind: type[T], content: Any, where: str | Path, again: str) -> T:
    """Content that was read, as a record.

    Args:
        kind: The record.
        content: Mappings, lists, numbers and strings.
        where: The file, named in the error.
        again: What the user can do, such as "evaluate again".

    Raises:
        UserError: Something is missing or of the wrong type; the sentence names it with its dotted key.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{where}: {_problem(error, content)}; {again}") from None


def _problem(error: ValidationError, content: Any) -> str:
    """The first problem in words, with the number of the others."""
    problems = error.errors(include_url=False)
    first, more = problems[0], len(problems) - 1
    key = _key(first["loc"], content)
    if first["type"] == "missing":
        said = f"{key} is missing"
    elif first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        said = f"{key} is unknown"
    elif first["type"] == "too_short":
        said = f"{key} is empty"
    elif first["type"] == "value_error":
        said = first["msg"].removeprefix("Value error, ")
    else:
        expected = (
            first["msg"].replace("Input should", "expected to", 1).replace("to be ", "", 1).replace("a valid ", "a ")
        )
        expected = "expected a mapping" if first["type"] in ("model_type", "dict_type") else expected
        said = f"{key}{': ' * bool(key)}{expected}, found {_shown(first['input'])}"
    return said + (f" (and {more} more)" if more else "")


def _key(loc: Sequence[int | str], content: Any) -> str:
    """The dotted key of a problem; an entry of a list that says its name is called by it."""
    names = []
    for part in loc:
        content = _inside(content, part)
        name = content.get("model") if isinstance(content, dict) and isinstance(part, int) else None
        names.append(name if isinstance(name, str) else str(part))
    return ".".join(names)


def _inside(content: Any, part: int | str) -> Any:
    try:
        return content[part]
    except (KeyError, IndexError, TypeError):
        return None


def _shown(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    text = repr(value) if isinstance(value, str | int | float | bool | None) else type(value).__name__
    return text if len(text) <= 40 else f"{text[:37]}..."
