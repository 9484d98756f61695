"""A data set: the files that the settings name, checked against each other, divided into splits, hashed.

Physical values throughout; normalisation is left to the models, with the statistics of the training split.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from ups.core.domain import Boundary
from ups.core.errors import UserError
from ups.core.spacing import are_alike, is_even, mean_step, without_rounding
from ups.core.system import Statistics, System
from ups.core.tasks import TASKS
from ups.data.arrays import open_mapped
from ups.data.hashes import content_hash, split_hash
from ups.data.homogeneity import Inhomogeneity, inhomogeneities_of
from ups.data.locate import Located, locate
from ups.data.pdebench import open_pdebench, task_of
from ups.data.settings import DataSettings
from ups.data.sidecar import Opened, keep, key_of, recall
from ups.data.split import Split
from ups.data.splits import Parts, places, split_rows
from ups.data.statistics import RunningMoments, relative_changes
from ups.data.storage import files_closed
from ups.data.trajectories import Trajectories
from ups.data.walls import RunningWalls

MEGABYTE = 2**20
SAMPLED = 64
"""Training trajectories whose changes say how often windows are visited."""


@dataclass(frozen=True)
class Dataset:
    """Trajectories of one system in three splits."""

    system: System
    statistics: Statistics
    train: Split
    validation: Split
    test: Split
    hash: str
    """Hash of the system, the values and the splits: equal for equal data, in whatever files they lie."""
    files: tuple[tuple[str, str], ...]
    """(name, content hash) of each file."""
    settings: DataSettings
    """With the stride in time that `subsample.dt` has led to."""
    inhomogeneities: tuple[Inhomogeneity, ...] = ()
    """How the training data show their position along periodic axes; not looked for where the task is known."""

    def visits(self, emphasis: float) -> np.ndarray | None:
        """How often windows of the training split are visited by their first frame, relative to each other,
        (frames - 1,): the relative change to the next frame to the power `emphasis`; None where all are alike."""
        if not emphasis:
            return None
        mean, std = (torch.tensor(values) for values in (self.statistics.mean, self.statistics.std))
        changes = relative_changes(self.train.one_by_one(SAMPLED), mean, std)
        return changes**emphasis if changes.any() else None

    def shift_axes(self, wanted: bool | Literal["auto"]) -> tuple[int, ...]:
        """Axes of windows `(B, T, C, *S)` along which samples are shifted: the periodic ones that are not fixed; with
        `true` also those of which the data alone say that they are."""
        asked = wanted is True and self.system.task not in TASKS
        fixed, kinds = () if asked else self.system.fixed_axes, self.system.boundary if wanted else ()
        return tuple(3 + i for i, kind in enumerate(kinds) if kind == "periodic" and i not in fixed)

    def describe(self) -> dict[str, Any]:
        """Return what a score has to carry of its data: hashes, files, strides, sizes of splits and grid."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return {
            "data_hash": self.hash,
            "task": self.system.task,
            "files": [{"name": name, "hash": content} for name, content in self.files],
            "splits": {name: {"trajectories": split.n, "hash": split.hash} for name, split in splits.items()},
            "stride": {"space": self.settings.subsample.space, "time": self.settings.subsample.time},
            "channels": list(self.system.channels),
            "shape": list(self.system.shape),
            "axes": list(self.system.axes),
            "frames": self.train.frames,
            "dt": self.system.dt,
            "boundary": list(self.system.boundary),
            **self._own_boundaries(),
            "params": list(self.system.param_names),
        }

    def _own_boundaries(self) -> dict[str, dict[str, list[str]]]:
        own = self.system.channel_boundary
        named = {name: list(kinds) for name, kinds in zip(self.system.channels, own, strict=bool(own))}
        return {"channel_boundary": named} if own else {}


def open_dataset(settings: DataSettings, *, allow_generate: bool = True, sidecar: Path | None = None) -> Dataset:
    """Find, check and split the trajectories that `settings` name, and read the training split once for its statistics.

    Missing files are generated if `data.generate` says how and `allow_generate` is true. The result depends on
    the settings and the files alone; `sidecar` keeps what reading them told, so that files that have not changed since
    are not read again, but for splits that are held in memory. Raises UserError if files are missing, damaged or unlike
    each other, hold NaN or Inf, or have too few trajectories.
    """
    located = locate(settings, allow_generate)
    with files_closed():
        files, parts, dt = open_files(settings, located)
        key = key_of(located, settings)  # before values are read: what changes meanwhile is out of date at once
        known = recall(sidecar, key, len(files), len(files[0].channels)) if sidecar else None
        dataset = _assemble(settings, files, parts, dt, known)
    if sidecar and known is None:
        hashes, moments = tuple(content for _, content in dataset.files), dataset.statistics
        walls, position = dataset.system.walls, dataset.inhomogeneities
        opened = Opened(
            key=key, hashes=hashes, mean=moments.mean, std=moments.std, walls=walls, inhomogeneities=position
        )
        keep(sidecar, opened)
    return dataset


