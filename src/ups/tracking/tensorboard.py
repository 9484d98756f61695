"""TensorBoard event files, written from a thread of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ups.core.errors import UserError
from ups.tracking.background import Background


def require_tensorboard() -> None:
    """Raises UserError if the package is missing."""
    if find_spec("tensorboard") is None:
        raise UserError(
            "tracking.tensorboard is true, but tensorboard is not installed; "
            "pip install 'universal-physics-stack[tensorboard]', or set tracking.tensorboard=false"
        )


class TensorBoard:
    """Writes scalars, pictures and tables over the global step.

    Files are made with the first entry, which also hides the points of an earlier, interrupted training that come
    after it. Failures cost one warning and nothing else.

    Args:
        folder: Where the event files go.
    """

    def __init__(self, folder: Path):
        require_tensorboard()
        self.folder, self._writer = folder, None
        self._background = Background("TensorBoard")

    def scalars(self, values: Mapping[str, float], step: int, purge: bool = False) -> None:
        """Numbers at one step; with `purge` the first ones hide what earlier files hold from `step` on."""
        values = dict(values)
        self._background.submit(lambda: self._scalars(values, step, purge))

    def image(self, name: str, path: Path, step: int) -> None:
        """A picture file."""
        self._background.submit(lambda: self._image(name, path, step))

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int) -> None:
        """A table, as text."""
        text = "\n".join(_line(cells) for cells in (columns, ["---"] * len(columns), *rows))
        self._background.submit(lambda: self._open(None).add_text(name, text, step))

    def close(self) -> None:
        """Waits a bounded time for all that was recorded."""
        self._background.submit(lambda: self._writer.close() if self._writer else None)
        self._background.close()

    # -- on the thread -------------------------------------------------------------------------------------------------
    def _open(self, purge_step: int | None) -> Any:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self.folder), purge_step=purge_step, flush_secs=10)
        return self._writer

    def _scalars(self, values: Mapping[str, float], step: int, purge: bool) -> None:
        writer = self._open(step if purge else None)
        for name, value in values.items():
            writer.add_scalar(name, value, step)

    def _image(self, name: str, path: Path, step: int) -> None:
        import numpy as np
        from PIL import Image

        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        self._open(None).add_image(name, pixels, step, dataformats="HWC")


def _line(cells: Sequence[Any]) -> str:
    """One line of a Markdown table."""
    texts = [f"{cell:.4g}" if isinstance(cell, float) else "" if cell is None else str(cell) for cell in cells]
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"
