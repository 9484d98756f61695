"""What can be said before training: all that config, headers of the data files, packages and machine decide."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import torch

from ups.config import Config, load_config
from ups.config.load import Contradiction
from ups.config.source import dotted
from ups.core.device import device_of, processors
from ups.core.errors import UserError
from ups.core.stages import STAGES
from ups.core.tasks import TASKS
from ups.data.header import Header, read_header
from ups.data.locate import to_be_generated
from ups.peers.fno import require_neuralop
from ups.run.sizes import too_large
from ups.tracking.tensorboard import require_tensorboard
from ups.tracking.wandb_client import asked_mode, require_wandb
from ups.ttc.rewards import misfit

T = TypeVar("T")
LEFT = (
    "config.yaml", "checkpoints", "latents", "predictions.h5", "metrics.json", "report.html", "report", "validation",
    "summary.json", "orchestrate", "tensorboard", "wandb", "wandb_context.json", ".lock",
)  # fmt: skip
"""What a run leaves in its folder besides the log."""
READERS = 8
"""Reading threads for each processor that may be asked for."""


def checked_config(path: Path | str, overrides: Sequence[str] = ()) -> Config:
    """The config in a file. Raises UserError with its own problems and all of `contradictions` at once."""
    return load_config(path, overrides, contradictions)


def require_sound(config: Config, further: Mapping[str, Config] = MappingProxyType({})) -> None:
    """Raises UserError with all contradictions of a config that is loaded already, and of `further` ones by name."""
    found = {(keys, sentence): "" for keys, sentence in contradictions(config)}
    for name, other in further.items():
        found = {one: f"{name}: " for one in contradictions(other)} | found
    lines = [f"{name}{', '.join(map(dotted, keys))}: {sentence}" for (keys, sentence), name in found.items()]
    if lines:
        head = [f"{config.run.source or 'the config'}: {len(lines)} problems"] if len(lines) > 1 else []
        raise UserError("\n  ".join([*head, *lines]))


def contradictions(config: Config) -> list[Contradiction]:
    """Keys that do not fit together, the data, the packages or the machine, with a sentence each."""
    found = [*_packages(config), *_machine(config), *_samplers(config), *_log(config)]
    device = _collect(found, "run.device", lambda: device_of(config.run.device))
    header = _collect(found, "data", lambda: read_header(config.data))
    if header is not None:
        unfit = _layout(config, header)
        found += [*_lengths(config, header), *_system(config, header), *unfit, *_conditioning(config, header)]
        found += [] if unfit else too_large(config, header, device or torch.device("cpu"))
    return list(dict.fromkeys(found))


def _about(sentence: str, *keys: str) -> Contradiction:
    return tuple(tuple(key.split(".")) for key in keys), sentence


def _collect(found: list[Contradiction], key: str, work: Callable[[], T]) -> T | None:
    """What `work` returns; where it raises UserError, None and one more finding about `key`."""
    try:
        return work()
    except UserError as error:
        found.append(_about(str(error).removeprefix(f"{key}: "), key))
        return None


def _packages(config: Config) -> list[Contradiction]:
    found: list[Contradiction] = []
    if config.evaluation.enabled and "fno" in config.evaluation.baselines:
        _collect(found, "evaluation.baselines", require_neuralop)
    _collect(found, "tracking.wandb.mode", lambda: require_wandb(asked_mode() or config.tracking.wandb.mode))
    if config.tracking.tensorboard:
        _collect(found, "tracking.tensorboard", require_tensorboard)
    if find_spec("exponax") is None and _collect(found, "data", lambda: to_be_generated(config.data)):
        needs = "exponax, which is not installed: pip install 'universal-physics-stack[data]'"
        sentence = f"the data are not there yet, and to generate them needs {needs}"
        found.append(_about(sentence, "data.generate"))
    return found


def _machine(config: Config) -> list[Contradiction]:
    found, cpus = [], processors()
    if (config.run.threads or 1) > cpus:
        found.append(_about(f"{config.run.threads} threads, but this process has {cpus} processors", "run.threads"))
    if config.training.num_workers > READERS * cpus:
        sentence = f"expected at most {READERS} for each of {cpus} processors, found {config.training.num_workers}"
        found.append(_about(sentence, "training.num_workers"))
    return found


def _samplers(config: Config) -> list[Contradiction]:
    """Settings of samplers that no stage trains."""
    stages, found, given = config.stages, [], set()
    for name, spec in STAGES.items():
        if spec.sampler and stages.of(name).epochs:
            own = {"crps": "crps", "regression": ""}.get(config.diffusion.objective, spec.sampler)
            given.add(own if name == "diff_residual" else spec.sampler)
    wanted = config.ttc.sampler
    if config.ttc.enabled and not (given - {""} if wanted == "auto" else {wanted} & given):
        sentence = f"candidates come from a sampler ({wanted}), and no stage with epochs trains one"
        found.append(_about(sentence, "ttc.enabled", "ttc.sampler", "stages.diff_residual.epochs"))
    if "diffusion" not in given and config.evaluation.nfe not in ((), (config.diffusion.steps,)):
        sentence = "these sampling steps are those of stage diff_residual with objective flow, which is not trained"
        found.append(_about(sentence, "evaluation.nfe", "stages.diff_residual.epochs"))
    return found


def _log(config: Config) -> list[Contradiction]:
    """A log on top of something else."""
    folder = config.run.dir.absolute()
    path = (folder / config.training.log_path).resolve()
    inside = path.relative_to(folder.resolve()).parts[:1] if path.is_relative_to(folder.resolve()) else ("",)
    sentence = ""
    if path.is_dir() or not inside:
        sentence = f"{path} is a folder"
    elif inside[0] in LEFT or inside[0].startswith("checkpoints."):
        sentence = f"{path} is where the run keeps something else"
    elif path.exists() and not _is_log(path):
        sentence = f"{path} is a file of another kind, which the log would overwrite"
    return [_about(f"{sentence}; expected a file for the log", "training.log_path")] if sentence else []


def _is_log(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(1) in (b"", b"{")


def _lengths(config: Config, header: Header) -> list[Contradiction]:
    """Windows and rollouts that the trajectories are too short for."""
    found, training, evaluation = [], config.training, config.evaluation
    further = max(evaluation.also_context, default=1)
    for key, given in {"evaluation.context": evaluation.context, "evaluation.also_context": further}.items():
        if evaluation.enabled and given >= header.frames:
            sentence = f"{given} given frames need trajectories of at least {given + 1}, found {header.frames}"
            found.append(_about(sentence, key))
    horizon, stride = training.rollout_horizon if training.lambda_rollout else 1, config.data.strides[-1]
    if config.stages.of("operator").epochs and horizon * stride >= header.frames:
        steps = f"{horizon} unrolled steps" + (f" of {stride} frames" if stride > 1 else "")
        sentence = f"{steps} need trajectories of at least {horizon * stride + 1} frames, found {header.frames}"
        found.append(_about(sentence, "training.rollout_horizon" if stride == 1 or horizon > 1 else "data.strides"))
    residual = any(spec.residual and config.stages.of(name).epochs for name, spec in STAGES.items())
    share = config.diffusion.reserve
    if residual and share and math.floor(header.train * share) in (0, header.train):
        sentence = f"{share} leaves no trajectory on one side of the {header.train} of the training split"
        found.append(_about(sentence, "diffusion.reserve", "data"))
    return found


def _system(config: Config, header: Header) -> list[Contradiction]:
    """What the data are, against the task."""
    found: list[Contradiction] = []
    known = TASKS.get(header.task)
    if known and (len(known.channels), len(known.boundary)) != (len(header.channels), len(header.shape)):
        sentence = (
            f"{header.task} has the channels {', '.join(known.channels)} on {len(known.boundary)} axes, and the files "
            f"hold {', '.join(header.channels)} on {len(header.shape)}; name such data with data.files and no data.task"
        )
        found.append(_about(sentence, "data.task", "data.files"))
    return found


def _layout(config: Config, header: Header) -> list[Contradiction]:
    """What of the latent does not fit the grid of the data."""
    found: list[Contradiction] = []
    key = {"exact": "patch", "patch": "tokens", "hierarchical": "downsample"}[config.latent.codec]
    if _collect(found, f"latent.{key}", lambda: config.latent.grid(header.shape)):
        _collect(found, "latent.compression", lambda: config.latent.token_width(len(header.channels), header.shape))
    return found


def _conditioning(config: Config, header: Header) -> list[Contradiction]:
    """What test-time conditioning asks for that the data cannot give; where they are generated, the config says so."""
    found: list[Contradiction] = []
    if config.data.generate is None and config.evaluation.enabled:
        if refused := misfit(config.ttc.rewards or {}, header.task, header.boundary):
            found.append(_about(refused, "ttc.rewards", "data.task"))
        if refused := config.ttc.overdrawn(header.frames - config.evaluation.fewest_given):
            found.append(_about(refused, "ttc.max_evaluations"))
    return found
