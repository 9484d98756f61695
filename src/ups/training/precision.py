"""Automatic mixed precision: which dtype a device computes natively, and loss scaling where it is needed."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def native_bf16(device: torch.device) -> bool:
    """Whether bf16 is computed by the hardware rather than emulated."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
    return False


class Precision:
    """Autocast and gradient scaling for one device.

    Args:
        amp: `training.amp`.
        device: Where training runs.

    Attributes:
        note: A sentence for the user where the request is not followed, or empty.
    """

    def __init__(self, amp: bool | str, device: torch.device):
        self.device, self.note = device, ""
        self.dtype: torch.dtype | None = None
        if amp == "bf16" or (amp is True and native_bf16(device)):
            self.dtype = torch.bfloat16
        elif amp == "fp16" and device.type == "cuda":
            self.dtype = torch.float16
        elif amp:
            wanted = "fp16" if amp == "fp16" else "bf16"
            self.note = f"training.amp: this {device.type} has no native {wanted}, so training uses float32"
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype == torch.float16)

    def autocast(self) -> AbstractContextManager:
        """The context of a forward pass."""
        return torch.autocast(self.device.type, self.dtype) if self.dtype else nullcontext()
