"""One row of scores, typed: what a forecaster scored, what it is, and what it costs."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from pydantic import Field, ModelWrapValidatorHandler, SerializerFunctionWrapHandler, model_serializer, model_validator

from ups.core.record import Record, Score

Role = Literal["baseline", "floor", "truth", "solver", "peer", "model", "informed"]
"""What a forecaster is: a forecast without a model, what encoding and decoding the truth costs, independent truths, a
classical solver, another model, a stage of the stack, or a stage that is told of the physics while it forecasts."""
CONTEXT = "rollout_context_"
"""Start of the keys of rollouts from further contexts; the number of given frames follows."""
T = TypeVar("T")
Curve = list[Score]
"""Scores by frame, lead time or channel."""


class PointScores(Record):
    """Scalar scores of one forecast over all channels; those that are no ratio are in training deviations."""

    nrmse: Score
    nrmse_pdebench: Score
    nrmse_pooled: Score
    rmse: Score
    mae: Score
    max: Score
    crmse: Score
    brmse: Score
    frmse_low: Score
    frmse_mid: Score
    frmse_high: Score
    vrmse: Score
    vrmse_well: Score


class ChannelScores(Record):
    """Scores of one channel along the free rollout, in physical units where they are no ratio."""

    std: float
    """Deviation over the training split, by which scores over all channels are divided."""
    nrmse: Score
    nrmse_pooled: Score
    nrmse_one_step: Score
    vrmse: Score
    spread_skill: Score
    rmse: Score
    mae: Score
    max: Score
    crmse: Score
    crps: Score
    energy_score: Score


class RolloutScores(PointScores):
    """Those of a free rollout, with its curves against lead time."""

    vrmse_windows: dict[str, Score]
    correlation_time: Score
    correlation_lost: bool
    nrmse_per_frame: Curve
    correlation_per_frame: Curve


class EnsembleScores(Record, Generic[T]):
    """Probabilistic scores: over all frames, or as curves."""

    crps: T
    spread_skill: T
    coverage_50: T
    coverage_90: T
    interval_50: T
    interval_90: T
    reliability_distance: T
    energy_score: T
    spectrum_error: T


class Nominal(Record):
    """What so many perfect members would score."""

    spread_skill: Score
    coverage_50: Score
    coverage_90: Score
    interval_50: Score
    interval_90: Score


class Probabilistic(EnsembleScores[Curve]):
    """Probabilistic scores at `lead_times`, over all frames, and per frame."""

    members: int
    lead_times: list[int]
    overall: EnsembleScores[Score]
    spread_skill_per_channel: Curve
    rank_histogram: Curve | None
    rank_histograms: list[Curve] | None
    nominal: Nominal
    per_frame: EnsembleScores[Curve]


class Bands(Record, Generic[T]):
    """A number for each band of wavenumbers."""

    low: T
    mid: T
    high: T


class BandTotals(Record):
    """Energies and shares over all frames."""

    ratio: Bands[Score]
    share: Bands[Score]


class BandScores(Record):
    """Energy of a member over the truth's, and the share of the truth's, by band of wavenumbers at `lead_times`."""

    lead_times: list[int]
    ratio: Bands[Curve]
    share: Bands[Curve]
    overall: BandTotals


class MomentScores(Record, Generic[T]):
    """Scores of mean and deviation beside the true ensemble's."""

    mean_nrmse: T
    perfect_mean_nrmse: T
    deviation_ratio: T
    deviation_nrmse: T
    perfect_deviation_nrmse: T


class TrueEnsembleScores(MomentScores[Curve]):
    """The same at `lead_times` and over all frames."""

    lead_times: list[int]
    overall: MomentScores[Score]


class PerTrajectory(Record):
    """Scores of every trajectory, which intervals are drawn from."""

    nrmse: Curve
    crps: Curve
    energy: Curve


class SteadyShare(Record):
    """Which trajectories a row of the steady state is scored on: those that reach it within `tolerance`."""

    trajectories: int
    of: int
    tolerance: float


class ForecastScores(Record):
    """Every score of one forecast; `rollout` and `one_step` are of the ensemble mean, `member` of one member."""

    model: str
    """Name of the row."""
    members: int = Field(ge=1)
    rollout: RolloutScores
    member: RolloutScores
    one_step: PointScores
    probabilistic: Probabilistic
    bands: BandScores
    channels: dict[str, ChannelScores]
    """By name, of every channel that varies in training."""
    true_ensemble: TrueEnsembleScores | None
    """None where there is no true ensemble to compare with."""
    per_trajectory: PerTrajectory
    error: str | None
    """Why there is no score, in a sentence; None if there is one."""


class Row(ForecastScores):
    """The scores of a forecaster with what it is and what it costs."""

    role: Role
    built_on: str | None
    """The row that it is built on, by its name or the part of it before `@`; None: whichever stands above."""
    nfe_per_step: float
    """Network evaluations per step of one member."""
    ms_per_step: float
    """Milliseconds per step of one member of one trajectory, at the batch size of the protocol."""
    train_seconds: float
    parameters: int
    contexts: dict[int, RolloutScores] = Field(default_factory=dict)
    """Rollouts from further numbers of given frames; in the file each stands under a key of its own."""
    steady: SteadyShare | None = None
    """Of a row that is scored on the steady state alone."""
    settings: dict[str, Any] | None = None
    """Of a row that was scored with settings of its own."""

    @property
    def floor(self) -> bool:
        """Whether it is no forecast but what encoding and decoding the truth costs."""
        return self.role == "floor"

    @property
    def reference(self) -> bool:
        """Whether it is beside the stack: no row is compared with it, nor it with any."""
        return self.role in ("truth", "solver", "peer")

    @property
    def of_stack(self) -> bool:
        """Whether it is a forecast of the stack."""
        return self.role in ("model", "informed")

    @property
    def marching(self) -> bool:
        """Whether it is scored along the whole rollout, and not on the steady state alone."""
        return self.steady is None

    @property
    def crps(self) -> Score:
        """Over all frames and channels, in training deviations."""
        return self.probabilistic.overall.crps

    @model_validator(mode="wrap")
    @classmethod
    def _read(cls, data: Any, handler: ModelWrapValidatorHandler[Row]) -> Row:
        if isinstance(data, dict) and "contexts" not in data:
            contexts = {int(key[len(CONTEXT) :]): key for key in data if _is_context(key)}
            own = {key: value for key, value in data.items() if key not in (*contexts.values(), "floor", "reference")}
            data = {**own, "contexts": {number: data[key] for number, key in contexts.items()}}
        return handler(data)

    @model_serializer(mode="wrap")
    def _write(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found = {**handler(self), "floor": self.floor, "reference": self.reference}
        contexts = found.pop("contexts")
        optional = {key for key in ("steady", "settings") if found[key] is None}
        kept = {key: value for key, value in found.items() if key not in optional}
        return kept | {f"{CONTEXT}{number}": scores for number, scores in contexts.items()}


def _is_context(key: Any) -> bool:
    return isinstance(key, str) and key.startswith(CONTEXT) and key[len(CONTEXT) :].isdecimal()
