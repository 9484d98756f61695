"""The reference of all config keys, in Markdown, from the settings classes and their docstrings."""

import inspect
import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ups.config.schema import sections, type_name
from ups.config.source import Key, dotted


def section_reference(settings: type[BaseModel], key: Key = (), usual: BaseModel | None = None) -> Iterator[str]:
    """A heading, the class's docstring and a table of keys for `settings` and each section below it, with the values
    that they have by default in `usual`."""
    if key:
        yield f"{'#' * min(len(key) + 1, 4)} `{dotted(key)}`"
    yield inspect.getdoc(settings) or ""
    values = {name: _default(name, field, usual) for name, field in settings.model_fields.items()}
    rows = [_row(name, field, values[name]) for name, field in settings.model_fields.items()]
    yield "\n".join(["| key | type | default | meaning |", "| --- | --- | --- | --- |", *rows])
    for name, field in settings.model_fields.items():
        for section in sections(field.annotation):
            inner = values[name] if isinstance(values[name], section) else None
            yield from section_reference(section, (*key, name), inner)


def _row(name: str, field: FieldInfo, value: Any) -> str:
    meaning = " ".join((field.description or "").split())
    cells = [f"`{name}`", type_name(field.annotation) + _bounds(field), _spelled(value), meaning]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _bounds(field: FieldInfo) -> str:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    bounds = [
        f"{sign} {getattr(m, name):g}" for m in field.metadata for name, sign in signs.items() if hasattr(m, name)
    ]
    return f" ({', '.join(bounds)})" if bounds else ""


def _default(name: str, field: FieldInfo, usual: BaseModel | None) -> Any:
    """The value of a field that is not given; `PydanticUndefined` where it must be."""
    if usual is not None:
        return getattr(usual, name)
    return PydanticUndefined if field.is_required() else field.get_default(call_default_factory=True, validated_data={})


def _spelled(value: Any) -> str:
    if value is PydanticUndefined:
        return "required"
    return "see below" if isinstance(value, BaseModel) else f"`{json.dumps(_plain(value), ensure_ascii=False)}`"


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value if isinstance(value, bool | int | float | dict | None) else str(value)
