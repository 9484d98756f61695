"""From a YAML file and `a.b=value` overrides to validated settings, with all problems reported at once."""

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ups.config.problems import add_problems, value_at
from ups.config.schema import allows_none, classes_at, sections
from ups.config.source import Key, Place, Problem, Source, apply_overrides, dotted, read_source, to_yaml
from ups.core.errors import UserError

S = TypeVar("S", bound=BaseModel)
Defaults = Callable[[dict[str, Any]], list[tuple[Key, Any]]]
Contradiction = tuple[tuple[Key, ...], str]
"""Keys that do not fit together, and a sentence."""
Contradictions = Callable[[Any], list[Contradiction]]


def load_settings(
    path: Path,
    overrides: Sequence[str],
    settings: type[S],
    *,
    defaults: Defaults = lambda values: [],
    contradictions: Contradictions = lambda settings: [],
) -> S:
    """Settings of class `settings` from a YAML file.

    `defaults` gives values for keys that were not given and that follow from the others or from the file's name;
    `contradictions` names keys of valid settings that do not fit together, with a sentence for each.
    Raises `UserError` with one line `FILE:LINE: key: sentence` per problem.
    """
    source = read_source(path)
    apply_overrides(source, overrides)
    source.values = _without_empty_sections(source.values, settings, ())
    given = copy.deepcopy(source.values)
    for key, value in defaults(given):
        _set_default(given, key, value)
    result, broken = _validate(source.values, source, settings)
    if result is not None:
        result, broken = _validate(given, source, settings)
    if result is not None:
        source.problems += [_contradiction(source, keys, text) for keys, text in contradictions(result)]
    elif (rest := _valid_part(source.values, broken, settings, defaults)) is not None:
        found = [(keys, text) for keys, text in contradictions(rest) if not _touches(keys, broken)]
        source.problems += [_contradiction(source, keys, text) for keys, text in found]
    if source.problems or result is None:
        raise UserError(_message(source))
    return result


def dump_settings(settings: BaseModel) -> str:
    """YAML that `load_settings` reads back to equal settings; every key is written, also those at their default."""
    return to_yaml(settings.model_dump(mode="json", by_alias=True))


def changed_keys(a: BaseModel, b: BaseModel) -> list[str]:
    """Dotted keys whose values differ between two settings, in the order of `a`."""
    one, other = _leaves(a.model_dump(mode="json"), ()), _leaves(b.model_dump(mode="json"), ())
    keys = dict.fromkeys([*one, *other])
    missing = object()
    return [dotted(key) for key in keys if one.get(key, missing) != other.get(key, missing)]


def _validate(values: dict[str, Any], source: Source, settings: type[S]) -> tuple[S | None, list[Key]]:
    """Settings, or None and the keys that failed; text and booleans are no numbers, and numbers are no booleans."""
    result, broken = None, []
    try:
        result = settings.model_validate(values)
    except ValidationError as error:
        broken = add_problems(source, error, settings)
    try:
        settings.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        broken += add_problems(source, error, settings, only=_is_coerced, known=broken)
    return (None if broken else result), broken


def _is_coerced(value: Any, kinds: set[str]) -> bool:
    """Whether strict validation failed because a scalar was of another kind."""
    scalars = {"int_type", "float_type", "bool_type"}
    if isinstance(value, bool | str):
        return bool(kinds & scalars) and kinds <= scalars | {"literal_error"}
    return isinstance(value, int | float) and kinds == {"bool_type"}


def _valid_part(values: dict[str, Any], broken: list[Key], settings: type[S], defaults: Defaults) -> S | None:
    """Settings from what remains without the broken keys, None if that cannot be validated either."""
    rest = copy.deepcopy(values)
    for key in broken:
        _remove(rest, key)
    for key, value in defaults(rest):
        _set_default(rest, key, value)
    try:
        return settings.model_validate(rest)
    except ValidationError:
        return None


def _without_empty_sections(values: Any, settings: type[BaseModel], key: Key) -> Any:
    """Drop `section:` with nothing below it, so that its defaults hold."""
    if not isinstance(values, dict):
        return values
    owners = classes_at(settings, key)
    annotations = {name: field.annotation for owner in owners for name, field in owner.model_fields.items()}
    kept = {}
    for name, value in values.items():
        annotation = annotations.get(name)
        if value is not None or not sections(annotation) or allows_none(annotation):
            kept[name] = _without_empty_sections(value, settings, (*key, name))
    return kept


def _set_default(values: dict[str, Any], key: Key, value: Any) -> None:
    for part in key[:-1]:
        values = values.setdefault(str(part), {})
        if not isinstance(values, dict):
            return
    values.setdefault(str(key[-1]), value)


def _remove(values: Any, key: Key) -> None:
    section = value_at(values, key[:-1])
    if key and isinstance(section, dict):
        section.pop(key[-1], None)


def _touches(keys: Sequence[Key], broken: Sequence[Key]) -> bool:
    return any(key[: len(bad)] == bad or bad[: len(key)] == key for key in keys for bad in broken)


def _contradiction(source: Source, keys: Sequence[Key], sentence: str) -> Problem:
    """The problem stands at the key given last; the sentence ends with where the other keys were given."""
    places = {key: source.places.get(key) for key in keys}
    given = [key for key in keys if places[key] is not None]
    first = given[0] if given else keys[0]
    others = [f"`{dotted(key)}`: {_where(places[key])}" for key in keys if key != first]
    return Problem(source.place(first), first, f"{sentence} ({'; '.join(others)})" if others else sentence)


def _where(place: Place | None) -> str:
    if place is None:
        return "default"
    return f"line {place.line}" if place.line else place.name


def _leaves(values: Any, key: Key) -> dict[Key, Any]:
    if not isinstance(values, dict) or not values:
        return {key: values}
    return {k: v for name, inner in values.items() for k, v in _leaves(inner, (*key, name)).items()}


def _message(source: Source) -> str:
    problems = sorted(dict.fromkeys(source.problems), key=lambda p: (p.place.name == "--set", p.place.line))
    lines = [str(problem) for problem in problems]
    return lines[0] if len(lines) == 1 else "\n  ".join([f"{source.name}: {len(lines)} problems", *lines])
