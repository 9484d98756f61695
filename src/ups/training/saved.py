"""What checkpoints hold, as typed records, and the door through which they are read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, TypeVar

import torch
from pydantic import AfterValidator, ConfigDict, Field, JsonValue, field_validator
from torch import Tensor

from ups.core.record import Record, record_of
from ups.training import checkpoint
from ups.training.tally import Tally


def _whole(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state whose tensors are as large in memory as they say. Raises ValueError where one only declares its size."""
    for name, tensor in state.items():
        if tensor.layout is not torch.strided or tensor.untyped_storage().nbytes() < tensor.nbytes:
            raise ValueError(f"state.{name} declares more numbers than the file holds")
    return state


State = Annotated[dict[str, Tensor], AfterValidator(_whole)]
"""Names of weights and buffers, and their values."""


class Saved(Record):
    """The weights of a stage, with what each of them says of itself; what else the file holds is left out."""

    model_config = ConfigDict(extra="ignore", arbitrary_types_allowed=True)

    kind: str
    """The stage."""
    fingerprint: dict[str, JsonValue]
    """Dotted names and plain values of what decided what was learnt."""
    train_seconds: float = Field(ge=0)
    finished: bool = False
    """Whether the stage has come to its end."""
    state: State

    @property
    def bytes(self) -> int:
        """Memory that the weights take."""
        return sum(tensor.nbytes for tensor in self.state.values())


class Resume(Record):
    """All that a stage goes on from."""

    model_config = ConfigDict(extra="ignore", arbitrary_types_allowed=True, allow_inf_nan=True)

    fingerprint: dict[str, JsonValue]
    state: State
    average: State | None
    optimizers: list[dict[str, Any]]
    scaler: dict[str, Any]
    tally: Tally

    @field_validator("tally", mode="before")
    @classmethod
    def _complete(cls, tally: Any) -> Any:
        missing = [field.name for field in fields(Tally) if isinstance(tally, Mapping) and field.name not in tally]
        if missing:
            raise ValueError(f"tally.{missing[0]} is missing")
        return tally


T = TypeVar("T", Saved, Resume)


def read(kind: type[T], path: Path, again: str, device: torch.device | str = "cpu") -> T:
    """A checkpoint as a record.

    Args:
        kind: What it should be.
        path: The file.
        again: What the user can do where it is no such file, such as "run `ups train ...`".
        device: Where its tensors go.

    Raises:
        UserError: It is missing, damaged, foreign, or lacks something; the sentence names it.
    """
    return record_of(kind, checkpoint.load(path, device), path, again)
