"""Test-time conditioning of a small trained run: costs, planted rewards, and what the evaluation says of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from scipy.stats import spearmanr
from torch import Tensor

from tests.small import PLAIN, config
from ups.config import load_config
from ups.core.errors import UserError
from ups.data.dataset import open_dataset
from ups.evaluation.evaluate import evaluate
from ups.evaluation.job import HeldOut
from ups.evaluation.settings import EvaluationSettings
from ups.run.train import train
from ups.simulate.generate import GenerateSettings
from ups.surrogate.surrogate import Surrogate
from ups.ttc.candidates import condition, judge_of
from ups.ttc.comparison import Strategy
from ups.ttc.forecast import rollout_with_ttc
from ups.ttc.forecaster import TTC, TTCForecaster, bounds_of, reward_of
from ups.ttc.plans import equal_plans
from ups.ttc.race import evaluate_ttc
from ups.ttc.ranks import RankCorrelation, Ranks, rank_correlation, truth_judge
from ups.ttc.rewards import Reward, rewards_of, weighted
from ups.ttc.search import Judge, rollout_cost
from ups.ttc.settings import TTCSettings
from ups.ttc.verdict import (
    BASELINE,
    BEAM,
    BEST,
    MEAN,
    ORACLE,
    RANDOM,
    STRATEGIES,
    sentence,
    ttc_table,
    verdict,
)

SMALL = {"hidden_dim": 16, "depths": [1], "num_heads": 2, "group_size": 8, "reserve": 0.25, "steps": 2}


@dataclass
class Cut:
    """The first `frames` frames of a split."""

    split: HeldOut
    frames: int

    @property
    def n(self) -> int:
        return self.split.n

    @property
    def times(self) -> np.ndarray:
        return self.split.times[: self.frames]

    @property
    def params(self) -> Tensor:
        return self.split.params

    def trajectories(self, start: int, stop: int) -> Tensor:
        return self.split.trajectories(start, stop)[:, : self.frames]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    stages: dict[str, Any] = {name: {**PLAIN, "epochs": 2} for name in ("autoencoder", "operator")}
    rate = {"name": "muon", "lr": 3e-2}  # members that differ
    stages["crps_ensemble"] = {**PLAIN, "epochs": 10, "optimizer": rate}
    path = config(tmp_path_factory.mktemp("ttc"), stages=stages, diffusion=SMALL)
    train(load_config(path))
    return path


@pytest.fixture(scope="module")
def surrogate(trained: Path) -> Surrogate:
    return Surrogate.load(load_config(trained).run.dir)


@pytest.fixture(scope="module")
def split(trained: Path) -> HeldOut:
    return open_dataset(load_config(trained).data).train


def exact(before: Tensor, after: Tensor, params: Tensor) -> Tensor:
    """A planted reward: minus the error against the exact solution one step ahead, beta dt = 0.02."""
    shift = torch.exp(-2j * torch.pi * torch.arange(17) * 0.02)
    truth = torch.fft.irfft(torch.fft.rfft(before) * shift, n=32)
    return -(after - truth).flatten(1).norm(dim=1)


def wrong(before: Tensor, after: Tensor, params: Tensor) -> Tensor:
    """A planted reward that likes errors."""
    return -exact(before, after, params)


def rows(result: dict) -> dict[str, dict]:
    return {row["strategy"]: row for row in result["rows"]}


@pytest.mark.parametrize("digits", [6, 0])
def test_ranks_correlate_as_scipy_says_also_with_ties(digits: int) -> None:
    rng = np.random.default_rng(0)
    a, b, group = rng.normal(size=60).round(digits), rng.normal(size=60).round(digits), np.repeat(np.arange(10), 6)
    order = rng.permutation(60)
    expected = np.mean([np.asarray(spearmanr(a[i : i + 6], b[i : i + 6]))[0] for i in range(0, 60, 6)])
    found = rank_correlation(group[order], a[order], b[order])
    assert found.value == pytest.approx(expected) and found.share == 1


def test_a_choice_whose_reward_does_not_vary_has_no_correlation() -> None:
    group, truth = np.repeat([0, 1], 4), np.tile([1.0, 2.0, 3.0, 4.0], 2)
    never = rank_correlation(group, np.zeros(8), truth)
    assert never.value is None and str(never).endswith("(the reward does not vary)")
    once = rank_correlation(group, np.append(np.zeros(4), truth[:4]), truth)
    assert (once.value, once.share) == (1, 0.5) and "1.00 in the 50 % of choices where both vary" in str(once)
    alike = rank_correlation(group, truth, np.zeros(8))
    assert alike.value is None and str(alike).endswith("(the error does not vary)")
    pair = rank_correlation(group[::2], truth[::2], truth[::2])
    assert pair.value is None and "fewer than 3 candidates a choice" in str(pair)


def test_a_candidate_that_blows_up_ranks_last() -> None:
    found = rank_correlation(np.zeros(4), np.array([3.0, 2.0, 1.0, np.nan]), np.array([3.0, 2.0, 1.0, np.nan]))
    assert found.value == pytest.approx(1)


def test_a_reward_that_knows_the_solution_chooses_as_the_oracle_does(surrogate: Surrogate, split: HeldOut) -> None:
    one_step = Cut(split, 2)
    result = evaluate_ttc(surrogate, one_step, exact, TTCSettings(candidates=6), resamples=100).model_dump()
    found = rows(result)
    assert result["correlation"] == pytest.approx(1, abs=0.02)
    assert found[BEST]["nrmse"] == pytest.approx(found[ORACLE]["nrmse"], rel=1e-4)
    assert found[ORACLE]["nrmse"] < found[RANDOM]["nrmse"] and found[ORACLE]["nrmse"] <= found[BASELINE]["nrmse"]


def test_a_reward_that_likes_errors_does_not_pay_and_the_sentence_says_so(surrogate: Surrogate, split: HeldOut) -> None:
    result = evaluate_ttc(surrogate, Cut(split, 3), wrong, TTCSettings(), resamples=100).model_dump()
    assert result["correlation"] < -0.7 and result["verdict"] == "does not pay"
    assert rows(result)[BEST]["gain"] < 0 and "does not pay" in result["sentence"]


def of_equal_cost(cost: float, own: float) -> bool:
    return 0.9 * own <= cost <= 1.15 * own


@pytest.mark.parametrize("settings", [{}, {"beam_width": 2, "horizon": 2}, {"steps": 2}, {"max_evaluations": 31}])
def test_every_strategy_spends_what_the_settings_spend(surrogate: Surrogate, split: HeldOut, settings: dict) -> None:
    result = evaluate_ttc(surrogate, split, exact, TTCSettings(candidates=5, **settings), resamples=100).model_dump()
    found, own = rows(result), BEAM if "beam_width" in settings else BEST
    assert list(found) == list(STRATEGIES) and result["strategy"] == own
    spent = {name: row["evaluations"] for name, row in found.items() if name != BASELINE}
    assert all(of_equal_cost(cost, spent[own]) for cost in spent.values()), spent
    assert found[BASELINE]["evaluations"] == 1 and found[BASELINE]["gain"] == 0
    assert spent[BEST] == spent[RANDOM] == spent[ORACLE] and found[BEST]["own_gain_low"] <= found[BEST]["own_gain"]
    if not settings:
        assert spent[BEST] == 1 + 5


@pytest.mark.parametrize("draw", [1, 7, 15])
@pytest.mark.parametrize("candidates", [3, 4, 6, 8, 16])
def test_plans_cost_the_same_as_nearly_as_whole_numbers_allow(candidates: int, draw: int) -> None:
    own, steps = TTCSettings(candidates=candidates), 40
    spent = rollout_cost(own, steps, draw)
    plans = equal_plans(own, spent, steps, draw)
    assert plans.greedy == own and plans.beam.beam_width > 1
    beam, mean = rollout_cost(plans.beam, steps, draw), plans.members * (1 + draw) * steps
    none = {(4, 1): beam / spent}  # a beam of two costs 4 or 6 evaluations a step where best-of-4 costs 5
    assert of_equal_cost(beam, spent) or beam / spent == none.get((candidates, draw))
    step = (1 + draw) * steps
    assert of_equal_cost(mean, spent) or mean - step < 0.9 * spent < mean


def test_a_margin_that_saves_evaluations_saves_them_for_all(surrogate: Surrogate, split: HeldOut) -> None:
    plan = TTCSettings(candidates=12, early_stop_margin=0.0)
    found = rows(evaluate_ttc(surrogate, split, exact, plan, resamples=100).model_dump())
    assert found[BEST]["evaluations"] < 1 + 12
    assert 0.9 * found[BEST]["evaluations"] <= found[RANDOM]["evaluations"] <= found[BEST]["evaluations"] + 1


def test_times_are_of_the_forecast_alone(surrogate: Surrogate, split: HeldOut, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, calls = SimpleNamespace(now=0.0), Counter[str]()

    def slow(name: str, judge: Judge | Reward, seconds: float) -> Any:
        def judged(*given: Any) -> Tensor:
            calls[name] += 1
            clock.now += 1000.0 if calls[name] == 1 else seconds  # slow at first, as what is compiled
            return judge(*given)

        return judged

    judges = truth_judge
    monkeypatch.setattr("ups.ttc.race.time", SimpleNamespace(perf_counter=lambda: clock.now))
    monkeypatch.setattr("ups.ttc.race.truth_judge", lambda truth, std: slow("truth", judges(truth, std), 100.0))
    result = evaluate_ttc(
        surrogate, Cut(split, 4), slow("reward", exact, 1.0), TTCSettings(), resamples=100
    ).model_dump()
    # three steps judge the prediction, then all draws at once
    assert rows(result)[BEST]["ms_per_step"] * split.n * 3 == pytest.approx(1e3 * 3 * 2)


def test_a_candidate_of_several_steps_ranks_by_their_sum() -> None:
    reward, truth = ({0: [3.0, 2.0, 1.0], 1: [0.0, 10.0, 20.0]}, {0: [1.0, 2.0, 3.0], 1: [0.0, 10.0, 20.0]})

    def says(values: dict[int, list[float]]) -> Judge:
        return lambda before, after, params, trajectory, t: torch.tensor(values[t % 2])

    for steps, expected in ((2, 1.0), (1, 0.0)):
        ranks, none = Ranks(steps), torch.zeros(3, 1)
        watched = ranks.watched(says(reward), says(truth))
        for t in range(4):
            watched(none, none, none, torch.zeros(3, dtype=torch.long), t)
        assert ranks.correlation().value == pytest.approx(expected)


def test_baseline_is_the_operator(surrogate: Surrogate, split: HeldOut) -> None:
    truth = split.trajectories(0, 4)
    u0, params = truth[:, 0], split.params[:4]
    for space in ("field", "latent"):
        lone = TTCSettings(candidates=1, max_evaluations=8)
        found = condition(surrogate, judge_of(exact), u0, 8, params, lone, space=space)
        forecast = surrogate.rollout(u0, 8, params=params, space=space)
        torch.testing.assert_close(found.values, forecast.values[:, 0])
        assert found.evaluations.tolist() == [8] * 4


def test_the_same_seed_gives_the_same_forecast(surrogate: Surrogate, split: HeldOut) -> None:
    u0, params = split.trajectories(0, 4)[:, 0], split.params[:4]
    a, b, c = (
        condition(surrogate, judge_of(wrong), u0, 3, params, TTCSettings(), seed=seed, batch=2).values
        for seed in (1, 1, 2)
    )
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_ttc_is_a_row_of_the_ledger(surrogate: Surrogate, split: HeldOut, tmp_path: Path) -> None:
    reward = weighted(rewards_of(surrogate.system, lambda: bounds_of(split), {"residual": 1.0, "bounds": 0.1}))
    forecaster = TTCForecaster(surrogate, TTCSettings(candidates=3), reward)
    metrics = evaluate(
        {TTC: forecaster},
        split,
        surrogate.system,
        EvaluationSettings(bootstrap=100, pictures=False),
        tmp_path,
        std=[1.0],
    ).model_dump()
    row = metrics["rows"][-1]
    assert row["model"] == TTC and row["nfe_per_step"] == 4 and row["members"] == 1 and row["error"] is None
    assert row["train_seconds"] > surrogate.train_seconds["operator"] and row["parameters"] > surrogate.parameters


def test_calls_of_the_row_are_those_of_its_rollouts_alone(surrogate: Surrogate, split: HeldOut, tmp_path: Path) -> None:
    # 8 steps: one evaluation each and 4 more; a single step, as in the warm-up and the one-step forecasts, has 1 + 3
    plan = TTCSettings(candidates=3, max_evaluations=12)
    settings = EvaluationSettings(bootstrap=100, pictures=False, batch=5, also_context=(3,))
    metrics = evaluate(
        {TTC: TTCForecaster(surrogate, plan, exact, 5)}, split, surrogate.system, settings, tmp_path, std=[1.0]
    ).model_dump()
    assert metrics["rows"][-1]["nfe_per_step"] == 12 / 8


def test_bounds_are_those_of_the_training_data(split: HeldOut) -> None:
    low, high = bounds_of(split)
    values = split.trajectories(0, split.n)
    assert low.tolist() == [float(values.min())] and high.tolist() == [float(values.max())]


def test_points_that_the_generator_hides_leave_the_bounds_as_reward(surrogate: Surrogate, split: HeldOut) -> None:
    hidden = GenerateSettings(pde="advection1d", observe_every=2)
    u = split.trajectories(0, 1)
    low, high = (float(bound) for bound in bounds_of(split))
    inside, outside = u[:, 0].clamp(low, high), u[:, 0].clamp(low, high) + (high - low)
    reward = reward_of(surrogate.system, [1.0], TTCSettings(), hidden, lambda: split)
    assert float(reward(inside, inside, split.params[:1])) == 0 > float(reward(inside, outside, split.params[:1]))
    with pytest.raises(UserError, match=r"ttc\.rewards: residual does not hold for advection1d observed only in part"):
        reward_of(surrogate.system, [1.0], TTCSettings(rewards={"residual": 1.0}), hidden, lambda: split)
    seen = reward_of(
        surrogate.system, [1.0], TTCSettings(), hidden.model_copy(update={"observe_every": 1}), lambda: split
    )
    assert float(seen(inside, inside, split.params[:1])) < 0, "a wave that stands still"


def test_the_table_names_every_strategy_and_the_verdict(surrogate: Surrogate, split: HeldOut) -> None:
    result = evaluate_ttc(surrogate, Cut(split, 3), exact, TTCSettings(), resamples=100)
    console = Console(width=100, record=True, file=StringIO())
    console.print(ttc_table(result))
    text = console.export_text()
    assert all(name in text for name in STRATEGIES) and "rank correlation" in text
    assert "Settings: candidates 4." in text and "no bound over a rollout" in " ".join(text.split())


Interval = tuple[float, float, float]
"""A gain and its interval."""


def race(own: Interval, over_random: Interval, over_mean: Interval) -> list[Strategy]:
    """Rows in which best-of-n has gains `own` over the operator and the others over its rivals."""
    rows = []
    for name in STRATEGIES:
        gain, low, high = own if name == BEST else (0.0, 0.0, 0.0)
        row = {
            "strategy": name,
            "evaluations": 9.0,
            "ms_per_step": 1.0,
            "nrmse": 1 - gain,
            "low": 0.0,
            "high": 2.0,
            "gain": gain,
            "gain_low": low,
            "gain_high": high,
        }
        value, low, high = {BASELINE: own, RANDOM: over_random, MEAN: over_mean}.get(name, (0.0, 0.0, 0.0))
        own_gain = {"own_gain": value, "own_gain_low": low, "own_gain_high": high}
        rows.append(Strategy.model_validate(row | own_gain))
    return rows


GAIN, LOSS, UNSURE = (0.3, 0.2, 0.4), (-0.3, -0.4, -0.2), (0.3, -0.1, 0.4)


@pytest.mark.parametrize(
    ("scores", "trajectories", "expected", "words"),
    [
        ((GAIN, GAIN, GAIN), 9, "pays", "conditioning pays: best-of-n changes the error of the operator by -30.0 %"),
        ((GAIN, LOSS, GAIN), 9, "does not pay", "; worse than random pick (error against it +30.0 % [+20.0, +40.0]);"),
        (
            (GAIN, GAIN, UNSURE),
            9,
            "undecided",
            "; no sure difference to ensemble mean (error against it -30.0 % [-40",
        ),
        ((GAIN, LOSS, UNSURE), 9, "does not pay", "; no sure difference to ensemble mean"),
        (
            (UNSURE, GAIN, GAIN),
            9,
            "undecided",
            "; no sure difference to baseline (error against it -30.0 % [-40.0, +1",
        ),
        ((GAIN, GAIN, GAIN), 1, "undecided", "conditioning is undecided: best-of-n"),
        ((LOSS, GAIN, GAIN), 9, "does not pay", "by +30.0 % [+20.0, +40.0] at 9 network calls"),
    ],
)
def test_it_pays_only_where_every_interval_is_a_gain(
    scores: tuple, trajectories: int, expected: str, words: str
) -> None:
    rows = race(*scores)
    found = verdict(rows, BEST, trajectories)
    assert found == expected and words in sentence(rows, BEST, found, RankCorrelation(0.5, 1.0))


def test_the_gain_over_a_rival_is_paired(surrogate: Surrogate, split: HeldOut) -> None:
    found = rows(evaluate_ttc(surrogate, Cut(split, 3), exact, TTCSettings(), resamples=100).model_dump())
    for row in found.values():
        assert row["own_gain"] == pytest.approx(1 - found[BEST]["nrmse"] / row["nrmse"])
        assert row["own_gain_low"] <= row["own_gain"] <= row["own_gain_high"]
    assert found[BEST]["own_gain_low"] == found[BEST]["own_gain_high"] == 0
    assert found[BASELINE]["own_gain_low"] == found[BEST]["gain_low"]


def test_a_forecast_is_that_of_the_row_and_has_one_member(surrogate: Surrogate, split: HeldOut) -> None:
    u0, params, plan = split.trajectories(0, 4)[:, 0], split.params[:4], TTCSettings(candidates=3, max_evaluations=25)
    reward = weighted(rewards_of(surrogate.system, weights={"residual": 1.0}))
    forecast = rollout_with_ttc(surrogate, u0.numpy(), 8, params=params, settings=plan, seed=3)
    found = condition(surrogate, judge_of(reward), u0, 8, params, plan, seed=3)
    assert torch.equal(forecast.values[:, 0], found.values) and forecast.evaluations == 25 / 8
    assert forecast.times.tolist() == pytest.approx([0.05 * i for i in range(1, 9)])
    liked = rollout_with_ttc(surrogate, u0, 8, params=params, settings=plan, reward=wrong, seed=3)
    assert not torch.equal(liked.values, forecast.values)
    with pytest.raises(UserError, match="the reward `bounds` of task 'advection1d' needs the range of the training d"):
        rollout_with_ttc(surrogate, u0, 8, params=params, settings=TTCSettings(rewards={"bounds": 1.0}))
    with pytest.raises(UserError, match="steps must be a whole number of at least 1, found 0"):
        rollout_with_ttc(surrogate, u0, 0, params=params)


def test_one_candidate_has_no_ranks_and_a_constant_reward_no_correlation(surrogate: Surrogate, split: HeldOut) -> None:
    lone = evaluate_ttc(surrogate, Cut(split, 3), exact, TTCSettings(candidates=1), resamples=100).model_dump()
    assert lone["correlation"] is None and "fewer than 3 candidates a choice" in lone["sentence"]
    flat = evaluate_ttc(
        surrogate, Cut(split, 3), lambda before, *_: before.new_zeros(len(before)), TTCSettings()
    ).model_dump()
    assert flat["correlation"] is None and "the reward does not vary" in flat["sentence"]
    assert "nan" not in lone["sentence"] + flat["sentence"]
    assert rows(flat)[BEST]["nrmse"] == pytest.approx(rows(flat)[BASELINE]["nrmse"], rel=1e-6)


def test_a_run_without_a_sampler_is_one_sentence(surrogate: Surrogate, split: HeldOut) -> None:
    bare = Surrogate(surrogate.model)
    with pytest.raises(UserError, match="needs a sampler for its candidates, but this run has none; train stages"):
        evaluate_ttc(bare, split, exact, TTCSettings())
    with pytest.raises(UserError, match="needs the sampler 'diffusion' for its candidates, but this run has crps"):
        evaluate_ttc(surrogate, split, exact, TTCSettings(sampler="diffusion"))
    mean = {"diffusion": replace(surrogate.heads["crps"], objective="regression")}
    with pytest.raises(UserError, match="this run has none"):
        evaluate_ttc(Surrogate(surrogate.model, heads=mean), split, exact, TTCSettings())
