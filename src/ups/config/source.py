"""YAML read with a place for every key: plain values, and where in the file or on the command line each one stands.

Scalars follow the core schema of YAML 1.2: `1e-3` is a number, `yes`, `off` and `1:30` are text, and only `true` and
`false` are booleans. A key is the tuple of names and list positions that leads to a value, such as
`("operator", "pdet", "depths", 0)`.

ruamel.yaml (0.19) knows lines and YAML 1.2 too, but it stops at the first key that is given twice, reads `1_000` and
`2020-01-01` as a number and a date, and wraps scalars in classes of its own that would have to be taken off again: of
this file it would save the table of scalars alone.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import yaml

from ups.core.errors import UserError

Key = tuple[str | int, ...]

DEEPEST, MOST, LARGEST = 20, 100_000, 2**63
"""Levels of a config, values in it, and whole numbers: beyond, a file is a mistake (or aliases that multiply)."""

_TAG = "tag:yaml.org,2002:"
_SCALARS = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
}


class _Loader(yaml.SafeLoader):
    """A loader that knows no implicit types but those of `_SCALARS`."""

    yaml_implicit_resolvers: ClassVar = {}


class _Dumper(yaml.SafeDumper):
    """Quotes every text that YAML 1.1 or 1.2 would read as something else."""


def _add_resolvers() -> None:
    for name, (pattern, first) in _SCALARS.items():
        for side in (_Loader, _Dumper):
            side.add_implicit_resolver(_TAG + name, re.compile(rf"(?:{pattern})\Z"), first)


def _represent_list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.Node:
    flat = not any(isinstance(item, dict | list) for item in items)
    return dumper.represent_sequence(_TAG + "seq", items, flow_style=flat)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    breaks = any(character in text for character in "\x85\u2028\u2029\ufeff")
    return dumper.represent_scalar(_TAG + "str", text, style='"' if breaks else None)


_add_resolvers()
_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(list, _represent_list)


@dataclass(frozen=True)
class Place:
    """Where a value was given: a file and its line (from 1), or `--set` (line 0)."""

    name: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.name}:{self.line}" if self.line else self.name


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: `FILE:LINE: key.path: sentence`."""

    place: Place
    key: Key
    sentence: str

    def __str__(self) -> str:
        return f"{self.place}: {dotted(self.key)}: {self.sentence}" if self.key else f"{self.place}: {self.sentence}"


