"""Gains, intervals and verdicts of the ledger."""

import re
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from ups.evaluation.ledger import duration, ledger_entries, ledger_table, paired_gain


def row(model: str, crps: list[float], *, members: int = 1, floor: bool = False, error: str | None = None) -> dict:
    scores = {"nrmse": None if error else float(np.mean(crps))}
    return {
        "model": model,
        "members": members,
        "rollout": scores,
        "member": scores,
        "one_step": scores,
        "probabilistic": {"overall": {"crps": scores["nrmse"], "spread_skill": 1.0}},
        "per_trajectory": {"crps": crps, "nrmse": crps},
        "error": error,
        "floor": floor,
        "reference": False,
        "nfe_per_step": 1.0,
        "ms_per_step": 0.5,
        "train_seconds": 600.0,
        "parameters": 10,
    }


def scores(scale: float, n: int = 40, noise: float = 0.05, seed: int = 0) -> list[float]:
    rng = np.random.default_rng(seed)
    return (scale * np.linspace(0.5, 2, n) * (1 + noise * rng.normal(size=n))).tolist()


def test_the_interval_covers_the_gain_and_is_paired():
    old, new = scores(1.0), scores(0.9, noise=0.0)
    gain = paired_gain(old, new)
    assert gain.value == pytest.approx(1 - np.mean(new) / np.mean(old))
    assert gain.low < gain.value < gain.high
    unpaired = paired_gain(old, list(np.random.default_rng(1).permutation(new)))
    assert unpaired.high - unpaired.low > 5 * (gain.high - gain.low)


def test_an_exact_improvement_of_every_trajectory_has_no_uncertainty():
    gain = paired_gain(scores(1.0), (0.8 * np.asarray(scores(1.0))).tolist())
    assert (gain.value, gain.low, gain.high) == pytest.approx((0.2, 0.2, 0.2))


def test_the_interval_of_a_ratio_of_means_covers_the_truth_in_about_95_per_cent_of_experiments():
    rng, covered = np.random.default_rng(0), 0
    for trial in range(200):
        old = rng.gamma(4.0, size=60)
        gain = paired_gain(old.tolist(), (old * rng.uniform(0.6, 1.0, size=60)).tolist(), 300, trial)
        covered += gain.low <= 0.2 <= gain.high
    assert 0.89 <= covered / 200 <= 0.99


def test_the_example_in_the_guide_compares_what_is_compared():
    guide = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text()
    _, example, _ = guide[guide.index("This is the ledger") :].split("```", 2)
    names = re.findall(r"^(?! )(?!model|─)(\S.*?)  ", example, re.MULTILINE)
    assert names == ["persistence", "autoencoder", "operator (latent space)", "operator"]
    entries = ledger_entries([row(name, scores(1.0), floor=name == "autoencoder") for name in names])
    assert re.findall(r"on (.+):", example) == [entry.against for entry in entries if entry.against]


def test_the_same_seed_gives_the_same_interval():
    assert paired_gain(scores(1), scores(0.9, seed=1), seed=3) == paired_gain(scores(1), scores(0.9, seed=1), seed=3)


def test_rows_are_compared_with_the_forecast_above_and_never_with_the_floor():
    rows = [
        row("persistence", scores(1.0)),
        row("autoencoder", scores(0.01), floor=True),
        row("operator", scores(0.5, seed=1)),
        row("residual", scores(0.5, seed=2), members=8),
        row("broken", scores(1.0), error="the rollout of broken is not finite"),
        row("distilled", scores(0.7, seed=3), members=8),
    ]
    entries = ledger_entries(rows)
    assert [entry.against for entry in entries] == [None, None, "persistence", "operator", "residual", "residual"]
    verdicts = ["", "floor", "pays", "undecided", "no score", "does not pay"]
    assert [entry.verdict for entry in entries] == verdicts


def test_test_time_conditioning_is_compared_with_the_operator_and_not_with_the_ensemble_above() -> None:
    rows = [
        row("operator", scores(0.5)),
        row("operator (latent space)", scores(0.3)),
        row("diffusion@8", scores(0.2), members=8),
    ]
    [entry] = ledger_entries([*rows, row("ttc", scores(0.4, seed=1))])[-1:]
    assert entry.against == "operator" and entry.verdict == "pays"


def test_one_trajectory_decides_nothing():
    assert ledger_entries([row("a", [1.0]), row("b", [0.1])])[1].verdict == "undecided"


def test_the_table_shows_every_row_whole_in_80_columns():
    rows = [row("persistence", scores(1.0)), row("operator", scores(0.5)), row("residual", scores(0.4), members=8)]
    rows.append(row("broken", scores(1.0), error="the rollout of broken is not finite"))
    console = Console(width=80, record=True, file=StringIO())
    console.print(ledger_table(rows))
    text = console.export_text()
    assert "…" not in text and "+50 %" in text and "[+20, +20]" in text
    assert all(name in text for name in ("persistence", "operator", "residual", "pays", "the rollout of broken"))


@pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (600, "10 min"), (10800, "3.0 h")])
def test_durations_read_well(seconds, text):
    assert duration(seconds) == text
