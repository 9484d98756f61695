"""Settings of an evaluation: what is rolled out, how often it is sampled, and how much of it is kept."""

from typing import Annotated

from pydantic import Field

from ups.core.settings import Settings
from ups.peers.settings import PeerName


class EvaluationSettings(Settings):
    """How models are scored on the test split after training.

    Good values: 16 members, context 1; `also_context: [10]` adds PDEBench's protocol; 32 trajectories for a quick look.
    """

    enabled: bool = True
    """Evaluates after training: `ups run`, `ups orchestrate`, and `scripts/train.py` with all stages."""
    baselines: tuple[PeerName, ...] = ()
    """Other models that are trained on the same data for as long as everything that the operator uses, one row each:
    `fno` the Fourier neural operator (needs the extra `bench`), `unet` a U-Net, `convnext` one of
    ConvNeXt blocks. Each adds the time of the training to a run."""
    context: int = Field(default=1, ge=1)
    """Given frames at the start of every trajectory: the free rollout starts from the last, none of them is scored."""
    also_context: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Further free rollouts with so many given frames; 10 is PDEBench's protocol."""
    members: int = Field(default=16, ge=1, le=100_000)
    """Ensemble members of every model that samples."""
    one_step_members: int | None = Field(default=None, ge=1, le=100_000)
    """Ensemble members of the one-step forecasts, which cost as much as the rollout; `members` unless given."""
    batch: int = Field(default=64, ge=1, le=1_000_000)
    """Trajectories scored at once, and states in a network call, members counted: the time per step of every row is
    measured at this size."""
    trajectories: int | None = Field(default=None, ge=1)
    """Scored trajectories, the first of the split; all unless given."""
    store: int | None = Field(default=16, ge=0)
    """Trajectories whose forecasts are kept in `predictions.h5`; null keeps all that are scored."""
    pictures: bool = True
    """Draws the first forecast of every row, `report/fields_*.png`."""
    nfe: tuple[Annotated[int, Field(ge=1, le=10_000)], ...] = ()
    """Sampling steps K of the diffusion residual, one row of the ledger each; empty: `diffusion.steps` alone."""
    lead_times: tuple[Annotated[int, Field(ge=1)], ...] = (1, 5, 20)
    """Lead times, in steps, at which probabilistic scores and spectra are given."""
    bootstrap: int = Field(default=1000, ge=100, le=1_000_000)
    """Bootstrap samples of the trajectories behind every interval of the ledger."""
    correlation_threshold: float = Field(default=0.8, gt=0, lt=1)
    """Spatial correlation below which a forecast counts as lost."""
    validation_trajectories: int = Field(default=32, ge=1)
    """Validation trajectories rolled out to choose the best epoch during training."""

    @property
    def fewest_given(self) -> int:
        """The smallest number of given frames among all free rollouts: that of the longest one."""
        return min((self.context, *self.also_context))