def open_files(settings: DataSettings, located: Located) -> tuple[list[Trajectories], Parts, float]:
    """Open located files without reading their values: files, splits and time step.

    To be called within `files_closed`. Raises UserError as `open_dataset` does, but for what the values hold.
    """
    chosen = [[_choose(open_file(path, settings), settings) for path in part] for part in located]
    chosen = [[choice for choice in part if len(choice.rows)] for part in chosen]
    for name, part, paths in zip(Located._fields, chosen, located, strict=True):
        if paths and not part:
            wanted = ", ".join(f"{key} = {value}" for key, value in settings.params.items())
            names = ", ".join(map(str, paths))
            raise UserError(f"no trajectory for {name} has {wanted} (data.params) among {names}")
    files = [choice.file for part in chosen for choice in part]
    return files, _divide(chosen, settings), _check_alike(files)


def open_file(path: Path, settings: DataSettings) -> Trajectories:
    """Open one file as `settings` say, through their mapping or as PDEBench's. Raises UserError."""
    if settings.mapping is not None:
        return open_mapped(path, settings.mapping, settings.boundary, settings.subsample)
    return open_pdebench(path, _task(settings), settings.boundary, settings.subsample)


def _assemble(
    settings: DataSettings, files: Sequence[Trajectories], parts: Parts, dt: float, known: Opened | None
) -> Dataset:
    first = files[0]
    if max(settings.strides) >= first.frames:
        raise UserError(f"data.strides up to {first.frames - 1} expected, as trajectories have {first.frames} frames")
    thinned = settings.subsample.model_copy(update={"time": first.stride})
    system = System(
        channels=first.channels,
        shape=first.shape,
        coords=tuple(tuple(without_rounding(values).tolist()) for values in first.coords),
        boundary=first.boundary,
        param_names=tuple(first.params),
        dt=dt,
        task=_task(settings) or task_of(first.path),
        axes=first.axis_names,
        channel_boundary=_of_channels(settings, first),
        steps=tuple(dt * stride for stride in settings.strides),
    )
    hashes = list(known.hashes) if known else _distinct_hashes(files)
    moments, walls = RunningMoments(len(first.channels)), RunningWalls(first.boundary, len(first.channels))
    limit, gather = settings.in_memory_mb * MEGABYTE, {} if known else {"train": (moments, walls)}
    train, validation, test = (
        Split(files, part, split_hash(hashes, part), limit, *gather.get(name, ()))
        for name, part in parts._asdict().items()
    )
    mean, std = (known.mean, known.std) if known else (moments.mean.tolist(), moments.std().tolist())
    statistics = _statistics(mean, std, train)
    conditions = [system.boundary_of(channel) for channel in range(len(system.channels))]
    held = known.walls if known else walls.held(std, conditions)
    task = TASKS.get(system.task)
    position = known.inhomogeneities if known else () if task else inhomogeneities_of(train, system, statistics)
    ends = (axis for axis, kind in enumerate(system.boundary) if kind != "periodic")
    fixed = task.fixed_axes if task else tuple(sorted({*ends, *(found.axis for found in position)}))
    # the names of axes and the trained steps are no values, and what follows from the values is no news
    apart = {"axes", "param_range", "walls", "fixed_axes", "steps"}
    named = apart | (set() if system.channel_boundary else {"channel_boundary"})
    described = {name: value for name, value in system.to_dict().items() if name not in named}
    record = [described, train.times.tolist(), train.hash, validation.hash, test.hash]
    return Dataset(
        system=replace(system, param_range=_ranges(train), walls=held, fixed_axes=fixed),
        statistics=statistics,
        train=train,
        validation=validation,
        test=test,
        hash=hashlib.sha256(json.dumps(record).encode()).hexdigest(),
        files=tuple((file.path.name, content) for file, content in zip(files, hashes, strict=True)),
        settings=settings.model_copy(update={"subsample": thinned}),
        inhomogeneities=position,
    )


