"""The base of every settings class: strict about keys and types, frozen, documented field by field."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Typed settings that live beside the code they set; `ups.config` composes them into one `Config`."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True)
