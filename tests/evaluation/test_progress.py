"""The progress of an evaluation: every trajectory of every forecaster is counted, on a terminal alone."""

from io import StringIO

from rich.console import Console

from tests.toy_process import Process
from ups.evaluation.evaluate import evaluate
from ups.evaluation.progress import ScoringBar
from ups.evaluation.settings import EvaluationSettings

SETTINGS = EvaluationSettings(members=2, lead_times=(1,), trajectories=5, batch=2, store=0, pictures=False)


def test_every_forecaster_is_told_from_its_start_to_its_last_trajectory(split, system, tmp_path):
    told = []
    forecasters = {"operator": Process(False)}
    evaluate(forecasters, split, system, SETTINGS, tmp_path, std=[1.0], progress=lambda *given: told.append(given))
    assert told == [(name, done, 5) for name in ("persistence", "operator") for done in (0, 2, 4, 5)]


def test_a_terminal_shows_name_and_count_and_anything_else_nothing():
    for terminal in (True, False):
        file = StringIO()
        with ScoringBar("scoring", Console(file=file, force_terminal=terminal, width=80)) as bar:
            bar("diffusion@8", 3, 7)
            bar.bar.refresh()
        shown = file.getvalue()
        assert ("scoring diffusion@8" in shown and "3/7" in shown) if terminal else not shown.strip()
