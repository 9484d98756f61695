"""Gates: what passes, what fails, and that the reason is said."""

from dataclasses import replace
from typing import Any

import pytest

from tests.records import protocol, scores
from tests.records import row as score_row
from ups.core.errors import UserError
from ups.evaluation.row import Row
from ups.orchestrate.gates import (
    PROTOCOL,
    Champion,
    GateSettings,
    best_model,
    cost,
    judge,
    protocol_hash,
    scores_of,
)
from ups.orchestrate.leaderboard import Entry, champion, entry_of

BEST = Champion("wide", "operator", {"nrmse": 0.10, "crps": 0.05, "spread_skill": 0.9})


def row(model: str, nrmse: float | None, **more: Any) -> Row:
    """A row of an evaluation; without a score where there is none."""
    return score_row(model, [0.1] * 4, nrmse, error=None if nrmse else "not finite", **{"members": 8, **more})


def entry(run: str, nrmse: float | None, gate: str = "passed", **changed: Any) -> Entry:
    """An entry of the leaderboard."""
    found = scores([row("operator", nrmse)], **changed)
    about = {"gate": gate, "weights_hash": "", "finished": "", "tags": "", "notes": "", "reason": ""}
    return entry_of(found, "operator", run=run, folder=run, **about)


def test_without_a_champion_a_run_passes_and_it_is_said() -> None:
    decision = judge({"nrmse": 9.0}, None, GateSettings())
    assert decision.passed and decision.champion is None
    assert decision.sentence == "passed: no other run stands on this protocol, so there is nothing to beat"


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
@pytest.mark.parametrize("against", [None, BEST])
def test_a_missing_score_fails_with_and_without_a_champion(value: float | None, against: Champion | None) -> None:
    decision = judge({"nrmse": value}, against, GateSettings(), "the rollout is not finite")
    assert not decision.passed
    assert decision.sentence == "failed: nrmse is missing (the rollout is not finite)"


@pytest.mark.parametrize(
    ("value", "ratio", "passed"), [(0.1, 1.0, True), (0.1001, 1.0, False), (0.095, 0.9, False), (0.109, 1.1, True)]
)
def test_the_ratio_is_the_largest_share_of_the_champions_score_that_passes(
    value: float, ratio: float, passed: bool
) -> None:
    decision = judge({"nrmse": value}, BEST, GateSettings(ratio=ratio))
    assert decision.passed is passed and decision.champion == "wide"
    assert decision.checks[0].limit == pytest.approx(0.1 * ratio)


def test_a_failed_gate_says_what_was_found_and_what_was_asked_for() -> None:
    assert judge({"nrmse": 0.2}, BEST, GateSettings()).sentence == (
        "failed: nrmse 0.2 is above that of the champion wide, 0.1"
    )
    assert judge({"nrmse": 0.2}, BEST, GateSettings(ratio=0.9)).sentence == (
        "failed: nrmse 0.2 is above 0.09, 0.9 times that of the champion wide, 0.1"
    )


@pytest.mark.parametrize(("delta", "passed"), [(0.01, True), (0.0101, False), (-0.5, True)])
def test_a_delta_asks_for_a_gain_and_a_negative_one_tolerates_a_loss(delta: float, passed: bool) -> None:
    decision = judge({"nrmse": 0.1, "crps": 0.04}, BEST, GateSettings(min_deltas={"crps": delta}))
    assert [check.passed for check in decision.checks] == [True, passed] and decision.passed is passed


@pytest.mark.parametrize(
    ("delta", "sentence"),
    [
        (0.01, "crps 0.06 is above 0.04, 0.01 below that of the champion wide, 0.05"),
        (0.0, "crps 0.06 is above that of the champion wide, 0.05"),
        (-0.3, "crps 0.06 is at most 0.35, 0.3 above that of the champion wide, 0.05"),
    ],
)
def test_a_delta_is_said_as_a_distance_below_or_above_the_champion(delta: float, sentence: str) -> None:
    decision = judge({"nrmse": 0.1, "crps": 0.06}, BEST, GateSettings(min_deltas={"crps": delta}))
    assert decision.checks[1].sentence == sentence


