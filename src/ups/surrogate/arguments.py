"""What users hand to a surrogate, checked before anything is computed: arrays, PDE parameters, whole numbers.

Notation as in `ups.core.system`; B is the number of initial states.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.masked import MaskedTensor

from ups.core.errors import ForecastWarning, UserError
from ups.core.system import System

Params = Tensor | np.ndarray | Sequence[float] | Sequence[Sequence[float]] | Mapping[str, Any]
LARGEST_SEED = 2**63 - 1
MOST_EVALUATIONS = 1000
"""More sampling steps than this change nothing but the time."""


def whole_number(value: Any, name: str, low: int = 1, high: int | None = None) -> int:
    """`value` as a Python integer; raises UserError unless it is a whole number from `low` to `high`."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < low or (high is not None and number > high):
        bounds = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise UserError(f"{name} must be a whole number {bounds}, found {_shown(value)}")
    return number


def real_numbers(values: Any, what: str) -> Tensor:
    """Any real array, whatever its type, byte order and strides, as a float32 tensor of its own on its device.

    Raises:
        UserError: The values are complex, masked, sparse, quantised, none at all, not finite in float32, or no array
            of numbers.
    """
    found = _from_tensor(values, what) if isinstance(values, Tensor) else _from_array(values, what)
    if not found.numel():
        raise UserError(f"{what} hold no numbers: found shape {tuple(found.shape)}")
    if not torch.isfinite(found).all():
        raise UserError(f"{what} must be finite in single precision, found NaN, infinity or numbers beyond 3.4e38")
    return found


def initial_states(u0: Any, system: System) -> Tensor:
    """Initial states of shape (B, C, *S), (C, *S), (B, *S) with one channel, or (*S), as (B, C, *S) float32.

    Raises:
        UserError: As in `real_numbers`, or the shape does not fit the system.
    """
    u = real_numbers(u0, "initial states")
    expected = (len(system.channels), *system.shape)
    if tuple(u.shape) == expected or (expected[0] == 1 and tuple(u.shape) == expected[1:]):
        return u.reshape(1, *expected)
    if expected[0] == 1 and tuple(u.shape[1:]) == expected[1:]:
        return u.unsqueeze(1)
    if tuple(u.shape[1:]) != expected:
        sizes = ", ".join(map(str, expected))
        raise UserError(f"initial states must have shape (B, {sizes}), found {tuple(u.shape)}")
    return u


def conditions(params: Params | None, system: System, mean: Tensor, count: int) -> Tensor:
    """PDE parameters of `count` states as (B, P) on the device of `mean` (P,), which stands for what is not given.

    Warns of a mean that stands for values that vary, and of values outside the trained range.

    Args:
        params: (B, P) or (P,) in the order of `system.param_names`, or by name, one value for all or one a state.
        system: Names and ranges of the parameters.
        mean: Of the training data.
        count: Number of states B.

    Raises:
        UserError: A name, a shape or a value does not fit.
    """
    if params is None:
        _warn_of_mean(system, mean)
        return mean.expand(count, -1)
    names = system.param_names
    if isinstance(params, Mapping):
        if set(params) != set(names):
            found = ", ".join(map(str, params)) or "nothing"
            raise UserError(f"params must name {', '.join(names) or 'nothing'}, found {found}")
        columns = [_column(params[name], name, count) for name in names]
        values = torch.stack(columns, 1) if columns else torch.zeros(count, 0)
    else:
        values = real_numbers(params, "params") if names else torch.zeros(np.shape(params))
    if tuple(values.shape) not in ((len(names),), (count, len(names))):
        order = f" in the order {', '.join(names)}" if names else ""
        raise UserError(
            f"params must have shape ({count}, {len(names)}) or ({len(names)},){order}, found {tuple(values.shape)}"
        )
    values = values.to(mean.device).expand(count, -1)
    _warn_of_range(values, system)
    return values


def outside_range(values: Tensor, system: System) -> list[str]:
    """A sentence for each parameter (B, P) that leaves its trained range by more than rounding."""
    found = []
    for name, column, (low, high) in zip(system.param_names, values.T, system.param_range, strict=False):
        slack = 1e-6 * max(abs(low), abs(high))
        beyond = column[(column < low - slack) | (column > high + slack)]
        if len(beyond):
            where = f"the trained range {low:g} to {high:g}" if low < high else f"the one trained value {low:g}"
            found.append(f"{name} = {float(beyond[0]):g} lies outside {where}")
    return found


def _warn_of_range(values: Tensor, system: System) -> None:
    for sentence in outside_range(values, system):
        _warn(f"{sentence}; nothing is known of the error there")


def _warn_of_mean(system: System, mean: Tensor) -> None:
    varied = [low < high for low, high in system.param_range] or [True] * len(system.param_names)
    if any(varied):
        named = (f"{name} = {value:g}" for name, value in zip(system.param_names, mean.tolist(), strict=True))
        _warn(f"no params given: {', '.join(named)} assumed, the training mean")


def _warn(sentence: str) -> None:
    """Warns at the line that called `Surrogate.rollout` or `Surrogate.steady`."""
    warnings.warn(sentence, ForecastWarning, stacklevel=7)


def _column(value: Any, name: str, count: int) -> Tensor:
    """One parameter of `count` states, (B,)."""
    found = real_numbers(value, f"values of parameter {name}")
    if tuple(found.shape) not in ((), (1,), (count,)):
        raise UserError(
            f"parameter {name} takes one value, or one for each of {count} states, found shape {tuple(found.shape)}"
        )
    return found.cpu().expand(count)


def _from_tensor(values: Tensor, what: str) -> Tensor:
    kind, cure = "", ""
    if isinstance(values, MaskedTensor):
        kind, cure = "a masked tensor", "fill the gaps and hand over .to_tensor(fill)"
    elif values.is_nested or values.layout != torch.strided:
        kind, cure = "a sparse or nested tensor", "hand over .to_dense()"
    elif values.is_quantized:
        kind, cure = "a quantised tensor", "hand over .dequantize()"
    elif values.is_complex():
        kind, cure = "complex numbers", "hand over real and imaginary part as two channels"
    elif values.is_meta:
        kind, cure = "a tensor without values (device meta)", "load its values first"
    if kind:
        raise UserError(f"{what}: real numbers expected, found {kind}; {cure}")
    return values.detach().to(torch.float32)


def _from_array(values: Any, what: str) -> Tensor:
    parts = values if isinstance(values, list | tuple) else [values]
    if any(isinstance(part, np.ma.MaskedArray) and np.ma.is_masked(part) for part in parts):
        raise UserError(f"{what}: a value at every point expected, found a masked array; fill its gaps (.filled)")
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"{what}: an array of numbers expected, found {_shown(values)} ({error})") from error
    if array.dtype.kind == "c":
        cure = "hand over real and imaginary part as two channels"
        raise UserError(f"{what}: real numbers expected, found {array.dtype}; {cure}")
    if array.dtype.kind not in "fiub":
        raise UserError(f"{what}: an array of numbers expected, found {_shown(values)}")
    with np.errstate(over="ignore"):  # beyond float32 becomes infinity, which is refused
        return torch.from_numpy(np.array(array, np.float32, order="C"))


def _shown(value: Any) -> str:
    """A value as a sentence shows it: briefly."""
    text = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else repr(value)
    return text if len(text) <= 40 else f"a {type(value).__name__}"
