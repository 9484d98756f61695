"""2D: UPS as it ships against what people would use instead, at equal time on one core, at rates tuned alike."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from bench.cells import Cell, Phase, records
from bench.contenders import Contender, scores, train
from bench.problems import SEEDS
from bench.scale import Place, Scale
from ups.data.dataset import Dataset, open_dataset
from ups.data.settings import DataSettings, FilesSettings
from ups.peers.fno import FNOSettings
from ups.peers.settings import PeerSettings
from ups.simulate.generate import GenerateSettings, generate

SYSTEMS = {
    "gray_scott2d": {"pde": "gray_scott2d", "dt": 100.0},
    "kolmogorov2d-0.1": {"pde": "kolmogorov2d", "dt": 0.1},
    "kolmogorov2d-0.5": {"pde": "kolmogorov2d", "dt": 0.5},
}
"""64 x 64 points and 41 frames; the number is the time between two of them."""
COUNTS = {"train": 140, "validation": 10, "test": 20}
MODELS = {
    "ups": Contender((8e-3, 4e-3), base=Path(__file__).parent / "ups.yaml", overrides=("training.batch_size=16",)),
    "fno": Contender((4e-3, 2e-3), PeerSettings(network="fno", fno=FNOSettings(width=24, modes=24))),
    "unet": Contender((2e-3, 1e-3), PeerSettings(network="unet")),
}
MINUTES, TUNING_MINUTES = 10.0, 2.0


def cells(scale: Scale) -> list[Cell]:
    """Data, then two minutes at each rate, then ten minutes at the better one; none in a short look."""
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
    for system in SYSTEMS:
        for name, contender in MODELS.items():
            for rate in contender.rates:
                settings = {"system": system, "model": name, "rate": rate, "setup": contender.at(rate).settings()}
                work = partial(_tune, system, name, rate)
                title = f"{system}_{name}_rate{rate:g}"
                found.append(Cell("planar", title, Phase.TUNING, settings, work, 60 * TUNING_MINUTES + 10))
            for seed in scale.seeds:
                settings = {"system": system, "model": name, "seed": seed, "setup": contender.settings()}
                work = partial(_compare, system, name, seed)
                title = f"{system}_{name}_{MINUTES:g}min_seed{seed}"
                found.append(Cell("planar", title, Phase.TRAINING, settings, work, 60 * MINUTES + 60))
    return found


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


def _tune(system: str, name: str, rate: float, place: Place, folder: Path) -> dict[str, Any]:
    facts = train(MODELS[name].at(rate), opened(place, system), 60 * TUNING_MINUTES, 0, folder).facts
    return {"best_score": facts["best_score"], "updates": facts["step"]}


def tuned_rate(place: Place, system: str, name: str) -> float:
    """The rate with the smallest error on the validation split; the usual one where none was tried."""
    tried = [r for r in records(place, "planar") if "best_score" in r and r["settings"]["system"] == system]
    own = {r["settings"]["rate"]: r["best_score"] for r in tried if r["settings"]["model"] == name}
    return min(own, key=lambda rate: own[rate]) if own else MODELS[name].rates[0]


def _compare(system: str, name: str, seed: int, place: Place, folder: Path) -> dict[str, Any]:
    data, rate = opened(place, system), tuned_rate(place, system, name)
    result = train(MODELS[name].at(rate), data, 60 * MINUTES, seed, folder)
    found = scores(result.rows, data, seed, folder)["model"]
    return {
        "rate": rate,
        "one_step": found["one_step"]["nrmse"],
        "rollout": found["rollout"]["nrmse"],
        "correlation_time": found["rollout"]["correlation_time"],
        "weights": found["parameters"],
        "updates": result.facts["step"],
        "seconds": round(result.facts["seconds"], 1),
        "data": data.describe(),
    }
