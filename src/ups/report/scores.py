"""The scores of a run: those of every row, and what test-time conditioning makes of it where that was compared."""

from __future__ import annotations

from typing import Any

from pydantic import SerializerFunctionWrapHandler, model_serializer

from ups.evaluation.scores import Scores
from ups.ttc.comparison import Comparison


class RunScores(Scores):
    """What the `metrics.json` of a run folder holds."""

    ttc: Comparison | None = None

    @model_serializer(mode="wrap")
    def _write(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found = handler(self)
        return {key: value for key, value in found.items() if key != "ttc" or value is not None}
