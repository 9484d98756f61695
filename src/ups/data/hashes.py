"""Hashes of data: what a score, a checkpoint or a cache carries to say which values it was made from."""

import hashlib
import json
from collections.abc import Sequence

import numpy as np

from ups.data.trajectories import Trajectories, blocks

WHOLE_BYTES = 64 * 2**20
SAMPLED_FRAMES = 1024


def content_hash(source: Trajectories) -> str:
    """Hash what a file contributes: axes, channels, parameters and values as read, after strides, whatever its format.

    Values are hashed whole up to 64 MiB; of more, a fixed sample of at most 1,024 frames and about 64 MiB, spread over
    all trajectories, and the size of the file.
    """
    record = {
        "n": source.n,
        "shape": source.shape,
        "channels": source.channels,
        "boundary": source.boundary,
        "coords": [values.tolist() for values in source.coords],
        "times": source.times.tolist(),
        "params": {name: values.tolist() for name, values in sorted(source.params.items())},
    }
    total, frame_bytes = source.n * source.frames, 4 * len(source.channels) * int(np.prod(source.shape))
    digest = hashlib.sha256(json.dumps(record).encode())
    if total * frame_bytes <= WHOLE_BYTES:
        for _, _, values in blocks(source, np.arange(source.n)):
            digest.update(values.data)
    else:
        digest.update(str(source.path.stat().st_size).encode())
        count = min(total, SAMPLED_FRAMES, max(16, WHOLE_BYTES // frame_bytes))
        for place in np.linspace(0, total - 1, count).astype(int):
            row, frame = divmod(int(place), source.frames)
            digest.update(source.read(slice(row, row + 1), slice(frame, frame + 1)).data)
    return digest.hexdigest()


def split_hash(files: Sequence[str], origins: np.ndarray) -> str:
    """Hash the trajectories `origins (n, 2)` of files with content hashes `files`, in their order."""
    digest = hashlib.sha256()
    for file, row in origins.tolist():
        digest.update(f"{files[file]}:{row}\n".encode())
    return digest.hexdigest()
