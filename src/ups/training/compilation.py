"""torch.compile, tried on one batch before training begins.

Which graphs a compiler can take depends on the machine (no C++ compiler, dtypes that it knows or not), and a model is
only compiled when it first sees a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import nn
from torch._dynamo.exc import TorchDynamoException

from ups.core.errors import UserError


def compile_if_possible(model: nn.Module, mode: str, gradients: Callable[[], None]) -> str:
    """Compiles a model in place; where the compiler fails on a batch, the model is left as it is.

    Args:
        model: Compiled in place.
        mode: Mode of torch.compile.
        gradients: Forward and backward of a batch.

    Returns:
        A sentence for the user about a compiler that failed; nothing where it did not.
    """
    model.compile(mode=mode)
    try:
        gradients()
    except TorchDynamoException as error:
        model._compiled_call_impl = None
        return f"training.compile: the compiler failed ({_first_line(error)}), so training goes on without it"
    finally:
        model.zero_grad(set_to_none=True)
    return ""


@contextmanager
def compiler_errors(stage: str) -> Iterator[None]:
    """What the compiler fails on later, such as a longer rollout, is one sentence: what is trained so far is kept."""
    try:
        yield
    except TorchDynamoException as error:
        raise UserError(
            f"stage {stage}: training.compile: the compiler failed ({_first_line(error)}); "
            "start afresh with training.compile=false"
        ) from error


def _first_line(error: Exception) -> str:
    """What an error, or the compiler's own that it wraps, says in its first line."""
    inner = getattr(error, "inner_exception", error)
    lines = [line.strip() for line in str(inner).splitlines() if line.strip()]
    return lines[0][:120] if lines else type(inner).__name__