def test_all_that_fails_is_named_at_once() -> None:
    sentence = judge({"nrmse": 0.2, "crps": None}, BEST, GateSettings(min_deltas={"crps": 0.0})).sentence
    assert "nrmse 0.2 is above" in sentence and "crps is missing" in sentence


def test_a_champion_without_the_score_cannot_be_beaten_in_it() -> None:
    decision = judge({"nrmse": 0.1, "vrmse": 0.1}, BEST, GateSettings(min_deltas={"vrmse": 0.0}))
    assert not decision.passed and "vrmse of the champion wide is missing" in decision.sentence


def test_spread_skill_is_judged_by_its_distance_from_1() -> None:
    settings = GateSettings(metric="spread_skill")
    assert cost("spread_skill", {"spread_skill": 1.2}) == pytest.approx(0.2)
    assert judge({"spread_skill": 1.05}, BEST, settings).passed
    assert not judge({"spread_skill": 0.8}, BEST, settings).passed


def test_spread_skill_of_a_single_forecast_is_missing() -> None:
    assert scores_of(row("operator", 0.1, members=1))["spread_skill"] is None
    assert scores_of(row("operator", 0.1))["spread_skill"] == 1.0


@pytest.mark.parametrize("name", PROTOCOL)
def test_every_field_that_makes_scores_comparable_changes_the_hash(name: str) -> None:
    assert protocol_hash(protocol().model_copy(update={name: "other"})) != protocol_hash(protocol())


@pytest.mark.parametrize("name", ["seed", "batch", "threads", "config_hash"])
def test_what_only_costs_time_or_chance_does_not(name: str) -> None:
    assert protocol_hash(protocol().model_copy(update={name: "other"})) == protocol_hash(protocol())


def test_the_champion_is_the_best_run_of_the_protocol() -> None:
    board = [entry("a", 0.3), entry("b", 0.1), entry("c", None), entry("d", 0.2)]
    found = champion(board, board[0].protocol, "nrmse", "new")
    assert found is not None and (found.run, found.scores["nrmse"]) == ("b", 0.1)


def test_a_run_is_never_its_own_champion() -> None:
    board = [entry("a", 0.3), entry("b", 0.1)]
    found = champion(board, board[0].protocol, "nrmse", "b")
    assert found is not None and found.run == "a"
    assert champion(board[1:], board[0].protocol, "nrmse", "b") is None


def test_a_champion_never_comes_from_another_protocol() -> None:
    board = [entry("a", 0.1, members=16)]
    assert champion(board, protocol_hash(protocol()), "nrmse", "new") is None


def test_a_run_that_failed_its_gate_is_no_champion() -> None:
    board = [entry("a", 0.1, gate="failed"), entry("b", 0.3)]
    found = champion(board, board[0].protocol, "nrmse", "new")
    assert found is not None and found.run == "b"


def test_a_champion_without_the_score_that_counts_is_none() -> None:
    board = [replace(entry("a", 0.1), vrmse=None)]
    assert champion(board, board[0].protocol, "vrmse", "new") is None


def test_the_best_model_is_no_baseline_no_solver_no_floor_no_steady_state_and_knows_no_equation() -> None:
    rows = [
        row("persistence", 0.01, role="baseline"),
        row("autoencoder", 0.01, role="floor"),
        row("solver@32", 0.01, role="solver"),
        row("fno", 0.01, role="peer"),
        row("operator@T", 0.01, steady={"trajectories": 4, "of": 9, "tolerance": 0.1}),
        row("operator", 0.3),
        row("diffusion@8", 0.2),
        row("consistency@1", None),
        row("ttc", 0.1, role="informed"),
    ]
    assert best_model(scores(rows), "nrmse") == "diffusion@8"
    assert best_model(scores(rows[:5]), "nrmse") == "operator"


@pytest.mark.parametrize(
    "settings", [{"metric": "beauty"}, {"ratio": 0.0}, {"ratio": float("nan")}, {"min_deltas": {"nrmse": float("inf")}}]
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        GateSettings(**settings)
