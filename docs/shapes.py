"""Keeps the `*S` of shapes such as (B, C, *S) in docstrings from being read as emphasis in the Python reference."""

import re
from typing import Any

import griffe


class Shapes(griffe.Extension):
    """Escapes an asterisk before a capital letter, except in code: between backticks, or an indented line of shapes."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called for everything that has a docstring."""
        if obj.docstring:
            obj.docstring.value = re.sub(
                r"(?m)`[^`]*`|^ {4}\(.*$|\*(?=[A-Z])", lambda m: m[0] if m[0] != "*" else r"\*", obj.docstring.value
            )
