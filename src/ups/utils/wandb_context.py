"""`ups.tracking.wandb_context` under the name of the original description."""

from ups.tracking.wandb_context import (
    CONTEXT_VARIABLE,
    WandBContext,
    load_wandb_context,
    open_wandb_context,
    save_wandb_context,
)

__all__ = ["CONTEXT_VARIABLE", "WandBContext", "load_wandb_context", "open_wandb_context", "save_wandb_context"]
