"""Settings of training: what all stages share (`training`), and what each stage sets for itself (`stages.<name>`)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, create_model, model_validator

from ups.core.settings import Settings
from ups.core.stages import STAGES
from ups.training.losses import LossWeights
from ups.training.optim import OptimizerSettings, SchedulerSettings


class TauDistribution(Settings):
    """How noise levels tau in (0, 1) are drawn.

    Good values: `uniform`; `beta` with alpha 1 and beta 2 puts more weight on small noise.
    """

    type: Literal["uniform", "beta"] = "uniform"
    """Uniform(0, 1), or Beta(alpha, beta)."""
    alpha: float = Field(default=1.0, gt=0)
    """First shape parameter of Beta."""
    beta: float = Field(default=1.0, gt=0)
    """Second shape parameter of Beta."""


class TrainingSettings(LossWeights):
    """What all stages share.

    Good values: the defaults: batch size 32, gradient clipping at 1, joint training of the codec; EMA 0.998 (0.999 for
    runs over 20,000 steps).
    """

    dt: float | None = Field(default=None, gt=0)
    """Physical time step, a whole multiple of the time between frames of the data, of which every so many-th is then
    taken (`data.subsample.dt`); the data's time axis decides unless given."""
    batch_size: int = Field(default=32, ge=1, le=1_000_000)
    """Samples in a micro-batch."""
    steps_per_epoch: int | None = Field(default=None, ge=1)
    """Micro-batches in an epoch; unless given one pass over all windows of the training split."""
    num_workers: int = Field(default=0, ge=0, le=1024)
    """Threads that read ahead where data do not fit in memory; data in memory need none."""
    pin_memory: bool = False
    """Copies batches to a GPU from pinned memory."""
    persistent_workers: bool = True
    """Accepted as in other loaders; the reading threads always live as long as their stage."""
    prefetch_factor: int = Field(default=2, ge=1)
    """Batches that each of these threads reads ahead."""
    amp: bool | Literal["bf16", "fp16"] = False
    """Automatic mixed precision: true takes bf16 where the device computes it natively; fp16 only on CUDA, with loss
    scaling. The operator of an exact codec stays in float32 all the same: rounded fluxes have noise for differences."""
    compile: bool = False
    """Compiles the model (torch.compile); pays for runs of more than a few minutes."""
    compile_mode: Literal["default", "reduce-overhead", "max-autotune"] = "default"
    """Mode of torch.compile."""
    accum_steps: int = Field(default=1, ge=1)
    """Micro-batches per optimizer step; their gradients are averaged with exact weights."""
    grad_clip: float | None = Field(default=1.0, gt=0)
    """Largest gradient norm; null does not clip."""
    ema_decay: float | None = Field(default=0.998, gt=0, lt=1)
    """Decay of the averaged weights, which are then what is judged and used; null keeps no average."""
    train_codec: bool = True
    """Trains the codec jointly with the operator; false freezes it after stage 0."""
    rollout_horizon: int = Field(default=1, ge=1)
    """Steps that `L_rollout` unrolls in the end; 1 trains on single steps."""
    rollout_start: float = Field(default=0.3, ge=0, le=1)
    """Share of the stage after which unrolling starts, with 2 steps; the horizon then grows evenly."""
    rollout_reencode: bool = False
    """Unrolls through decode and encode, as a rollout in field space does, instead of in latent space."""
    input_noise: float | None = Field(default=None, ge=0)
    """Gaussian noise on the first frame of every window, so that the operator learns to take errors back, as in a
    rollout (arXiv 2002.09405, section 4.3). Its size, as a share of the fields' deviation, is drawn for each window,
    log-uniform from a hundredth of this value to the value itself; unless given 0.003, and 0 with a learnt codec."""
    emphasis: float = Field(default=1.0, ge=0, le=4)
    """Training of operators and peers visits windows as often as fields change in them, from frame to frame and
    relative to their size, to this power; a fifth of the visits is even. 0 visits all alike. Where solutions settle,
    most windows hold next to nothing to learn, and a rollout has its error from the first frames."""
    fixed_latent_target: bool = False
    """Keeps `lambda_latent` from moving the latents that it compares with. Off, encoder and operator meet halfway, as
    deterministic systems need; on where the future is random, lest the encoder leave out what cannot be predicted."""
    select_by: Literal["rollout", "one_step"] = "rollout"
    """What chooses the operator's best epoch on the validation split: the nRMSE of the free rollout, or of single
    steps where the future is random, since no single rollout can be right there and the most damped would win."""
    shift_augmentation: Literal["auto"] | bool = "auto"
    """Shifts every sample by a random number of points along periodic axes. `auto`: along those where the task, or
    else the homogeneity of the training data, allows it; `true`: along all, but where a known task forbids it."""
    spectral_space: Literal["latent", "field"] = "field"
    """Where `L_spec` compares energies: on the token grid or on the decoded field."""
    tau_distribution: TauDistribution = Field(default_factory=TauDistribution)
    """Noise levels of stages 2 and 3."""
    checkpoint_interval: int = Field(default=0, ge=0)
    """Keeps a copy of the weights every so many epochs; 0 keeps the best and the last only."""
    checkpoint_seconds: float = Field(default=60.0, gt=0)
    """Longest time between two saves of the resume state."""
    log_path: str = "reports/training_log.jsonl"
    """The JSONL log, relative to the run folder."""

    def noise(self, exact: bool) -> float:
        """The largest noise on the first frame of a window, for models with an exact or with a learnt codec."""
        return (0.003 if exact else 0.0) if self.input_noise is None else self.input_noise

    def compiles(self, stage: StageSettings) -> bool:
        """Whether a stage is compiled."""
        return self.compile if stage.compile is None else stage.compile

    def copy_interval(self, stage: StageSettings) -> int:
        """Epochs between two copies of a stage's weights that are kept, 0 for none."""
        return self.checkpoint_interval if stage.checkpoint_interval is None else stage.checkpoint_interval

    def loading(self, stage: StageSettings, seed: int, in_memory: bool, cuda: bool) -> dict[str, Any]:
        """How the batches of a stage are drawn and read, as options of the loaders."""
        return {
            "seed": seed,
            "steps_per_epoch": stage.steps_per_epoch or self.steps_per_epoch,
            "workers": 0 if in_memory else self.num_workers,
            "prefetch": self.prefetch_factor,
            "pin": self.pin_memory and cuda,
        }


