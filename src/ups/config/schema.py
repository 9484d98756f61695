"""What keys a settings class allows, and where: the typed tree behind suggestions and the reference."""

import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ups.config.source import Key


def classes_at(settings: type[BaseModel], key: Key) -> list[type[BaseModel]]:
    """Settings classes that may stand at `key` below `settings`; empty where a plain value stands."""
    found: list[Any] = [settings]
    for part in key:
        found = [inner for annotation in found for inner in _inside(annotation, part)]
    return [annotation for annotation in found if _is_settings(annotation)]


def fields(settings: type[BaseModel], prefix: Key = ()) -> Iterator[tuple[Key, FieldInfo]]:
    """Every key below `settings` with its field, sections before what they hold."""
    for name, field in settings.model_fields.items():
        key = (*prefix, name)
        yield key, field
        for section in sections(field.annotation):
            yield from fields(section, key)


def sections(annotation: Any) -> list[type[BaseModel]]:
    """Settings classes among the alternatives of a field's type."""
    return [option for option in _options(annotation) if _is_settings(option)]


def allows_none(annotation: Any) -> bool:
    """Whether `null` is a value of the type."""
    return any(option in (None, type(None), Any) for option in _options(annotation))


def type_name(annotation: Any) -> str:
    """A type as a reader of the reference wants it: `number`, `[whole number, ...]`, `a or b`."""
    origin, args = get_origin(annotation), get_args(annotation)
    options = _options(annotation)
    if len(options) > 1:
        names = [type_name(option) for option in options]
        return " or ".join(dict.fromkeys(names))
    annotation = options[0]
    origin, args = get_origin(annotation), get_args(annotation)
    if str(origin) == "typing.Literal":
        return " or ".join(f"`{value}`" for value in args)
    if origin in (list, tuple, set, frozenset):
        items = [type_name(arg) for arg in args if arg is not Ellipsis]
        fixed = origin is tuple and Ellipsis not in args
        return f"[{', '.join(items)}]" if fixed else f"[{items[0] if items else 'value'}, ...]"
    if origin is not None and args:
        return f"{{name: {type_name(args[-1])}}}"
    if _is_settings(annotation):
        return "section"
    names = {bool: "true or false", int: "whole number", float: "number", str: "text", type(None): "null"}
    return names.get(annotation, {"Path": "path"}.get(getattr(annotation, "__name__", ""), str(annotation)))


def _options(annotation: Any) -> list[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _options(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [option for arg in get_args(annotation) for option in _options(arg)]
    if hasattr(annotation, "__value__"):
        return _options(annotation.__value__)
    return [annotation]


def _inside(annotation: Any, part: str | int) -> list[Any]:
    found: list[Any] = []
    for option in _options(annotation):
        if _is_settings(option):
            field = option.model_fields.get(str(part))
            found += _options(field.annotation) if field else []
        elif get_origin(option) is not None and get_args(option):
            found += _options(get_args(option)[-1 if isinstance(part, str) else 0])
    return found


def _is_settings(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
