"""Depthwise convolutions whose taps get their gradient quickly on CPUs.

oneDNN has a kernel for that gradient with up to `COLUMNS` taps along the last axis; beyond, it takes the one of grouped
convolutions, which is ten times as slow. So wider stencils get it a few columns at a time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

COLUMNS = 3


def depthwise(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Fields (B, D, H + h - 1, W + w - 1), taps (D, 1, h, w) and offsets (D,) -> (B, D, H, W), each channel for
    itself."""
    if x.device.type == "cpu" and weight.shape[-1] > COLUMNS and not torch.is_autocast_enabled("cpu"):
        return _Depthwise.apply(x, weight, bias)  # pyright: ignore[reportReturnType]
    return F.conv2d(x, weight, bias, groups=len(weight))


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, weight = ctx.saved_tensors
        of_x, of_taps, of_bias = ctx.needs_input_grad
        taps = [
            _gradients(grad, x.narrow(-1, first, grad.shape[-1] + part.shape[-1] - 1), part, (False, True, False))[1]
            for first, part in zip(range(0, weight.shape[-1], COLUMNS), weight.split(COLUMNS, -1), strict=True)
            if of_taps
        ]
        return (
            _gradients(grad, x, weight, (True, False, False))[0] if of_x else None,
            torch.cat(taps, -1) if of_taps else None,
            grad.sum((0, 2, 3)) if of_bias else None,
        )


def _gradients(grad: Tensor, x: Tensor, weight: Tensor, wanted: tuple[bool, bool, bool]) -> tuple[Tensor, ...]:
    """Of x, the taps and the offsets."""
    return torch.ops.aten.convolution_backward(
        grad, x, weight, None, (1, 1), (0, 0), (1, 1), False, (0, 0), len(weight), wanted
    )