class StageSettings(Settings):
    """One stage of training.

    Good values: enough epochs for 3,000 steps and more; `patience` null with a cosine schedule.
    """

    epochs: int = Field(default=0, ge=0)
    """Passes over the data; 0 skips the stage."""
    seconds: float | None = Field(default=None, gt=0)
    """Trains for so long instead, evaluations included: an epoch is then a share of this time, and schedules follow the
    clock. Such a stage can be resumed, but not to the same bits."""
    patience: int | None = Field(default=None, ge=0)
    """Evaluations without improvement that are tolerated; one more stops the stage. Null never stops early."""
    validate_every: int = Field(default=1, ge=1)
    """Epochs between two evaluations on the validation split."""
    target_loss: float = Field(default=0.0, ge=0)
    """The stage stops once its mean training loss is at most this; 0 never stops it."""
    batch_size: int | None = Field(default=None, ge=1, le=1_000_000)
    """Overrides `training.batch_size`."""
    steps_per_epoch: int | None = Field(default=None, ge=1)
    """Overrides `training.steps_per_epoch`."""
    checkpoint_interval: int | None = Field(default=None, ge=0)
    """Overrides `training.checkpoint_interval`."""
    compile: bool | None = None
    """Overrides `training.compile`."""
    optimizer: OptimizerSettings = Field(default_factory=OptimizerSettings)
    """The optimizer."""
    scheduler: SchedulerSettings = Field(default_factory=SchedulerSettings)
    """The learning rate."""


