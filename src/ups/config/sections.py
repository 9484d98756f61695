"""Settings that belong to a run as a whole, and to no model, stage or data set."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from ups.core.settings import Settings
from ups.tracking.wandb_client import LONGEST


class RunSettings(Settings):
    """Where a run lives and what it computes on.

    Good values: `threads` at the number of physical cores, or 1 for several runs beside each other.
    """

    dir: Path = Path("runs/default")
    """Folder of checkpoints, logs and reports; a config file without it gets `runs/<name of the file>`."""
    source: str = ""
    """The file that the config was read from, for commands named in messages; fills itself in."""
    seed: int = Field(default=0, ge=0)
    """Fixes initial weights, the order of the data and all sampling."""
    threads: int | None = Field(default=None, ge=1, le=1024)
    """CPU threads; unless given as many as there are idle processors when the run begins, at most `OMP_NUM_THREADS`.
    Bit-identical results need the same number, with which a run that was stopped goes on."""
    device: str = "auto"
    """`cpu`, `cuda` or `cuda:1`; `auto` takes a GPU where there is one."""


class RolloutSettings(Settings):
    """How a forecast goes from step to step.

    Good values: `field` is the more accurate; `latent` is faster, and close to it after training with `lambda_latent` 1
    and `rollout_horizon` 2 or more.
    """

    space: Literal["latent", "field"] = "field"
    """`latent` stays in latent space from the first frame on; `field` decodes and encodes again at every step."""


class WandbSettings(Settings):
    """The Weights & Biases tracker.

    Good values: `offline` on machines without a network; `wandb sync` uploads later.
    """

    mode: Literal["disabled", "offline", "online"] = "disabled"
    """`offline` writes to the run folder, `online` also uploads. The environment variable `WANDB_MODE` goes before
    this setting."""
    project: str = "ups"
    """Project that the run appears in."""
    entity: str | None = None
    """User or team that owns the project; your own unless given."""
    tags: tuple[str, ...] = ()
    """Labels of the run."""
    finish_seconds: float = Field(default=60.0, gt=0, le=LONGEST)
    """What the end of an online run may wait for uploads; a warning then names the folder for `wandb sync`, which
    uploads the rest. A run that ends with an error waits 30 s at most."""


class TrackingSettings(Settings):
    """Trackers beside the JSONL log, which is always written.

    Good values: none needed; `tensorboard: true` to watch a long run.
    """

    wandb: WandbSettings = WandbSettings()
    """Weights & Biases; needs the extra `wandb`."""
    tensorboard: bool = False
    """Writes TensorBoard event files to the run folder; needs the extra `tensorboard`."""
