"""The models that are compared, each trained from scratch for a given time on a given data set."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.cells import key_of
from bench.problems import PROBLEMS
from ups.config import Config, load_config
from ups.config.source import Source, apply_overrides
from ups.core.errors import UserError
from ups.data.dataset import Dataset
from ups.data.statistics import conserves_mean
from ups.evaluation.baselines import PERSISTENCE
from ups.evaluation.evaluate import evaluate
from ups.evaluation.forecaster import Forecaster
from ups.evaluation.forecasters import SurrogateForecaster
from ups.evaluation.settings import EvaluationSettings
from ups.peers import stage as peers
from ups.peers.fno import FNOSettings
from ups.peers.forecaster import PeerForecaster
from ups.peers.one_step import ResidualForecaster
from ups.peers.settings import Length, PeerSettings, Updates, lasting
from ups.peers.stage import PeerRun
from ups.run.train import context_of, train_stage
from ups.stages import autoencoder, operator
from ups.stages.autoencoder import SAMPLED
from ups.stages.context import Context
from ups.surrogate.surrogate import Surrogate
from ups.training import checkpoint
from ups.training.settings import StageSettings, TrainingSettings
from ups.training.stage import Stage

CLOCK = time.process_time
"""Fills the time of a training: that of the processor, one thread each, so other work on the machine does not count."""
CONFIG = Path(__file__).parent / "patches.yaml"
SCORES = EvaluationSettings(also_context=(10,), members=1, lead_times=(1,), store=0, pictures=False, bootstrap=100)
"""Free rollouts from frames 0 and 9 of every test trajectory, and single steps from each of its frames."""
PARTS = ("rollout", "rollout_context_10", "one_step")
"""Forecasts of which a result keeps scores; curves over frames are left out."""
COSTS = ("ms_per_step", "train_seconds", "parameters", "error")
"""What else a result keeps of a row of `metrics.json`."""
LATENT = "latent space"
"""Row of the surrogate rolled out without encoding its forecasts again."""
HELD = "held means"
"""Row of a peer whose forecasts keep conserved means, as those of the surrogate do."""
OF_PEERS = {
    "accum_steps",
    "ema_decay",
    "emphasis",
    "grad_clip",
    "rollout_horizon",
    "rollout_start",
    "select_by",
    "shift_augmentation",
    "steps_per_epoch",
}
"""What the training of a peer takes from the settings of training."""


@dataclass(frozen=True)
class Candidate:
    """One of the configurations that a model is tried in.

    Attributes:
        rate: The learning rate.
        changes: What else is set, `key=value`: of the settings of a peer, or of the config of UPS.
        label: Its name in results, the rate unless given.
    """

    rate: float
    changes: tuple[str, ...] = ()
    label: str = ""

    @property
    def name(self) -> str:
        """Its name in results."""
        return self.label or f"{self.rate:g}"


def rates(*values: float) -> tuple[Candidate, ...]:
    """Candidates that differ in their learning rate alone."""
    return tuple(Candidate(rate) for rate in values)


@dataclass(frozen=True)
class Contender:
    """A model of the comparison.

    Attributes:
        candidates: The configurations that are tried, the usual one first.
        peer: How it is built and trained, or None for UPS.
        overrides: Changes to the config of UPS, whose shared settings hold for peers too.
        tuning_minutes: How long it learns in each of its configurations.
        base: The config of UPS that is changed.
    """

    candidates: tuple[Candidate, ...]
    peer: PeerSettings | None = None
    overrides: tuple[str, ...] = ()
    tuning_minutes: float = 1.0
    base: Path = CONFIG

    def at(self, candidate: Candidate) -> Contender:
        """The same in one of its configurations."""
        if self.peer is None:
            return self.changed(f"stages.operator.optimizer.lr={candidate.rate}", *candidate.changes)
        return replace(self, peer=_changed(self.peer, (f"lr={candidate.rate}", *candidate.changes)))

    def on(self, problem: str) -> Contender:
        """The same with what was chosen for UPS on a problem."""
        return self if self.peer is not None else replace(self, overrides=(*PROBLEMS[problem].ups, *self.overrides))

    def changed(self, *overrides: str) -> Contender:
        """UPS with further changes."""
        return replace(self, overrides=(*self.overrides, *overrides))

    @property
    def config(self) -> Config:
        """The config of UPS, whose shared settings hold for peers too."""
        return load_config(self.base, self.overrides)

    @property
    def training(self) -> TrainingSettings:
        """What all its stages share."""
        return self.peer.training(self.config.training) if self.peer else self.config.training

    def stage(self, length: Length) -> StageSettings:
        """The settings of its stage, of this length."""
        if self.peer is not None:
            return self.peer.stage(length)
        return self.config.stages.of("operator").model_copy(update=lasting(length))

    def settings(self) -> dict[str, Any]:
        """Everything that is set of it, as plain values; of the stages, those that are trained."""
        if self.peer is not None:
            return {
                "peer": self.peer.model_dump(mode="json"),
                "training": self.training.model_dump(mode="json", include=OF_PEERS),
            }
        found = self.config.model_dump(mode="json", include={"latent", "operator", "training", "stages", "rollout"})
        return found | {"stages": {name: values for name, values in found["stages"].items() if values["epochs"]}}

    def build(self, data: Dataset, length: Length, seed: int, folder: Path) -> Stage:
        """Its stage, of this length, in the run folder."""
        if self.peer is not None:
            return peers.build(PeerRun(self.peer.network, self.peer, self.config.training, data, length, seed=seed))
        context = self.context(data, seed, folder)
        stages = context.stages.model_copy(update={"operator": self.stage(length)})
        return operator.build(replace(context, stages=stages))

    def context(self, data: Dataset, seed: int, folder: Path) -> Context:
        """A run of UPS."""
        return replace(context_of(self.config, data), folder=folder, seed=seed)


def _changed(peer: PeerSettings, changes: tuple[str, ...]) -> PeerSettings:
    """A peer with `key=value` changes; raises UserError or ValidationError for those that it cannot take."""
    source = Source("peer", peer.model_dump(mode="json"))
    apply_overrides(source, changes)
    if source.problems:
        raise UserError(str(source.problems[0]))
    return PeerSettings.model_validate(source.values)


def _fno(**size: int) -> Contender:
    """The FNO on single steps, of another size if asked for."""
    peer = PeerSettings(network="fno", fno=FNOSettings.model_validate(size))
    return Contender(rates(2e-3, 1e-3, 4e-3), peer, tuning_minutes=3.0)


CONTENDERS = {
    "ups": Contender(rates(8e-3, 4e-3, 1.6e-2)),
    "fno": _fno(),
    "fno-rollout": Contender(rates(4e-3, 2e-3, 8e-3), PeerSettings(network="fno", rollout_horizon=3)),
    "unet": Contender(rates(2e-3, 1e-3, 4e-3), PeerSettings(network="unet")),
}
SMALL_LATENTS = "ups-8x"
"""UPS with latents of an eighth of a field of 256 points, in float32, which the validation split prefers for them."""
_UPS, _COMPRESSED = CONTENDERS["ups"], ("latent.tokens=16", "latent.dim=2", "operator.pdet.spectral_modes=9")
VARIANTS: dict[str, tuple[str, Contender]] = {
    SMALL_LATENTS: ("ups", _UPS.changed(*_COMPRESSED, "training.amp=false")),
    "ups-narrow": ("ups", _UPS.changed("operator.pdet.hidden_dim=32", "latent.width=16")),
    "ups-wide": ("ups", _UPS.changed("operator.pdet.hidden_dim=128", "latent.width=48")),
    "fno-narrow": ("fno", _fno(width=32)),
    "fno-wide": ("fno", _fno(width=96)),
}
"""Models of other sizes by name, each with the model whose candidate it takes."""


@dataclass(frozen=True)
class Trained:
    """A model after training: its rows, and what its training says of itself."""

    rows: dict[str, Forecaster]
    facts: dict[str, Any]


def train(contender: Contender, data: Dataset, length: Length, seed: int, folder: Path) -> Trained:
    """Trains for about so many seconds, or for so many updates, or goes on where `folder` holds a part of the same
    training on the same data.

    The time of an autoencoder stage, where there is one, is taken from that of UPS.
    """
    folder = folder / key_of([contender.settings(), data.hash])
    weights = folder / "checkpoints"
    first = contender.config.stages.of("autoencoder")
    if contender.peer is None and first.epochs:
        built = autoencoder.build(contender.context(data, seed, folder))
        train_stage(built, first, contender.training, folder, seed=seed, clock=CLOCK)
        if not isinstance(length, Updates):
            length -= checkpoint.load(weights / "autoencoder.pt")["train_seconds"]
    stage = contender.build(data, length, seed, folder)
    model = train_stage(stage, contender.stage(length), contender.training, folder, seed=seed, clock=CLOCK)
    if isinstance(model, ResidualForecaster):
        facts = _facts(weights, contender.peer.network if contender.peer else "")
        peer = PeerForecaster(model, facts["seconds"])
        held = conserves_mean(data.train.one_by_one(SAMPLED), model.std)
        of_peer: dict[str, Forecaster] = {"model": peer}
        if held.any():
            of_peer[HELD] = replace(peer, held=held)
        return Trained(of_peer, facts)
    surrogate = Surrogate.load(folder)
    rows: dict[str, Forecaster] = {
        "model": SurrogateForecaster(surrogate, "field"),
        LATENT: SurrogateForecaster(surrogate, "latent"),
    }
    return Trained(rows, _facts(weights, "operator") | {"compression": surrogate.model.codec.compression})


def _facts(folder: Path, stem: str) -> dict[str, Any]:
    """Steps taken, best epoch and its error on the validation split."""
    tally = checkpoint.load(folder / f"{stem}_resume.pt")["tally"]
    return {name: tally[name] for name in ("step", "epoch", "best_epoch", "best_score", "seconds")}


def scores(rows: dict[str, Forecaster], data: Dataset, seed: int, folder: Path) -> dict[str, dict[str, Any]]:
    """Rows of `metrics.json` on the test split; without forecasters that of persistence, the same beside all models."""
    std, facts = data.statistics.std, data.describe()
    metrics = evaluate(rows, data.test, data.system, SCORES, folder, facts, std=std, seed=seed).model_dump()
    return {row["model"]: kept(row) for row in metrics["rows"] if row["model"] in (rows or (PERSISTENCE,))}


def kept(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a result keeps of a row of `metrics.json`: plain scores and costs."""
    scores = {part: {k: v for k, v in row[part].items() if not isinstance(v, list | dict)} for part in PARTS}
    return {**scores, **{name: row[name] for name in COSTS}}
