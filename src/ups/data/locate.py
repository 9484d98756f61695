"""Find the files that `data` names, or generate them where the settings say so."""

import glob
import json
from pathlib import Path
from typing import NamedTuple

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ups.core.errors import UserError
from ups.core.tasks import find_task
from ups.data.pdebench import find_published
from ups.data.settings import DataSettings
from ups.data.storage import hdf5_attributes
from ups.simulate.generate import GenerateSettings, generate, published_path


class Located(NamedTuple):
    """The files of each split; a split without files is taken out of the training files."""

    train: tuple[Path, ...]
    validation: tuple[Path, ...] = ()
    test: tuple[Path, ...] = ()


def locate(settings: DataSettings, allow_generate: bool = True) -> Located:
    """Return the files to read; with `data.generate` they are generated first, unless they are there.

    Raises UserError if files are missing, naming the command that generates them, or if a file is named twice.
    """
    if settings.files is not None:
        files = settings.files
        return _distinct(Located(_expand(files.train), _expand(files.validation), _expand(files.test)))
    root = Path(settings.root)
    if settings.generate is not None:
        return Located((_generated(settings, settings.generate, root, allow_generate),))
    task = settings.task or ""
    find_task(task)
    found = find_published(root, task)
    if not found:
        raise UserError(_missing(task, root, settings.download))
    return Located(tuple(found))


def to_be_generated(settings: DataSettings) -> bool:
    """Whether `locate` would generate the data first."""
    wanted, root = settings.generate, Path(settings.root)
    if wanted is None:
        return False
    name = published_path(root, wanted).name
    return all(found.name != name for found in find_published(root, wanted.pde))


def _generated(settings: DataSettings, wanted: GenerateSettings, root: Path, allow: bool) -> Path:
    """Return the one file that `data.generate` describes, wherever under root it lies."""
    if settings.task not in (None, wanted.pde):
        raise UserError(f"data.task is {settings.task!r} but data.generate.pde is {wanted.pde!r}; make them the same")
    path = published_path(root, wanted)
    present = [found for found in find_published(root, wanted.pde) if found.name == path.name]
    if present:
        _check_generated(present[0], wanted)
        return present[0]
    if not allow:
        raise UserError(_missing(wanted.pde, root, download=False))
    return generate_with_bar(wanted, path)


def _check_generated(path: Path, wanted: GenerateSettings) -> None:
    """Raise UserError if a generated file was generated with other settings; a published file states none."""
    stated = hdf5_attributes(path).get("settings")
    if stated is None:
        return
    chosen = {"points", "substeps"} - wanted.model_fields_set  # rules of the solver, no property of the data wanted
    more = set() if wanted.members else {"members"}  # a second file, which leaves the trajectories as they are
    mine = json.loads(wanted.resolved().model_dump_json(exclude=chosen | more))
    theirs = json.loads(str(stated))
    other = [f"{key} = {theirs.get(key)}, not {value}" for key, value in mine.items() if theirs.get(key) != value]
    if other:
        raise UserError(
            f"{path} was generated with {'; '.join(other)}: move it away, or change data.root or data.generate"
        )


def generate_with_bar(settings: GenerateSettings, path: Path) -> Path:
    """Generate trajectories into `path` under a progress bar; returns the path."""
    columns = (
        TextColumn(f"generating {settings.pde}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("trajectories ({task.percentage:.1f} %)"),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as bar:
        task = bar.add_task("", total=settings.trajectories)
        return generate(settings, path, lambda done, total: bar.update(task, completed=done, total=total))


def _missing(task: str, root: Path, download: bool) -> str:
    command = f"ups data generate {task} --root {root}"
    reason = " and data.download cannot fetch them: nothing is downloaded here" if download else ""
    return f"no files of {task} under {root}{reason}; generate them with `{command}` or copy PDEBench's files there"


def _expand(entries: tuple[str, ...]) -> tuple[Path, ...]:
    """Return the paths, with patterns such as `runs/*.npz` replaced by the files they match, in order."""
    paths: list[Path] = []
    for entry in entries:
        matches = (
            sorted(glob.glob(entry, recursive=True)) if glob.has_magic(entry) and not Path(entry).exists() else [entry]
        )
        if not matches:
            raise UserError(f"data.files: no file matches {entry!r}")
        paths += map(Path, matches)
    return tuple(paths)


def _distinct(files: Located) -> Located:
    seen: dict[Path, str] = {}
    for part, paths in files._asdict().items():
        for path in paths:
            if (real := path.resolve()) in seen:
                raise UserError(f"{path} is named twice, in data.files.{seen[real]} and data.files.{part}")
            seen[real] = part
    return files
