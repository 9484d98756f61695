"""A GPU that is not there: tensors of the CPU that count as those of `cuda:0`, and refuse what a GPU would refuse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

GPU = torch.device("cuda:0")
CROSSING = {"copy_", "to", "type_as", "__getitem__", "__setitem__", "_has_compatible_shallow_copy_type"}
"""What takes tensors of both: indices may lie on the CPU."""


class OnGpu(Tensor):
    """A tensor that counts as one of the GPU."""


class PretendGpu(TorchFunctionMode):
    """Lets `device=cuda:0` make tensors of type `OnGpu`, and operations on these too; raises RuntimeError where one
    meets a tensor of the CPU with axes, and TypeError where numpy is to read one."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = dict(kwargs or {}), getattr(func, "__name__", "")
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        there = any(isinstance(x, OnGpu) for x in tensors)
        if func == Tensor.device.__get__:  # pyright: ignore[reportAttributeAccessIssue]
            return GPU if there else torch.device("cpu")
        if name in ("numpy", "__array__") and there:
            raise TypeError("can't convert a tensor of the GPU to numpy: use .cpu() first")
        if there and name not in CROSSING and any(x.ndim and not isinstance(x, OnGpu) for x in tensors):
            raise RuntimeError(f"{name}: tensors on the GPU and on the CPU: {[type(x).__name__ for x in tensors]}")
        target, args, kwargs = _target(name, args, kwargs)
        if name == "cpu":
            target = "cpu"
        there = there if target is None else target == "cuda"
        with torch._C.DisableTorchFunction():
            result = func(*args, **kwargs)
        if isinstance(result, Tensor) and args and result is args[0] and isinstance(result, OnGpu) == there:
            return result
        return tree_map_only(Tensor, lambda x: x.as_subclass(OnGpu) if there else x.as_subclass(Tensor), result)


def _target(name: str, args: Any, kwargs: dict[str, Any]) -> tuple[str | None, Any, dict[str, Any]]:
    """The type of the device that a call asks for, None if it asks for none, and the call on the CPU."""
    found = None
    if "device" in kwargs and kwargs["device"] is not None:
        found = torch.device(kwargs["device"]).type
        kwargs = {**kwargs, "device": "cpu"}
    if name == "to":
        first = args[1] if len(args) > 1 else None
        if isinstance(first, Tensor):
            found = "cuda" if isinstance(first, OnGpu) else "cpu"
        elif isinstance(first, str | torch.device):
            found = torch.device(first).type
            args = (args[0], "cpu", *args[2:])
    return found, args, kwargs


@contextmanager
def pretend_gpu() -> Iterator[torch.device]:
    """The device, while it lasts."""
    generator, load = torch.Generator, torch.load

    def loaded(path: Any, map_location: Any = "cpu", **options: Any) -> Any:
        return tree_map_only(Tensor, lambda x: x.to(map_location), load(path, map_location="cpu", **options))

    with pytest.MonkeyPatch.context() as patch, PretendGpu():
        patch.setattr(torch, "Generator", lambda device="cpu": generator("cpu"))
        patch.setattr(torch, "load", loaded)
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        try:
            yield GPU
        finally:
            torch.__future__.set_overwrite_module_params_on_conversion(False)
