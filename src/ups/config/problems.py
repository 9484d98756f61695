"""Validation errors of pydantic as sentences: what was expected, what was found, and the nearest name that exists."""

import difflib
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from ups.config.schema import classes_at, fields
from ups.config.source import Key, Source, dotted, quoted

_EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "tuple": "a list",
    "dict": "a mapping",
    "mapping": "a mapping",
    "model": "a mapping",
    "path": "a path",
    "none": "null",
    "finite": "a finite number",
}


def add_problems(
    source: Source,
    error: ValidationError,
    settings: type[BaseModel],
    *,
    only: Callable[[Any, set[str]], bool] = lambda value, kinds: True,
    known: Sequence[Key] = (),
) -> list[Key]:
    """Add a sentence for each key that failed to `source.problems`; returns those keys.

    `only` filters by the value found and the kinds of error at its key; `known` keys are left out.
    """
    added = []
    for key, details in _by_key(error, source.values).items():
        if key in known or not only(value_at(source.values, key), {detail["type"] for detail in details}):
            continue
        added.append(key)
        if not any(other.key == key and other.place == source.place(key) for other in source.problems):
            for sentence in _sentence(key, details, source.values, settings).splitlines():
                source.problem(_named_field(key, sentence, settings), sentence)
    return added


def _by_key(error: ValidationError, values: Any) -> dict[Key, list[Any]]:
    """Errors by the key they are about; of the branches of a union, those that fit the data furthest."""
    grouped: dict[Key, list[Any]] = defaultdict(list)
    in_union: dict[Key, bool] = {}
    for detail in error.errors(include_url=False):
        key, branched = _real_key(detail["loc"], values, detail["type"])
        grouped[key].append(detail)
        in_union[key] = in_union.get(key, True) and branched

    def outdone(key: Key) -> bool:
        return in_union[key] and any(in_union[k] and len(k) > len(key) and k[: len(key)] == key for k in grouped)

    return {key: details for key, details in grouped.items() if not outdone(key)}


def value_at(values: Any, key: Key) -> Any:
    """The value `key` leads to, None where nothing was given."""
    for part in key:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return None
    return values


def describe(value: Any) -> str:
    """A value as it is named in a message: "the text `3`", "a list of 2"."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {quoted(value)}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return f"a mapping with the keys {', '.join(value) or '(none)'}" if isinstance(value, dict) else f"{value}"


def _real_key(loc: tuple[Any, ...], values: Any, kind: str) -> tuple[Key, bool]:
    """The part of a pydantic location that exists in the data; True if it also names branches of a union."""
    key: list[str | int] = []
    branched = False
    for i, part in enumerate(loc):
        inside = isinstance(values, dict) and part in values
        inside = inside or (isinstance(values, list) and isinstance(part, int) and part < len(values))
        if inside:
            key.append(part)
            values = values[part]
        elif kind == "missing" and i == len(loc) - 1:
            key.append(part)
        else:
            branched = True
    return tuple(key), branched


def _named_field(key: Key, sentence: str, settings: type[BaseModel]) -> Key:
    """The field that the sentence of a section's own check begins with, the section itself otherwise."""
    name = sentence.split(" ", 1)[0]
    known = any(name in section.model_fields for section in classes_at(settings, key))
    return (*key, name) if known else key


def _sentence(key: Key, details: list[Any], values: Any, settings: type[BaseModel]) -> str:
    kinds = [detail["type"] for detail in details]
    if "extra_forbidden" in kinds:
        return _unknown(key, settings)
    if "missing" in kinds:
        return "is required, but was not given"
    if "value_error" in kinds or "assertion_error" in kinds:
        text = next(d["msg"] for d in details if d["type"] in ("value_error", "assertion_error"))
        return text.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    value = value_at(values, key)
    expected = list(dict.fromkeys(_expected(detail) for detail in details))
    return f"expected {' or '.join(expected)}, found {describe(value)}{_hint(details, value)}"


def _expected(detail: Any) -> str:
    kind, text = detail["type"], detail["msg"]
    if kind == "literal_error":
        return "one of " + detail["ctx"]["expected"].replace("'", "`").replace(" or ", ", ")
    for name, expected in _EXPECTED.items():
        if kind.startswith(name + "_") and (kind.endswith(("_type", "_parsing", "_number", "_from_float", "required"))):
            return expected
    text = text[0].lower() + text[1:]
    return text.removeprefix("input should be ").removeprefix("input should have ").replace("valid ", "", 1)


def _hint(details: list[Any], value: Any) -> str:
    kinds = {detail["type"].split("_")[0] for detail in details}
    if "literal" in kinds and isinstance(value, str):
        expected = " ".join(detail.get("ctx", {}).get("expected", "") for detail in details)
        near = difflib.get_close_matches(value.lower(), re.findall("'([^']*)'", expected), 1, 0.6)
        return f"; did you mean `{near[0]}`?" if near else ""
    if isinstance(value, str) and kinds & {"int", "float", "bool"} and _reads_as_number(value):
        return "; leave out the quotes"
    if "string" in kinds and isinstance(value, int | float):
        return "; put it in quotes"
    return ""


def _reads_as_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text in ("true", "false")
    return True


def _unknown(key: Key, settings: type[BaseModel]) -> str:
    name = str(key[-1])
    here = [field for section in classes_at(settings, key[:-1]) for field in section.model_fields]
    elsewhere = [other for other, _ in fields(settings) if other[-1] == name]
    elsewhere.sort(key=lambda other: other[0] != key[0])
    near = difflib.get_close_matches(name.lower().replace("-", "_"), here, 1, 0.8 if elsewhere else 0.6)
    advice = [f"did you mean `{dotted((*key[:-1], near[0]))}`?"] if near else []
    if elsewhere:
        places = [f"`{dotted(other)}`" for other in dict.fromkeys(elsewhere)]
        more = f" and {len(places) - 4} more" if len(places) > 4 else ""
        advice.append(f"there is {', '.join(places[:4])}{more}")
    if not advice:
        advice.append(f"known here: {', '.join(here)}")
    return f"unknown key; {'; '.join(advice)}"
