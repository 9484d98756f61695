"""The base of every settings class: strict about keys and types, frozen, documented field by field."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Typed settings that live beside the code they set; `ups.config` composes them into one `Config`."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True)


def require_all(problems: Mapping[str, bool]) -> None:
    """Raises ValueError with every sentence that applies, one a line: a validator can raise but once.

    Args:
        problems: Sentences, and whether each is true; one that begins with the name of a field is told at this field.
    """
    if found := [sentence for sentence, applies in problems.items() if applies]:
        raise ValueError("\n".join(found))