def _of_channels(settings: DataSettings, file: Trajectories) -> tuple[tuple[Boundary, ...], ...]:
    """Return the conditions of each channel, or none where all have those of the axes."""
    if settings.boundary is None:
        return ()
    return settings.boundary.of_channels(file.boundary, file.axis_names, file.channels, str(file.path))


def _distinct_hashes(files: Sequence[Trajectories]) -> list[str]:
    """Return the content hash of each file. Raises UserError if two are equal: one could be trained, one tested on."""
    found: dict[str, Path] = {}
    for file in files:
        content = content_hash(file)
        if content in found:
            raise UserError(f"{file.path}: holds the same trajectories as {found[content]}; remove one of them")
        found[content] = file.path
    return list(found)


def _statistics(mean: Sequence[float], std: Sequence[float], train: Split) -> Statistics:
    params = train.params.double().numpy()
    spread = params.std(axis=0)
    constant = spread <= 1e-6 * np.abs(params.mean(axis=0))
    return Statistics(
        mean=tuple(mean),
        std=tuple(std),
        param_mean=tuple(params.mean(axis=0).tolist()),
        param_std=tuple(np.where(constant, 1.0, spread).tolist()),
    )


def _ranges(train: Split) -> tuple[tuple[float, float], ...]:
    """Return the smallest and largest value of each parameter."""
    low, high = train.params.amin(0).tolist(), train.params.amax(0).tolist()
    return tuple(zip(low, high, strict=True))


class Choice(NamedTuple):
    """A file and the trajectories `(m,)` of it that are used."""

    file: Trajectories
    rows: np.ndarray


def _choose(file: Trajectories, settings: DataSettings) -> Choice:
    """Choose the trajectories of a file that have the wanted parameters, up to the limit."""
    keep = np.ones(file.n, bool)
    for name, value in settings.params.items():
        if name not in file.params:
            raise UserError(f"{file.path}: data.params.{name} is no parameter of the data; known: {list(file.params)}")
        keep &= np.isclose(file.params[name], value, rtol=1e-5, atol=0.0)
    return Choice(file, np.flatnonzero(keep)[: settings.limit])


def _divide(chosen: Sequence[Sequence[Choice]], settings: DataSettings) -> Parts:
    """Give files named for validation and test to them whole; take what has none out of the training files."""
    train, validation, test = chosen
    shares = (0.0 if validation else settings.validation, 0.0 if test else settings.test)
    parts = split_rows([choice.rows for choice in train], *shares)
    return Parts(
        parts.train,
        places([choice.rows for choice in validation], len(train)) if validation else parts.validation,
        places([choice.rows for choice in test], len(train) + len(validation)) if test else parts.test,
    )


def _check_alike(files: Sequence[Trajectories]) -> float:
    """Return the time step. Raises UserError unless all files have alike channels, parameters, even grids and times."""
    first = files[0]
    for values, what in _axes(first):
        if not is_even(values):
            steps = np.diff(values.astype(np.float64))
            raise UserError(
                f"{first.path}: evenly spaced {what} expected, found steps from {steps.min():g} to {steps.max():g}; "
                "interpolate the values to even steps (scipy.interpolate.make_interp_spline) and store those"
            )
    for file in files:
        for what, mine, theirs in (
            ("channels", file.channels, first.channels),
            ("parameters", tuple(file.params), tuple(first.params)),
            ("grid shape", file.shape, first.shape),
            ("boundary", file.boundary, first.boundary),
            ("number of frames", file.frames, first.frames),
        ):
            if mine != theirs:
                raise UserError(f"{file.path}: {what} {mine} differs from {theirs} in {first.path}")
        for (mine, what), (theirs, _) in zip(_axes(file), _axes(first), strict=True):
            if not are_alike(mine, theirs):
                raise UserError(f"{file.path}: {what} differ from those in {first.path}")
    return mean_step(first.times)


def _axes(file: Trajectories) -> list[tuple[np.ndarray, str]]:
    places = [(values, f"coordinates of spatial axis {axis}") for axis, values in enumerate(file.coords)]
    return [(file.times, "times"), *places]


def _task(settings: DataSettings) -> str:
    return settings.task or (settings.generate.pde if settings.generate else "")
