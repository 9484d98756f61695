"""2D: UPS as it ships against what people would use instead, at equal time on one core and after as many updates, each
in the best of four configurations."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.cells import Cell, Phase
from bench.contenders import HELD, Candidate, Contender, scores, train
from bench.problems import SEEDS
from bench.results import MODEL
from bench.scale import Place, Scale
from bench.tuning import Tuning
from ups.core.deviations import in_deviations
from ups.data.dataset import Dataset, open_dataset
from ups.data.settings import DataSettings, FilesSettings
from ups.evaluation.forecaster import Forecaster
from ups.peers.fno import FNOSettings
from ups.peers.settings import Length, PeerSettings, Updates
from ups.simulate.generate import GenerateSettings, generate

SYSTEMS = {
    "gray_scott2d": {"pde": "gray_scott2d", "dt": 100.0},
    "kolmogorov2d-0.1": {"pde": "kolmogorov2d", "dt": 0.1},
    "kolmogorov2d-0.5": {"pde": "kolmogorov2d", "dt": 0.5},
}
"""64 x 64 points and 41 frames; the number is the time between two of them."""
TUNED_ON = {system: system for system in SYSTEMS} | {"kolmogorov2d-0.1": "kolmogorov2d-0.5"}
"""The system whose best configuration each takes."""
COUNTS = {"train": 140, "validation": 10, "test": 20}
SHIPPED = Path(__file__).parent / "ups.yaml"
_SMALL, _MUON = "batch_size=8", "optimizer=muon"
_NARROW = "operator.pdet.hidden_dim=24"
_UNROLLED = ("training.rollout_horizon=2", "training.lambda_rollout=1.0", "training.rollout_start=0.5")
_REAL = ("fno.products=real", _MUON)


def _peer(settings: PeerSettings, *candidates: Candidate) -> Contender:
    """A peer that shares the settings of training with UPS as it ships."""
    return Contender(candidates, settings, base=SHIPPED)


MODELS = {
    "ups": Contender(
        (
            Candidate(8e-3),
            Candidate(8e-3, (_NARROW,), "width24_0.008"),
            Candidate(8e-3, _UNROLLED, "0.008_two-steps"),
            Candidate(8e-3, (_NARROW, *_UNROLLED), "width24_0.008_two-steps"),
        ),
        base=SHIPPED,
        overrides=("training.batch_size=8",),
    ),
    "fno": _peer(
        PeerSettings(network="fno", fno=FNOSettings(width=24, modes=24)),
        Candidate(4e-3, (), "complex_width24_modes24_adamw_0.004"),
        Candidate(8e-3, (*_REAL, "fno.width=32"), "real_width32_modes24_muon_0.008"),
        Candidate(4e-3, (*_REAL, "fno.width=32", "fno.modes=16"), "real_width32_modes16_muon_0.004"),
        Candidate(8e-3, (*_REAL, "fno.modes=16", _SMALL), "real_width24_modes16_muon_0.008_batch8"),
    ),
    "unet": _peer(
        PeerSettings(network="unet"),
        Candidate(2e-3, (), "width36_adamw_0.002"),
        Candidate(8e-3, (_MUON,), "width36_muon_0.008"),
        Candidate(8e-3, (_MUON, "unet.width=24"), "width24_muon_0.008"),
        Candidate(4e-3, (_MUON, "unet.width=24", _SMALL), "width24_muon_0.004_batch8"),
    ),
    "convnext": _peer(
        PeerSettings(network="convnext"),
        Candidate(2e-3, (), "width32_adamw_0.002"),
        Candidate(8e-3, (_MUON,), "width32_muon_0.008"),
        Candidate(4e-3, (_MUON,), "width32_muon_0.004"),
        Candidate(8e-3, (_MUON, "convnext.width=24", _SMALL), "width24_muon_0.008_batch8"),
    ),
}
MINUTES, TUNING_MINUTES, UPDATES = 10.0, 1.0, 5_000
LENGTHS: dict[str, Length] = {f"{MINUTES:g}min": 60 * MINUTES, f"{UPDATES}upd": Updates(UPDATES)}
"""Lengths of training by name."""
UPDATE_SECONDS = {"ups": 0.07, "fno": 0.18, "unet": 0.6, "convnext": 0.065}
"""About how long an update of 16 samples takes."""
LONG, FOLLOWED = 10, 4
"""A test trajectory is forecast for so many times its frames to see whether it stays bounded; so many of them are."""


def cells(scale: Scale) -> list[Cell]:
    """Data, then a minute of each candidate, then the best ones, the first seed of all first; none in a short
    look."""
    if scale.name != "full":
        return []
    found = [
        Cell(
            "planar",
            f"{system}_data_{split}",
            Phase.DATA,
            generation(system, split).model_dump(mode="json"),
            partial(_generate, system, split),
            5.0 * COUNTS[split],
            partial(split_file, system=system, split=split),
        )
        for system in SYSTEMS
        for split in COUNTS
    ]
    tuned = dict.fromkeys(TUNED_ON.values())
    found += [cell for system in tuned for name in MODELS for cell in tuning(system, name).cells()]
    return found + [
        Cell(
            "planar",
            f"{system}_{name}_{length}_seed{seed}",
            Phase.TRAINING,
            {"system": system, "model": name, "length": length, "seed": seed, "setup": contender.settings()}
            | {"candidates": {c.name: [c.rate, *c.changes] for c in contender.candidates}},
            partial(_compare, system, name, length, seed),
            60 + (UPDATE_SECONDS[name] * amount.count if isinstance(amount, Updates) else amount),
        )
        for seed in scale.seeds
        for length, amount in LENGTHS.items()
        for system in SYSTEMS
        for name, contender in MODELS.items()
    ]


def tuning(system: str, name: str) -> Tuning:
    """The trials whose best a model takes on a system."""
    on = TUNED_ON[system]
    named, data = {"system": on, "model": name}, partial(opened, system=on)
    return Tuning("planar", f"{on}_{name}", named, MODELS[name], data, 60 * TUNING_MINUTES)


def generation(system: str, split: str) -> GenerateSettings:
    """How a split is generated."""
    return GenerateSettings.model_validate({**SYSTEMS[system], "trajectories": COUNTS[split], "seed": SEEDS[split]})


def split_file(place: Place, system: str, split: str) -> Path:
    """The file of a split."""
    return place.data / system / f"{split}.hdf5"


def opened(place: Place, system: str) -> Dataset:
    """The data set; raises UserError if it was not generated."""
    files = {split: (str(split_file(place, system, split)),) for split in COUNTS}
    return open_dataset(DataSettings(task=str(SYSTEMS[system]["pde"]), files=FilesSettings(**files)))


def _generate(system: str, split: str, place: Place, folder: Path) -> dict[str, Any]:
    path = split_file(place, system, split)
    path.parent.mkdir(parents=True, exist_ok=True)
    generate(generation(system, split), path)
    return {}


def _compare(system: str, name: str, length: str, seed: int, place: Place, folder: Path) -> dict[str, Any]:
    """Trains in the best configuration and scores on the test split; of a peer with its means held too."""
    data, best = opened(place, system), tuning(system, name).best(place)
    result = train(MODELS[name].at(best), data, LENGTHS[length], seed, folder)
    found = scores(result.rows, data, seed, folder)
    record: dict[str, Any] = {
        "candidate": best.name,
        "weights": found[MODEL]["parameters"],
        "updates": result.facts["step"],
        "training": result.facts,
        "ms_per_step": found[MODEL]["ms_per_step"],
        "largest_true": largest(data.test.trajectories(0, data.test.n), data),
    }
    for row, suffix in ((MODEL, ""), (HELD, "_held")):
        if row in found:
            record |= {f"{part}{suffix}": found[row][part]["nrmse"] for part in ("one_step", "rollout")}
            record |= {f"{key}{suffix}": found[row]["rollout"][key] for key in ("correlation_time", "correlation_lost")}
            record |= {f"{key}{suffix}": value for key, value in bounded(result.rows[row], data).items()}
    return {**record, "data": data.describe()}


def bounded(forecaster: Forecaster, data: Dataset) -> dict[str, Any]:
    """The largest value of long forecasts, in deviations of its channel: None, and `finite` false, if one is not."""
    n = min(FOLLOWED, data.test.n)
    truth, params = data.test.trajectories(0, n), data.test.params[:n]
    found = largest(forecaster.rollout(truth, 0, LONG * data.test.frames, params, 1, 0), data)
    return {"bounded": found, "finite": found is not None}


def largest(values: Tensor, data: Dataset) -> float | None:
    """The largest absolute value of fields (..., C, *S) in deviations of their channel; None if one is not finite."""
    std = torch.as_tensor(data.statistics.std, dtype=values.dtype)
    found = float(in_deviations(values, std, len(data.system.shape)).abs().max())
    return found if math.isfinite(found) else None