@dataclass
class Source:
    """Values as read, the place of each key, and what was wrong already while reading."""

    name: str
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[Key, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def place(self, key: Key) -> Place:
        """Place of `key`, or of the innermost section around it that was given."""
        for n in range(len(key), 0, -1):
            if key[:n] in self.places:
                return self.places[key[:n]]
        return Place(self.name, 1)

    def problem(self, key: Key, sentence: str) -> None:
        self.problems.append(Problem(self.place(key), key, sentence))


def dotted(key: Key) -> str:
    """`("stages", "operator", "depths", 0)` as a user writes it: `stages.operator.depths[0]`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key).removeprefix(".")


def read_source(path: Path) -> Source:
    """Read a YAML file; raises `UserError` when it is missing, unreadable, not UTF-8, not YAML or not a mapping."""
    source = Source(str(path))
    node = _compose(_read_text(path), str(path))
    if node is None:
        raise UserError(f"{path}: the file is empty, expected a mapping of sections such as `data:` and `stages:`")
    if not isinstance(node, yaml.MappingNode):
        line = node.start_mark.line + 1
        raise UserError(f"{path}:{line}: expected a mapping of sections such as `data:`, found {_kind(node)}")
    source.values = _build(node, (), source)
    return source


def apply_overrides(source: Source, overrides: Sequence[str]) -> None:
    """Set `a.b=value` entries (value in YAML) on top of `source`; what cannot be set is added to its problems."""
    for text in overrides:
        name, equals, value = text.partition("=")
        parts = tuple(part.strip() for part in name.split("."))
        if not equals or not all(parts) or len(parts) > DEEPEST:
            source.problems.append(Problem(Place("--set"), (), f"expected `section.key=value`, found {quoted(text)}"))
            continue
        try:
            _set(source, parts, _compose(value, name))
        except UserError as error:
            source.problems.append(Problem(Place("--set"), parts, str(error).split(": ", 1)[1]))


def to_yaml(values: dict[str, Any]) -> str:
    """YAML text of plain values, in the order given, that reads back to the same values."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=120)


def _read_text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: expected a YAML file, found a directory") from None
    except (OSError, ValueError) as error:  # a ValueError for a NUL in the path
        raise UserError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: expected UTF-8 text, found the byte 0x{raw[error.start]:02x}") from None


def _compose(text: str, name: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        hint = "; YAML is indented with spaces, not tabs" if "'\\t'" in str(error.problem) else ""
        raise UserError(f"{name}:{line}: not valid YAML: {error.problem or error.context}{hint}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UserError(f"{name}:{line}: not valid YAML: a control character is not allowed") from None
    except RecursionError:
        raise UserError(f"{name}: values are nested too deeply") from None


def _build(node: yaml.Node, key: Key, source: Source) -> Any:
    if len(key) > DEEPEST:
        raise UserError(f"{source.name}: values are nested too deeply or contain themselves")
    if len(source.places) > MOST:
        raise UserError(f"{source.name}: more than {MOST:,} values")
    if isinstance(node, yaml.MappingNode):
        return _build_mapping(node, key, source)
    if isinstance(node, yaml.SequenceNode):
        items = []
        for i, item in enumerate(node.value):
            source.places[*key, i] = Place(source.name, item.start_mark.line + 1)
            items.append(_build(item, (*key, i), source))
        return items
    try:
        value = _scalar(node)
    except ValueError:
        source.problem(key, f"cannot read {quoted(node.value)} as {node.tag.replace(_TAG, '!!')}")
        return None
    if isinstance(value, float) and not math.isfinite(value):
        source.problem(key, f"expected a finite number, found {shortened(node.value)}")
    elif isinstance(value, int) and abs(value) >= LARGEST:
        source.problem(key, f"expected a whole number below 2^63, found {shortened(node.value)}")
    elif isinstance(value, str) and "\0" in value:
        source.problem(key, f"no text here may hold the character NUL, found {quoted(value)}")
    else:
        return value
    return None


def _build_mapping(node: yaml.MappingNode, key: Key, source: Source) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name_node, value_node in node.value:
        place = Place(source.name, name_node.start_mark.line + 1)
        if name_node.tag != _TAG + "str":
            source.problems.append(Problem(place, key, f"a key must be text, found {_kind(name_node)}"))
            continue
        name = (*key, name_node.value)
        if name_node.value in values:
            sentence = f"given twice, first in line {source.places[name].line}"
            source.problems.append(Problem(place, name, sentence))
            continue
        source.places[name] = place
        values[name_node.value] = _build(value_node, name, source)
    return values


def _scalar(node: yaml.Node) -> Any:
    kind, text = node.tag.removeprefix(_TAG), node.value
    if kind == "str":
        return text
    if kind == "null":
        return None
    if kind == "bool" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind == "int":
        return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
    if kind == "float":
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    raise ValueError(text)


def shortened(text: str) -> str:
    """A text as it is named in a message: printable, and at most 60 characters of it."""
    plain = text.encode("unicode_escape").decode() if not text.isprintable() else text
    return plain if len(plain) <= 60 else f"{plain[:57]}..."


def quoted(text: str) -> str:
    """The same between backquotes."""
    return f"`{shortened(text)}`"


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return "a mapping" if isinstance(node, yaml.MappingNode) else quoted(node.value)


def _set(source: Source, parts: tuple[str, ...], node: yaml.Node | None) -> None:
    section = source.values
    for n, part in enumerate(parts[:-1], start=1):
        inner = section.get(part)
        if inner is None:
            inner = section[part] = {}
            source.places[parts[:n]] = Place("--set")
        if not isinstance(inner, dict):
            sentence = f"cannot be set, because {dotted(parts[:n])} is not a section; set that as a whole"
            source.problems.append(Problem(Place("--set"), parts, sentence))
            return
        section = inner
    for key in [key for key in source.places if key[: len(parts)] == parts]:
        del source.places[key]
    given = Source("--set")
    given.places[parts] = Place("--set")
    section[parts[-1]] = None if node is None else _build(node, parts, given)
    source.places.update({key: Place("--set") for key in given.places})
    source.problems.extend(Problem(Place("--set"), problem.key, problem.sentence) for problem in given.problems)
