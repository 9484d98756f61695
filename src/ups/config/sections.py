"""Settings that belong to a run as a whole, and to no model, stage or data set."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from ups.core.settings import Settings


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
    threads: int | None = Field(default=None, ge=1)
    """CPU threads; torch decides unless given. Bit-identical results need the same number."""
    device: str = "auto"
    """`cpu`, `cuda` or `cuda:1`; `auto` takes a GPU where there is one."""


class RolloutSettings(Settings):
    """How a forecast goes from step to step.

    Good values: `field` is the more accurate; `latent` is faster, and close to it after training with `lambda_latent` 1
    and `rollout_horizon` 2 or more.
    """

    space: Literal["latent", "field"] = "field"
    """`latent` stays in latent space from the first frame on; `field` decodes and encodes again at every step."""


class TTCSettings(Settings):
    """Test-time conditioning: several candidates per step, of which physics chooses.

    Good values: `candidates` 4 to 16; `beam_width` 2 with `horizon` 2 where a greedy choice leads astray.
    """

    enabled: bool = False
    """Scores forecasts with test-time conditioning beside those without it."""
    steps: int = Field(default=1, ge=1)
    """Rollout steps between two choices."""
    candidates: int = Field(default=4, ge=1)
    """Candidates drawn at each choice, besides the unperturbed prediction."""
    beam_width: int = Field(default=1, ge=1)
    """Candidates kept at each choice; 1 is greedy."""
    horizon: int = Field(default=1, ge=1)
    """Choices that are looked ahead before the first of them is settled."""
    max_evaluations: int | None = Field(default=None, ge=1)
    """Largest number of network evaluations per trajectory; null sets no limit."""
    early_stop_margin: float | None = Field(default=None, ge=0)
    """Draws no further candidates once the best leads by this margin in reward; null always draws all."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.beam_width > self.candidates:
            raise ValueError(f"beam_width must be at most candidates = {self.candidates}, found {self.beam_width}")
        return self


class WandbSettings(Settings):
    """The Weights & Biases tracker.

    Good values: `offline` on machines without a network; `wandb sync` uploads later.
    """

    mode: Literal["disabled", "offline", "online"] = "disabled"
    """`offline` writes to the run folder, `online` also uploads."""
    project: str = "ups"
    """Project that the run appears in."""
    entity: str | None = None
    """User or team that owns the project; your own unless given."""
    tags: tuple[str, ...] = ()
    """Labels of the run."""


class TrackingSettings(Settings):
    """Trackers beside the JSONL log, which is always written.

    Good values: none needed; `tensorboard: true` to watch a long run.
    """

    wandb: WandbSettings = WandbSettings()
    """Weights & Biases; needs the extra `wandb`."""
    tensorboard: bool = False
    """Writes TensorBoard event files to the run folder; needs the extra `tensorboard`."""
