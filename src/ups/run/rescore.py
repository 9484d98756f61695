"""Scores the stored forecasts of a run folder again: forecasts are made once and scored any number of times."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ups.config import Config
from ups.core.errors import UserError
from ups.evaluation.evaluate import read_metrics
from ups.evaluation.rescore import FREE, rescore
from ups.report.figures import draw_pictures
from ups.run.score import config_hash, config_of, publish, target_of


def rescore_run(
    folder: str | Path, split: str = "test", config: Config | None = None, overrides: Sequence[str] = ()
) -> dict[str, Any]:
    """Scores `predictions.h5` again, without model and data, and writes `metrics.json`, pictures and report anew.

    Args:
        folder: A run folder that was evaluated with `evaluation.store: null`, or with few trajectories.
        split: `test` or `validation`.
        config: The run's config; read from the folder unless given.
        overrides: Where it is read: the settings that were given to the evaluation, and changes of those in `FREE`.

    Returns:
        What `metrics.json` holds.

    Raises:
        UserError: Nothing was scored, other settings than those in `FREE` differ, or not all forecasts were stored.
    """
    folder = Path(folder)
    config, target = config or config_of(folder, overrides), target_of(folder, split)
    _require_same_settings(config, target / "metrics.json")
    metrics = rescore(target, config.evaluation, config_hash(config))
    if config.evaluation.pictures:
        metrics["pictures"] = draw_pictures(metrics, target)
    publish(metrics, folder, split, config)
    return metrics


def _require_same_settings(config: Config, path: Path) -> None:
    """Raises UserError where the scores in `path` come from settings whose forecasts may be others."""
    before = read_metrics(path)["protocol"]
    free = {name: tuple(value) if isinstance(value := before.get(name), list) else value for name in FREE}
    first = config.model_copy(update={"evaluation": config.evaluation.model_copy(update=free)})
    if (config_hash(first), config.run.seed) != (before.get("config_hash"), before.get("seed")):
        raise UserError(
            f"{path} is of other settings: without the model only evaluation.{', '.join(FREE)} can change; "
            "evaluate again without --rescore"
        )
