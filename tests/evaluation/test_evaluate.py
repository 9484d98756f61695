"""The driver on a system whose best forecasts are known: perfect members, the conditional mean, persistence."""

import json
import math
import time

import numpy as np
import pytest
import torch

from tests.toy_process import DECAY, FRAMES, KICK, Process, ToySplit, step
from ups.core.errors import UserError
from ups.evaluation.baselines import FLOOR, AutoencoderFloor, Persistence
from ups.evaluation.evaluate import evaluate, one_step
from ups.evaluation.physics import TRUTH
from ups.evaluation.rescore import rescore
from ups.evaluation.scores import read_scores
from ups.evaluation.settings import EvaluationSettings
from ups.report.figures import draw_pictures

SETTINGS = EvaluationSettings(lead_times=(1, 5), batch=25, store=4, also_context=(10,))


class Diverging(Process):
    """Leaves the finite numbers in the third step."""

    def rollout(self, truth, start, steps, params, members, seed):
        values = super().rollout(truth, start, steps, params, members, seed).clone()
        values[0, :, 2:] = math.nan
        return values


@pytest.fixture(scope="module")
def result(split, system, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    forecasters = {FLOOR: AutoencoderFloor(lambda u: 1.01 * u), "mean": Process(False), "perfect": Process(True)}
    forecasters["diverging"] = Diverging(True)
    return evaluate(forecasters, split, system, SETTINGS, folder, {"data_hash": "abc"}, std=[1.0]).model_dump(), folder


def rows(result) -> dict[str, dict]:
    return {row["model"]: row for row in result[0]["rows"]}


def test_persistence_is_always_the_first_row_and_the_ledger_follows_the_order(result):
    assert list(rows(result)) == ["persistence", FLOOR, "mean", "perfect", "diverging"]
    verdicts = [entry["verdict"] for entry in result[0]["ledger"]]
    assert verdicts == ["", "floor", "pays", "pays", "no score"]


def test_the_conditional_mean_has_the_error_the_process_prescribes(result, split):
    # after k steps the variance of the unpredictable part is KICK^2 (1 + a^2 + ... + a^(2(k-1))), a = DECAY
    variance = KICK**2 * np.cumsum(DECAY ** (2 * np.arange(FRAMES - 1)))
    stored = torch.stack([split.values[:, 0]], dim=1)
    prediction = Process(False).rollout(stored, 0, FRAMES - 1, split.params, 1, 0)[:, 0]
    measured = (prediction - split.values[:, 1:]).square().mean(dim=(0, 2, 3))
    np.testing.assert_allclose(measured, variance, rtol=0.25)
    assert rows(result)["mean"]["rollout"]["rmse"] == pytest.approx(
        (prediction - split.values[:, 1:]).square().mean(dim=-1).sqrt().mean().item(), rel=1e-6
    )


def test_perfect_members_are_calibrated_at_every_lead_time(result):
    scores = rows(result)["perfect"]["probabilistic"]
    np.testing.assert_allclose(scores["spread_skill"], 1, atol=0.12)
    assert scores["overall"]["spread_skill"] == pytest.approx(1, abs=0.06)
    assert scores["overall"]["coverage_90"] == pytest.approx(scores["nominal"]["coverage_90"], abs=0.03)
    assert scores["overall"]["reliability_distance"] < 0.15


def test_one_step_starts_every_frame_from_the_truth(result, split):
    expected = step(split.values[:, :-1], None)
    found = one_step(Process(False), split.values, split.params, SETTINGS, 0)
    torch.testing.assert_close(found[:, 0], expected)
    assert rows(result)["mean"]["one_step"]["rmse"] == pytest.approx(
        (expected - split.values[:, 1:]).square().mean(-1).sqrt().mean().item(), rel=1e-6
    )
    assert rows(result)[FLOOR]["one_step"]["nrmse"] == pytest.approx(0.01, rel=1e-4)
    assert rows(result)[FLOOR]["rollout"]["nrmse"] == pytest.approx(0.01, rel=1e-4)


def test_persistence_holds_the_last_given_frame(split):
    held = Persistence().rollout(split.values, 3, 5, split.params, 16, 0)
    assert held.shape == (60, 1, 5, 1, 32) and torch.equal(held[:, 0, 4], split.values[:, 3])


def test_given_frames_are_not_scored_in_the_second_protocol(result, split):
    scores = rows(result)["persistence"]["rollout_context_10"]
    truth, held = split.values[:, 10:].double(), split.values[:, 9:10].double()
    error, norm = (truth - held).square().mean(-1).sqrt(), truth.square().mean(-1).sqrt()
    assert scores["nrmse"] == pytest.approx((error / norm).mean().item())
    assert len(scores["nrmse_per_frame"]) == FRAMES - 10


def test_a_diverging_forecast_stops_nobody_and_is_named(result):
    assert result[0]["errors"] == [
        "the rollout of diverging is not finite in 3 of 60 trajectories, first at step 3 of 11"
    ]
    assert rows(result)["diverging"]["rollout"]["nrmse"] is None


def test_metrics_are_strict_json_with_the_protocol_beside_them(result):
    def refuse(name: str) -> float:
        raise AssertionError(f"{name} in metrics.json")

    stored = json.loads((result[1] / "metrics.json").read_text(), parse_constant=refuse)
    assert stored == json.loads(json.dumps(result[0]))
    assert stored["protocol"]["data_hash"] == "abc" and stored["protocol"]["context"] == 1
    assert stored["rows"][2]["ms_per_step"] > 0 and stored["rows"][2]["train_seconds"] == 3.0


def test_pictures_are_drawn_and_nothing_partial_is_left(result):
    names = draw_pictures(result[1])
    assert "report/fields_perfect.png" in names and all((result[1] / name).is_file() for name in names)
    assert not list(result[1].rglob("*.part"))


class Independent(Process):
    """Draws of its own, `stretch` times as far from their mean."""

    def __init__(self, stretch: float = 1.0) -> None:
        super().__init__(True, stream=1)
        self.stretch = stretch

    def rollout(self, truth, start, steps, params, members, seed):
        drawn = super().rollout(truth, start, steps, params, members, seed)
        mean = Process(False).rollout(truth, start, steps, params, 1, 0)
        return mean + self.stretch * (drawn - mean)


def test_ensembles_are_compared_with_the_true_one_beside_what_perfect_members_would_score(split, system, tmp_path):
    settings = EvaluationSettings(lead_times=(1, 5), batch=25, store=None, pictures=False)
    forecasters = {"before": Independent(), TRUTH: Process(True, role="truth"), "mean": Process(False)}
    metrics = evaluate(
        forecasters | {"perfect": Independent(), "wide": Independent(1.5)}, split, system, settings, tmp_path, std=[1.0]
    ).model_dump()
    scores = {row["model"]: row["true_ensemble"] for row in metrics["rows"]}
    assert [name for name, found in scores.items() if found is not None] == ["perfect", "wide"]
    perfect, wide = scores["perfect"], scores["wide"]
    assert perfect["lead_times"] == [1, 5]
    for at in (0, 1):
        assert perfect["mean_nrmse"][at] == pytest.approx(perfect["perfect_mean_nrmse"][at], rel=0.15)
        assert perfect["deviation_nrmse"][at] == pytest.approx(perfect["perfect_deviation_nrmse"][at], rel=0.2)
        assert perfect["deviation_ratio"][at] == pytest.approx(1, abs=0.06)
    assert wide["overall"]["deviation_ratio"] == pytest.approx(1.5, abs=0.06)
    assert wide["overall"]["deviation_nrmse"] > 2 * wide["overall"]["perfect_deviation_nrmse"]
    again = rescore(tmp_path, read_scores(tmp_path / "metrics.json"), settings, "").model_dump()
    again = {row["model"]: row["true_ensemble"] for row in again["rows"]}
    assert again == scores


@pytest.mark.parametrize(("given", "recorded"), [(None, 4), (2, 2)])
def test_members_of_one_step_forecasts_change_a_score_and_are_part_of_the_protocol(
    split, system, tmp_path, given, recorded
):
    settings = EvaluationSettings(members=4, one_step_members=given, store=0, lead_times=(1,), pictures=False)
    metrics = evaluate({"perfect": Process(True)}, split, system, settings, tmp_path, std=[1.0]).model_dump()
    assert metrics["protocol"]["one_step_members"] == recorded and metrics["protocol"]["members"] == 4
    # the error of the mean of M members that are as random as the truth has the variance (1 + 1 / M) of one kick
    expected = KICK * math.sqrt(1 + 1 / recorded)
    assert metrics["rows"][1]["one_step"]["rmse"] == pytest.approx(expected, rel=0.05)


def test_the_batch_size_does_not_change_deterministic_scores(split, system, tmp_path):
    scores = []
    for batch in (7, 60):
        settings = EvaluationSettings(batch=batch, store=0, lead_times=(1,), pictures=False)
        metrics = evaluate(
            {"mean": Process(False)}, split, system, settings, tmp_path / str(batch), std=[1.0]
        ).model_dump()
        scores.append(metrics["rows"][1]["rollout"]["nrmse"])
    assert scores[0] == pytest.approx(scores[1], rel=1e-12)


class Compiling(Process):
    """Waits whenever it meets a batch or a number of steps for the first time, as a compiler does."""

    def __init__(self) -> None:
        super().__init__(False)
        self.known: set[tuple[str, int]] = set()

    def rollout(self, truth, start, steps, params, members, seed):
        for new in {("batch", len(truth)), ("steps", steps)} - self.known:
            self.known.add(new)
            time.sleep(0.3)
        return super().rollout(truth, start, steps, params, members, seed)


def test_compilation_is_not_timed(split, system, tmp_path):
    settings = EvaluationSettings(batch=30, store=0, lead_times=(1,), pictures=False)
    metrics = evaluate({"compiling": Compiling()}, split, system, settings, tmp_path, std=[1.0]).model_dump()
    assert metrics["rows"][1]["ms_per_step"] * split.n * (FRAMES - 1) < 200


def test_trajectories_shorter_than_the_context_are_refused(split, system, tmp_path):
    with pytest.raises(UserError, match="at least 13 frames, found 12"):
        evaluate({}, split, system, EvaluationSettings(context=12), tmp_path, std=[1.0])


def test_a_forecaster_of_the_wrong_shape_is_refused(split, system, tmp_path):
    class Short(Process):
        def rollout(self, truth, start, steps, params, members, seed):
            return super().rollout(truth, start, steps + 1, params, members, seed)

    with pytest.raises(ValueError, match=r"expected a rollout of shape .* got"):
        evaluate({"short": Short(False)}, ToySplit(3), system, EvaluationSettings(), tmp_path, std=[1.0])
