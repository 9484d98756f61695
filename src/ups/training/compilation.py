"""torch.compile with a way back: where the compiler fails on a graph, the model is run as it is.

Graphs are compiled when they are first met, in the midst of a step, and which of them a compiler can take depends on
the machine (no C++ compiler, dtypes that it knows or not). No training should end by that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch._dynamo.exc import TorchDynamoException


class Compilation:
    """A model that is compiled unless the compiler fails.

    Args:
        model: Compiled in place.
        mode: Mode of torch.compile, or None to leave the model as it is.
    """

    def __init__(self, model: nn.Module, mode: str | None):
        self.model, self.active, self.note = model, mode is not None, ""
        if self.active:
            model.compile(mode=mode)

    def attempt(self, work: Callable[[], None], *counters: dict[str, Any]) -> None:
        """Does a step of training, and again without compilation where the compiler fails.

        Args:
            work: The step: gradients are accumulated before anything else of it lasts.
            counters: What it adds up; set back before it is done again.
        """
        if not self.active:
            return work()
        before = [dict(counter) for counter in counters]
        try:
            work()
        except TorchDynamoException as error:
            self.active = False
            self.note = f"training.compile: the compiler failed ({_first_line(error)}), so training goes on without it"
            self.model._compiled_call_impl = None
            self.model.zero_grad(set_to_none=True)
            for counter, values in zip(counters, before, strict=True):
                counter.clear()
                counter.update(values)
            work()

    def told(self) -> str:
        """The sentence for the user about a compiler that failed, once; else nothing."""
        note, self.note = self.note, ""
        return note


def _first_line(error: Exception) -> str:
    """What an error, or the compiler's own that it wraps, says in its first line."""
    inner = getattr(error, "inner_exception", error)
    lines = [line.strip() for line in str(inner).splitlines() if line.strip()]
    return lines[0][:120] if lines else type(inner).__name__
