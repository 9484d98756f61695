"""Which device a name means, and the name of a device."""

import torch

from ups.core.errors import UserError


def device_of(name: str) -> torch.device:
    """The device of `run.device`; `auto` takes a GPU where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"run.device: {name} is not available here ({str(error).splitlines()[0]})") from error
    return device


def device_name(device: torch.device) -> str:
    """`cpu`, or the product name of a GPU, such as `NVIDIA H200`."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
