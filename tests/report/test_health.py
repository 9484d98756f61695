"""What a training log says: every trouble is named with its cure, and a healthy log raises no alarm."""

import math
from typing import Any

import pytest

from ups.report.health import findings, health


def log(norms: list[float | None], scores: list[float] | None = None, **more: Any) -> list[dict[str, Any]]:
    """Epochs of the stage `operator` with these gradient norms and validation scores."""
    scores = scores or [1 / (i + 1) for i in range(len(norms))]
    pairs = enumerate(zip(norms, scores, strict=True), start=1)
    return [
        {"stage": "operator", "epoch": i, "loss": 0.1, "grad_norm": norm, "score": score, **more}
        for i, (norm, score) in pairs
    ]


@pytest.mark.parametrize(
    ("norm", "level", "says"),
    [
        (0.0005, "look", "far below 0.01: gradients vanish"),
        (0.005, "look", "below 0.01: gradients vanish"),
        (0.01, "good", "healthy range"),
        (1.0, "good", "healthy range"),
        (2.0, "look", "above 1: set training.grad_clip or lower the learning rate"),
        (10.0, "look", "above 1"),
        (11.0, "bad", "above 10: gradients explode"),
    ],
)
def test_the_median_gradient_norm_is_read_by_its_range(norm, level, says):
    found = findings(log([norm] * 4))
    assert [finding.level for finding in found] == [level] and says in found[0].sentence


def test_a_clipped_norm_above_one_is_no_alarm_and_one_above_ten_is_worth_a_look():
    assert [f.level for f in findings(log([3.0] * 4), grad_clip=1.0)] == ["good"]
    found = findings(log([30.0] * 4), grad_clip=1.0)
    assert found[0].level == "look" and "clipped at 1" in found[0].sentence


def test_a_spike_is_named_with_its_epoch_and_one_large_epoch_does_not_move_the_median():
    found = findings(log([0.5, 0.5, 40.0, 0.5]))
    assert "healthy range" in found[0].remark and found[1].level == "bad"
    assert "spikes to 40 in epoch 3, 80 times its median" in found[1].remark
    assert findings(log([0.5, 0.5, 40.0, 0.5]), grad_clip=1.0)[1].level == "look"


def test_inverse_losses_are_suspected_where_they_are_on():
    assert "inverse_loss_warmup_epochs" in health(log([30.0] * 4, L_inv_enc=0.1))[0]
    assert "inverse_loss_warmup_epochs" not in health(log([30.0] * 4, L_inv_enc=0.0))[0]


@pytest.mark.parametrize("lost", [None, math.nan, math.inf])
def test_numbers_that_are_not_finite_are_found_first(lost):
    found = findings(log([0.5, lost, lost]))
    assert found[0].level == "bad" and "gradient norm is not a finite number in epoch 2 and 1 more" in found[0].sentence
    assert findings([{"stage": "a", "epoch": 7, "loss": lost}])[0].sentence == (
        "a: the loss is not a finite number in epoch 7."
    )


def test_overfitting_is_told_from_a_score_that_still_falls_and_one_that_has_settled():
    n = 20
    falls = [1 / (i + 1) for i in range(n)]
    rises = [1 / (i + 1) if i < 5 else 0.2 + 0.02 * i for i in range(n)]
    settled = [max(0.1, 1 / (i + 1)) for i in range(n)]
    assert "train longer" in health(log([0.5] * n, falls))[-1]
    assert "overfits" in health(log([0.5] * n, rises))[-1] and "epoch 5 of 20" in health(log([0.5] * n, rises))[-1]
    assert "has settled" in health(log([0.5] * n, settled))[-1]


def test_stages_are_judged_apart_in_the_order_of_training():
    entries = [{**entry, "stage": stage} for stage in ("b", "a") for entry in log([0.5] * 3)]
    entries += [{"stage": "a", "note": "no epoch"}, {"message": "no stage"}]
    assert [finding.stage for finding in findings(entries)] == ["b", "a"]


def test_a_healthy_log_has_nothing_but_good_news_and_an_empty_one_has_none():
    scores = [max(0.1, 1 / (i + 1)) for i in range(20)]
    assert {finding.level for finding in findings(log([0.3] * 20, scores))} == {"good"}
    assert health([]) == []
