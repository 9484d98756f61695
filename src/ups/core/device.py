"""Which device a name means."""

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