class ConsistencySettings(StageSettings):
    """Consistency distillation.

    Good values: `distill_num_taus` 3, `distill_micro_batch` equal to the batch size unless memory is short.
    """

    distill_num_taus: int = Field(default=3, ge=1)
    """Noise levels per sample."""
    distill_micro_batch: int | None = Field(default=None, ge=1)
    """Samples per backward pass; the whole batch unless given. The teacher's work is done once per batch."""
    tau_schedule: tuple[int, ...] = ()
    """Noise levels per sample by epoch; the last entry holds on. Overrides `distill_num_taus`."""

    @model_validator(mode="after")
    def _positive(self) -> ConsistencySettings:
        if any(n < 1 for n in self.tau_schedule):
            raise ValueError(f"tau_schedule must hold counts of at least 1, found {list(self.tau_schedule)}")
        return self


class SteadySettings(StageSettings):
    """The steady prior.

    Good values: `num_steps` 2 with an exact codec, 4 to 6 with a learnt one; `tolerance` ten times the
    relative error that matters.
    """

    num_steps: int = Field(default=6, ge=1)
    """Refinement steps with shared weights."""
    tolerance: float = Field(default=1e-3, gt=0)
    """A trajectory is steady where ||u(T) - u(T - dt)|| <= tolerance * ||u(T)|| * dt / (duration of the trajectory) in
    every channel."""


WARM = {"warmup_steps": 50}
USUAL: dict[str, dict[str, dict[str, Any]]] = {
    "autoencoder": {"optimizer": {"name": "muon", "lr": 1e-3}},
    "operator": {"optimizer": {"name": "muon", "lr": 8e-3}, "scheduler": WARM},
    "diff_residual": {"optimizer": {"name": "muon", "lr": 2e-3}, "scheduler": WARM},
    "crps_ensemble": {"optimizer": {"name": "muon", "lr": 2e-3}, "scheduler": WARM},
    "consistency_distill": {"optimizer": {"name": "adamw", "lr": 7e-4}, "scheduler": WARM},
    "steady_prior": {"optimizer": {"name": "muon", "lr": 2e-3}, "scheduler": WARM},
}
"""What measured best in each stage, where nothing else is given. The rate is that of the optimizer beside it: another
optimizer without a rate gets its own usual one."""


def _sections() -> dict[str, Any]:
    """A section of the config for each stage of the table."""
    usual = StageSettings()
    return {name: (StageSettings, Field(default=usual, description=spec.about)) for name, spec in STAGES.items()}


class StagesSettings(create_model("Sections", __base__=Settings, **_sections())):
    """The stages in their order; `epochs: 0` skips one.

    Good values: the defaults, which differ between the stages; `lr` 2e-3 for an operator that is trained on long
    rollouts or on small latents.
    """

    consistency_distill: ConsistencySettings = Field(
        default=ConsistencySettings(), description=STAGES["consistency_distill"].about
    )
    steady_prior: SteadySettings = Field(default=SteadySettings(), description=STAGES["steady_prior"].about)

    def of(self, stage: str) -> StageSettings:
        """The section of a stage."""
        return getattr(self, stage)

    @model_validator(mode="before")
    @classmethod
    def _usual(cls, given: Any) -> Any:
        """Fill in `USUAL`, below what is given."""
        return {**given, **{name: _below(given.get(name, {}), USUAL[name]) for name in USUAL}} if _is(given) else given


def _below(given: Any, usual: dict[str, dict[str, Any]]) -> Any:
    """A stage's settings with what its optimizer and scheduler usually are where they do not say."""
    if not _is(given):
        return given
    filled = dict(given)
    for section, values in usual.items():
        own = given.get(section, {})
        if _is(own):
            rest = {k: v for k, v in values.items() if k != "lr" or own.get("name", values["name"]) == values["name"]}
            filled[section] = {**rest, **own}
    return filled


def _is(value: Any) -> bool:
    return isinstance(value, dict)
