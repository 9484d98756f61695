"""Checkpoints: written whole or not at all, loaded without running code, and sure of what they belong to."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ups.core.errors import UserError
from ups.core.files import replacing

FORMAT = 4
"""Grows whenever weights of the same names and shapes come to mean another model."""


def save(payload: Mapping[str, Any], path: Path) -> None:
    """Writes to a temporary file, syncs and renames, so a reader or a crash never meets half a checkpoint."""
    with replacing(path, "checkpoint") as part:
        try:
            torch.save({"format": FORMAT, **payload}, part)
        except RuntimeError as error:  # how torch reports a full disk
            raise OSError(_reason(error)) from error


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).strip().splitlines() or ["the file ends too early"])[0]


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Reads a checkpoint with `weights_only=True`: tensors, numbers, strings, lists and dicts, never code."""
    try:
        payload = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"no checkpoint at {path}") from error
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} holds more than tensors and plain values, so it is not loaded: it could run code"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise UserError(f"{path} is not a readable checkpoint (truncated or foreign): {_reason(error)}") from error
    if not isinstance(payload, dict) or payload.get("format") != FORMAT:
        found = payload.get("format") if isinstance(payload, dict) else type(payload).__name__
        if found in range(1, FORMAT):
            raise UserError(
                f"{path} was written by an earlier version of this program: expected format {FORMAT}, found {found}; "
                "train again in another run.dir"
            )
        raise UserError(f"{path} is not a checkpoint of this program: expected format {FORMAT}, found {found}")
    return payload


def strip_compiled_prefix(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """State keys without the `_orig_mod.` that torch.compile(model) puts before them."""
    return {key.removeprefix("_orig_mod."): value for key, value in state.items()}


def load_state(model: torch.nn.Module, state: Mapping[str, torch.Tensor], path: Path) -> None:
    """Loads the state of a checkpoint into the model; shapes or names that do not fit are one sentence."""
    try:
        model.load_state_dict(strip_compiled_prefix(state))
    except RuntimeError as error:
        detail = str(error).strip().splitlines()[-1].strip()
        raise UserError(f"the checkpoint {path} does not fit the model of this config: {detail}") from error


def digest(model: torch.nn.Module) -> str:
    """A hash of all weights and buffers of a model."""
    return digest_of(model.state_dict())


def digest_of(state: Mapping[str, torch.Tensor]) -> str:
    """A hash of a state."""
    sha = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        sha.update(name.encode())
        sha.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()[:16]
