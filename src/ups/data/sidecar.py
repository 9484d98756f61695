"""Hashes and moments of a data set, kept beside a run, so that opening the same files again reads none of their values.

The record counts while every file has the path, the size and the time of its last change that it had, and the settings
still ask for the same trajectories of it. A record that is missing, damaged or out of date is as good as none.
"""

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from ups.core.errors import UserError
from ups.core.files import replacing
from ups.core.walls import Walls
from ups.data.homogeneity import Inhomogeneity
from ups.data.settings import DataSettings

SIDECAR = "data.json"
"""Name of the record in a run folder."""
FORMAT = 4
"""Raised whenever anything in a record is computed otherwise, so that older records no longer count."""
ELSEWHERE = {"root", "files", "download", "in_memory_mb"}
"""Settings that say where the files lie or how they are held, and leave every value as it is."""


class Opened(BaseModel):
    """What cannot be told without reading values; JSON gives every float back to the bit."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    key: str
    """What the record holds for, as `key_of` says."""
    hashes: tuple[str, ...]
    """Content hash of each file that is used."""
    mean: tuple[float, ...]
    """Per channel, over the training split."""
    std: tuple[float, ...]
    """Per channel, over the training split; 0.0 for a channel that never changes."""
    walls: Walls = ()
    """As in `System`."""
    inhomogeneities: tuple[Inhomogeneity, ...]
    """How the training split shows its position along periodic axes."""


def key_of(parts: Iterable[Iterable[Path]], settings: DataSettings) -> str:
    """Hash path, size and time of last change of the files of each split, and the settings that choose among them."""
    stats = [[(str(path.resolve()), path.stat()) for path in part] for part in parts]
    files = [[(name, stat.st_size, stat.st_mtime_ns) for name, stat in part] for part in stats]
    record = [FORMAT, files, settings.model_dump(mode="json", exclude=ELSEWHERE)]
    return hashlib.sha256(json.dumps(record).encode()).hexdigest()


def recall(path: Path, key: str, files: int, channels: int) -> Opened | None:
    """Return the record in `path`, or None unless it is there, made for `key` and whole: of so many files, channels."""
    try:
        opened = Opened.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None
    whole = (len(opened.hashes), len(opened.mean), len(opened.std)) == (files, channels, channels)
    return opened if opened.key == key and whole else None


def keep(path: Path, opened: Opened) -> None:
    """Write the record to `path`; where that is refused, the next opening has to read the values again."""
    with suppress(UserError), replacing(path, shared=True) as part:
        part.write_text(opened.model_dump_json(indent=1))
