"""Scores the stored forecasts of a run folder again: forecasts are made once and scored any number of times."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ups.config import Config
from ups.core.errors import UserError
from ups.evaluation.rescore import FREE, rescore
from ups.evaluation.scores import ScoringProtocol, read_scores
from ups.report.figures import draw_pictures
from ups.report.scores import RunScores
from ups.run.folder import config_hash, config_of, target_of
from ups.run.score import publish


def rescore_run(
    folder: str | Path, split: str = "test", config: Config | None = None, overrides: Sequence[str] = ()
) -> RunScores:
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
    before = read_scores(target / "metrics.json", RunScores)
    _require_same_settings(config, before.protocol, target / "metrics.json")
    scores = rescore(target, before, config.evaluation, config_hash(config))
    if config.evaluation.pictures:
        scores = scores.model_copy(update={"pictures": draw_pictures(target)})
    return publish(scores, folder, split, config)


def _require_same_settings(config: Config, before: ScoringProtocol, path: Path) -> None:
    """Raises UserError where the scores in `path` come from settings whose forecasts may be others."""
    free = {name: tuple(value) if isinstance(value := getattr(before, name), list) else value for name in FREE}
    first = config.model_copy(update={"evaluation": config.evaluation.model_copy(update=free)})
    if (config_hash(first), config.run.seed) != (before.config_hash, before.seed):
        raise UserError(
            f"{path} is of other settings: without the model only evaluation.{', '.join(FREE)} can change; "
            "evaluate again without --rescore"
        )
