"""Gains, intervals and verdicts of the ledger."""

import numpy as np
import pytest

from tests.records import row
from ups.evaluation.ledger import Gain, ledger_entries, paired_gain


def series(scale: float, n: int = 40, noise: float = 0.05, seed: int = 0) -> list[float]:
    rng = np.random.default_rng(seed)
    return (scale * np.linspace(0.5, 2, n) * (1 + noise * rng.normal(size=n))).tolist()


def test_the_interval_covers_the_gain_and_is_paired():
    old, new = series(1.0), series(0.9, noise=0.0)
    gain = paired_gain(old, new)
    assert gain.value == pytest.approx(1 - np.mean(new) / np.mean(old))
    assert gain.low < gain.value < gain.high
    unpaired = paired_gain(old, list(np.random.default_rng(1).permutation(new)))
    assert unpaired.high - unpaired.low > 5 * (gain.high - gain.low)


def test_an_exact_improvement_of_every_trajectory_has_no_uncertainty():
    gain = paired_gain(series(1.0), (0.8 * np.asarray(series(1.0))).tolist())
    assert (gain.value, gain.low, gain.high) == pytest.approx((0.2, 0.2, 0.2))


def test_the_interval_of_a_ratio_of_means_covers_the_truth_in_about_95_per_cent_of_experiments():
    rng, covered = np.random.default_rng(0), 0
    for trial in range(200):
        old = rng.gamma(4.0, size=60)
        gain = paired_gain(old.tolist(), (old * rng.uniform(0.6, 1.0, size=60)).tolist(), 300, trial)
        covered += gain.low <= 0.2 <= gain.high
    assert 0.89 <= covered / 200 <= 0.99


def test_the_same_seed_gives_the_same_interval():
    assert paired_gain(series(1), series(0.9, seed=1), seed=3) == paired_gain(series(1), series(0.9, seed=1), seed=3)


def test_rows_are_compared_with_the_forecast_above_and_never_with_the_floor():
    rows = [
        row("persistence", series(1.0)),
        row("autoencoder", series(0.01), role="floor"),
        row("operator", series(0.5, seed=1)),
        row("residual", series(0.5, seed=2), members=8),
        row("broken", series(1.0), error="the rollout of broken is not finite"),
        row("distilled", series(0.7, seed=3), members=8),
    ]
    entries = ledger_entries(rows)
    assert [entry.against for entry in entries] == [None, None, "persistence", "operator", "residual", "residual"]
    verdicts = ["", "floor", "pays", "undecided", "no score", "does not pay"]
    assert [entry.verdict for entry in entries] == verdicts


def test_test_time_conditioning_is_compared_with_the_operator_and_not_with_the_ensemble_above() -> None:
    rows = [
        row("operator", series(0.5)),
        row("operator (latent space)", series(0.3)),
        row("diffusion@8", series(0.2), members=8),
    ]
    ttc = row("ttc", series(0.4, seed=1), role="informed", built_on="operator")
    [entry] = ledger_entries([*rows, ttc])[-1:]
    assert entry.against == "operator" and entry.verdict == "pays"


def test_one_trajectory_decides_nothing():
    assert ledger_entries([row("a", [1.0]), row("b", [0.1])])[1].verdict == "undecided"


def test_a_row_of_the_steady_state_is_compared_with_rows_of_the_same_trajectories_alone() -> None:
    settled = {"trajectories": 40, "of": 50, "tolerance": 0.1}
    rows = [
        row("persistence", series(1.0), role="baseline"),
        row("operator", series(0.5), built_on="persistence"),
        row("operator@T", series(0.4), steady=settled),
        row("steady_prior", series(0.3), steady=settled, built_on="operator@T"),
    ]
    assert [entry.against for entry in ledger_entries(rows)] == [None, "persistence", None, "operator@T"]
    rows[2] = row("operator@T", series(0.4), steady=settled, error="the rollout of operator@T is not finite")
    assert ledger_entries(rows)[3].against is None


def test_a_gain_over_an_exact_forecast_is_finite():
    """Where nothing changes persistence is exact: 0/0 is no gain, and worse than exact is a loss with a bound."""
    assert paired_gain([0.0] * 4, [0.0] * 4) == Gain(value=0.0, low=0.0, high=0.0)
    assert paired_gain([0.0] * 4, [1e-3] * 4).value == pytest.approx(-999)
    assert paired_gain([1e-3] * 4, [0.0] * 4).value == pytest.approx(0.999)
    some = paired_gain([0.0, 0.0, 0.0, 1.0], [0.1] * 4)
    assert np.isfinite([some.value, some.low, some.high]).all()


def test_an_ensemble_pays_only_where_it_beats_the_dressed_operator_in_crps_and_in_the_energy_score():
    def ensemble(name: str, crps: float, energy: float, seed: int):
        scored = row(name, series(crps, seed=seed), members=8, built_on="operator")
        curves = scored.per_trajectory.model_copy(update={"energy": series(energy, seed=seed)})
        return scored.model_copy(update={"per_trajectory": curves})

    rows = [
        row("operator", series(1.0)),
        ensemble("dressed operator", 0.7, 0.7, 1),
        ensemble("both", 0.6, 0.6, 2),
        ensemble("points alone", 0.6, 0.7, 1),
        ensemble("worse together", 0.6, 0.8, 4),
        ensemble("as noise", 0.7, 0.7, 1),
    ]
    entries = ledger_entries(rows)
    assert [entry.against for entry in entries] == [None, "operator", *["dressed operator"] * 4]
    assert [entry.verdict for entry in entries[2:]] == ["pays", "undecided", "does not pay", "undecided"]
    assert entries[1].gain_energy is None and entries[2].gain_energy is not None
