"""Test-time conditioning without networks: equations, rewards on exact solutions, and the search on planted trees."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ups.core.errors import UserError
from ups.core.system import System
from ups.core.tasks import TASKS
from ups.data.dataset import open_dataset
from ups.data.pdebench import open_pdebench
from ups.data.settings import DataSettings
from ups.simulate.generate import GenerateSettings, generate
from ups.ttc.equations import EQUATIONS
from ups.ttc.integrator import phi_1, phi_2
from ups.ttc.rewards import (
    PHYSICS,
    conserved_mean,
    falling_energy,
    maximum_principle,
    misfit,
    rewards_of,
    weighted,
    within,
)
from ups.ttc.search import SearchResult, Step, largest, rollout_cost, search
from ups.ttc.settings import TTCSettings

NO_PARAMS = torch.zeros(8, 0)


def line(task: str, points: int = 64, params: tuple[str, ...] = (), dt: float = 0.05, length: float = 1.0) -> System:
    x = tuple(length * i / points for i in range(points))
    return System(TASKS[task].channels, (points,), (x,), ("periodic",), params, dt, task)


def wave(points: int = 64, shift: float = 0.0, number: int = 1) -> Tensor:
    """sin(2 pi n (x - shift)), (1, 1, X)."""
    return torch.sin(2 * math.pi * number * (torch.arange(points) / points - shift))[None, None]


def test_phi_functions_agree_with_their_integrals() -> None:
    # phi_k(z) = int_0^1 e^((1 - s) z) s^(k - 1) / (k - 1)! ds
    z = torch.tensor([0.0, 1e-6, 0.05, 0.0999, 0.1001, -3.0, -200.0, 2.0], dtype=torch.cdouble) * (1 + 0.3j)
    nodes = (torch.arange(20_000, dtype=torch.double) + 0.5) / 20_000
    kernel = ((1 - nodes) * z[:, None]).exp()
    torch.testing.assert_close(phi_1(z), kernel.mean(1), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(phi_2(z), (kernel * nodes).mean(1), rtol=1e-5, atol=1e-6)


COARSE = {"gray_scott2d": {"resolution": 32, "points": 64}, "kolmogorov2d": {"resolution": 32, "points": 64}}
FINE = {"gray_scott2d": {"resolution": 64, "points": 64}, "kolmogorov2d": {"resolution": 64, "points": 64}}
SLOW = ("kolmogorov2d",)
"""Tasks whose generator takes more than two seconds."""


def each(tasks: Iterable[str]) -> list[Any]:
    """Tasks as parameters of a test, the slow ones marked."""
    return [pytest.param(task, marks=[pytest.mark.slow] * (task in SLOW)) for task in tasks]


def generated(settings: GenerateSettings, folder: Path, **subsample: int) -> tuple[System, Tensor, Tensor, Tensor]:
    """A generated system, its pairs of consecutive frames (R, C, *S) and their parameters (R, P)."""
    path = generate(settings, folder / "x.hdf5")
    named: dict[str, Any] = {"task": settings.pde, "files": str(path), "subsample": subsample}
    data = open_dataset(DataSettings.model_validate({**named, "validation": 0.2, "test": 0.2}))
    u = data.train.trajectories(0, data.train.n)
    params = data.train.params.repeat_interleave(u.shape[1] - 1, 0)
    return data.system, u[:, :-1].flatten(0, 1), u[:, 1:].flatten(0, 1), params


@pytest.mark.parametrize("task", each(EQUATIONS))
def test_the_truth_has_nearly_no_residual_and_a_perturbed_frame_has_its_error(task: str, tmp_path: Path) -> None:
    settings = GenerateSettings.model_validate({"pde": task, "trajectories": 5, "frames": 4, **FINE.get(task, {})})
    system, before, after, params = generated(settings, tmp_path)
    reward = rewards_of(system)["residual"][1]
    size = before.flatten(1).square().mean(1).sqrt().view(-1, *[1] * (before.ndim - 1))
    ripple = 0.1 * size * math.sqrt(2) * wave(system.shape[-1], number=3)[0, 0]
    truth, stays, off = (reward(before, u, params) for u in (after, before, after + ripple))
    floor = 0.035 if task == "kolmogorov2d" else 0.02  # its vortices have waves that the coarse grid does not hold
    assert float(truth.min()) > -floor and float(truth.mean() / stays.mean()) < 2 * floor
    assert (off < truth - 0.05).all()


@pytest.mark.parametrize(
    ("task", "every", "further"),
    [("burgers1d", {"space": 2, "time": 3}, {}), ("kdv1d", {"space": 2, "time": 3}, {}), ("ks1d", {}, {"dt": 2.0})],
)
def test_the_residual_knows_how_far_the_frames_and_points_of_thinned_data_lie_apart(
    task: str, every: dict[str, int], further: dict[str, float], tmp_path: Path
) -> None:
    settings = GenerateSettings.model_validate({"pde": task, "trajectories": 5, "frames": 7, **further})
    system, before, after, params = generated(settings, tmp_path, **every)
    assert system.dt == pytest.approx(further.get("dt", TASKS[task].dt * every.get("time", 1)))
    truth, stays = (rewards_of(system)["residual"][1](before, u, params) for u in (after, before))
    assert float(truth.min()) > -0.03 and float(truth.mean() / stays.mean()) < 0.03


def test_of_a_state_that_is_observed_in_part_only_the_bounds_hold(tmp_path: Path) -> None:
    settings = GenerateSettings(pde="ks1d", trajectories=5, frames=4, observe_every=8)
    system, before, after, params = generated(settings, tmp_path)
    seen = rewards_of(system)["residual"][1](before, after, params)
    assert float(seen.max()) < -0.05, "the equation does not hold for the points that are seen"
    bounds = (torch.tensor([-10.0]), torch.tensor([10.0]))
    assert list(rewards_of(system, lambda: bounds, hidden=True)) == ["bounds"]
    with pytest.raises(UserError, match=r"residual, mean do not hold for ks1d observed only in part, which has bounds"):
        rewards_of(system, weights={"residual": 1.0, "mean": 1.0}, hidden=True)


def test_the_residual_of_advection_is_the_size_of_the_error() -> None:
    reward = rewards_of(line("advection1d", params=("beta",)))["residual"][1]
    params = torch.tensor([[0.4]])
    assert float(reward(wave(), wave(shift=0.02), params)) == pytest.approx(0, abs=1e-5)
    for error in (0.01, 0.1):
        wrong = wave(shift=0.02) + error * wave(number=3)
        assert float(reward(wave(), wrong, params)) == pytest.approx(-error, rel=1e-3)
    assert float(reward(wave(), wave(shift=0.02), params + 0.1)) < -0.01


def test_the_residual_judges_every_trajectory_by_its_own_parameters() -> None:
    reward = rewards_of(line("advection1d", params=("beta",)))["residual"][1]
    speeds = torch.tensor([[0.1], [1.0]])
    before = wave().expand(2, 1, -1)
    right = torch.cat([wave(shift=0.05 * float(s)) for s in speeds])
    assert (reward(before, right, speeds) > -1e-5).all() and (reward(before, right.flip(0), speeds) < -0.1).all()


def test_a_mean_that_drifts_is_a_violation_of_its_size() -> None:
    before = 1 + wave()
    drift = 0.03 * math.sqrt(1.5)
    assert float(conserved_mean(before, before + drift, NO_PARAMS)) == pytest.approx(-0.03, rel=1e-4)
    assert float(conserved_mean(before, 1 + wave(shift=0.3), NO_PARAMS)) == 0  # rounding must not rank candidates


def test_energy_may_fall_but_not_grow() -> None:
    assert float(falling_energy(wave(), 0.9 * wave(), NO_PARAMS)) == 0
    assert float(falling_energy(wave(), 1.02 * wave(), NO_PARAMS)) == pytest.approx(-0.02, rel=1e-4)


def test_new_extremes_violate_the_maximum_principle() -> None:
    before = wave()
    assert float(maximum_principle(before, 0.9 * before, NO_PARAMS)) == 0
    assert float(maximum_principle(before, 1.1 * before, NO_PARAMS)) == pytest.approx(-0.2 * math.sqrt(2), rel=1e-3)


def test_bounds_hold_for_each_channel_alone() -> None:
    reward = within((torch.tensor([0.0, -1.0]), torch.tensor([1.0, 0.0])))
    u = torch.stack([torch.full((1, 8), 0.5), torch.full((1, 8), -0.5)], 1)
    assert float(reward(u, u, NO_PARAMS)) == 0
    assert float(reward(u, -u, NO_PARAMS)) == pytest.approx(-2.0)


@pytest.mark.parametrize("name", ["mean", "energy", "maximum", "bounds"])
def test_no_reward_but_the_residual_hangs_on_units_and_none_is_infinite_from_rest(name: str) -> None:
    system, unit = replace(line("advection1d"), task="weather"), 2.0**-83
    before, after = torch.cat([wave(), 0 * wave()]), torch.cat([1.1 + wave(), 0.001 * wave()])
    given = []
    for scale in (1.0, unit):
        bounds = (torch.full((1,), -scale), torch.full((1,), 0.0))
        one = rewards_of(system, lambda bounds=bounds: bounds, {name: 1.0}, std=[scale])[name][1]
        given.append(one(scale * before, scale * after, NO_PARAMS))
    assert torch.equal(given[0], given[1]) and given[0].isfinite().all() and given[0][0] < 0


def test_a_task_without_physics_is_one_sentence_unless_it_has_bounds() -> None:
    unknown = replace(line("advection1d"), task="weather")
    with pytest.raises(UserError, match="`bounds` of task 'weather' needs the range"):
        rewards_of(unknown)
    with pytest.raises(UserError, match="a PDE residual is known for periodic advection1d"):
        rewards_of(unknown, weights={"residual": 1.0})
    assert list(rewards_of(unknown, lambda: (torch.zeros(1), torch.ones(1)))) == ["bounds"]
    assert set(PHYSICS) <= set(TASKS)


LAWS = {"mean": conserved_mean, "energy": falling_energy, "maximum": maximum_principle}


@pytest.mark.parametrize("task", each(TASKS))
def test_laws_hold_for_the_solutions_of_just_the_tasks_that_claim_them(task: str, tmp_path: Path) -> None:
    settings = GenerateSettings.model_validate({"pde": task, "trajectories": 4, "frames": 6, **COARSE.get(task, {})})
    u = torch.from_numpy(open_pdebench(generate(settings, tmp_path / "x.hdf5"), task).read(slice(None)))
    for name, law in LAWS.items():
        worst = float(law(u[:, :-1].flatten(0, 1), u[:, 1:].flatten(0, 1), NO_PARAMS).min())
        assert worst > -1e-3 if name in PHYSICS[task].holds else worst < -1e-2, (name, worst)
    assert set(PHYSICS[task].weights) <= set(PHYSICS[task].holds)


def test_a_reward_that_does_not_hold_is_refused_in_a_sentence_that_names_those_that_do() -> None:
    forced = line("forced_burgers1d", params=("Nu", "sigma"))
    with pytest.raises(UserError, match=r"^ttc\.rewards: energy does not hold for forced_burgers1d, which has mean, b"):
        rewards_of(forced, weights={"energy": 1.0, "mean": 1.0})
    with pytest.raises(UserError, match=r"mean, maximum do not hold for gray_scott2d, which has residual, bounds$"):
        rewards_of(replace(forced, task="gray_scott2d"), weights={"mean": 1.0, "maximum": 1.0})
    walled = replace(line("burgers1d", params=("Nu",)), boundary=("dirichlet",))
    with pytest.raises(UserError, match=r"residual does not hold for burgers1d with boundary dirichlet, which has bou"):
        rewards_of(walled, weights={"residual": 1.0})
    assert list(rewards_of(walled, lambda: (torch.zeros(1), torch.ones(1)))) == ["bounds"]
    assert misfit({"mean": 1.0, "energy": 1.0}, "weather") is None


@pytest.mark.parametrize("task", EQUATIONS)
def test_a_known_equation_without_its_parameters_is_one_sentence(task: str) -> None:
    with pytest.raises(UserError, match=f"the PDE residual of {task} needs the parameters .*, but the data lack "):
        rewards_of(line(task, params=()))
    assert set(EQUATIONS[task].params) <= set(TASKS[task].params)


def test_weights_multiply_and_add() -> None:
    low, high = torch.tensor([-10.0]), torch.tensor([1.0])
    both = weighted({"mean": (2.0, conserved_mean), "bounds": (0.5, within((low, high)))})
    u = torch.ones(1, 1, 8)
    assert float(both(u, 3 * u, NO_PARAMS)) == pytest.approx(-(2.0 * 2 + 0.5 * 2))


# A binary tree: a state is the number of its node, 2 x for the prediction and 2 x + 1 for the draw, from the root, 1.


def numbered(draw_evaluations: int = 1) -> Step:
    return Step(
        base=lambda x, params: 2 * x,
        draw=lambda x, base, params, generator: base + 1,
        fields=lambda x, before: (x, x.unsqueeze(-1)),
        enter=lambda x, u: x,
        draw_evaluations=draw_evaluations,
    )


def planted(values: Tensor):
    """A judge that gives node k of trajectory b the reward values[b, k]."""
    return lambda before, after, params, trajectory, t: values[trajectory, after[:, 0, 0].long()]


def climb(values: Tensor, depth: int, step: Step | None = None, **settings: Any) -> SearchResult:
    root = torch.ones(len(values), 1)
    given = {"candidates": 1, "beam_width": 1, **settings}
    chosen = TTCSettings.model_construct(**{**TTCSettings().model_dump(), **given})
    generator = torch.Generator().manual_seed(0)
    return search(
        step or numbered(),
        planted(values),
        root,
        root.unsqueeze(-1),
        torch.zeros(len(root), 0),
        depth,
        chosen,
        generator,
    )


def leaf(found: SearchResult) -> list[int]:
    return found.values[:, -1, 0, 0].long().tolist()


def exhaustive(values: Tensor, depth: int) -> Tensor:
    """The largest sum of rewards over all paths of each trajectory."""
    sums = []
    for turns in itertools.product((0, 1), repeat=depth):
        node, total = 1, torch.zeros(len(values))
        for turn in turns:
            node = 2 * node + turn
            total = total + values[:, node]
        sums.append(total)
    return torch.stack(sums).amax(0)


def test_beam_search_finds_the_planted_path_that_greedy_misses() -> None:
    values = torch.zeros(2, 8)
    values[0, 2], values[0, 6] = 1.0, 5.0  # the best path goes over node 3, which greedy leaves aside
    values[1, 3], values[1, 7] = 1.0, 5.0  # here greedy is right
    assert leaf(climb(values, 2)) in ([4, 7], [5, 7])
    assert leaf(climb(values, 2, beam_width=2, horizon=2)) == [6, 7]
    assert leaf(climb(values, 2, beam_width=2, horizon=1)) in ([4, 7], [5, 7])


def test_a_wide_beam_with_a_long_horizon_is_exhaustive() -> None:
    values = torch.randn(20, 32, generator=torch.Generator().manual_seed(1))
    found = climb(values, 4, beam_width=16, horizon=4)
    torch.testing.assert_close(found.reward, exhaustive(values, 4))
    assert (climb(values, 4).reward <= found.reward + 1e-6).all() and (climb(values, 4).reward < found.reward).any()


def test_the_returned_path_earns_the_returned_reward() -> None:
    values = torch.randn(20, 64, generator=torch.Generator().manual_seed(2))
    for width, horizon, steps in ((1, 1, 1), (2, 2, 1), (3, 2, 2), (4, 5, 1)):
        found = climb(values, 5, beam_width=width, horizon=horizon, steps=steps)
        nodes = found.values[:, :, 0, 0].long()
        torch.testing.assert_close(values.gather(1, nodes).sum(1), found.reward)
        assert torch.equal(nodes[:, 1:] // 2, nodes[:, :-1]) and found.values.shape == (20, 5, 1, 1)


def test_a_choice_is_settled_when_the_horizon_has_passed() -> None:
    values = torch.zeros(1, 16)
    values[0, 2], values[0, 12] = 1.0, 5.0  # 3 -> 6 -> 12 pays off only at the third choice
    assert leaf(climb(values, 3, beam_width=4, horizon=2))[0] < 12
    assert leaf(climb(values, 3, beam_width=4, horizon=3)) == [12]


@pytest.mark.parametrize("steps,candidates,draw", [(1, 4, 1), (2, 4, 3), (3, 1, 2)])
def test_evaluations_are_those_that_the_networks_saw(steps: int, candidates: int, draw: int) -> None:
    calls = [0]

    def counted(x: Tensor, cost: int) -> Tensor:
        calls[0] += len(x) * cost
        return x

    step = Step(
        base=lambda x, params: counted(x, 1),
        draw=lambda x, base, params, generator: counted(base, draw),
        fields=lambda x, before: (x, x.unsqueeze(-1)),
        enter=lambda x, u: x,
        draw_evaluations=draw,
    )
    for options in ({}, {"beam_width": 3, "horizon": 2}, {"max_evaluations": 23}, {"early_stop_margin": 0.5}):
        calls[0] = 0
        values = torch.randn(5, 2, generator=torch.Generator().manual_seed(3))
        found = climb(values, 7, step, steps=steps, candidates=candidates, **options)
        assert int(found.evaluations.sum()) == calls[0]
        if not options:
            plan = TTCSettings(steps=steps, candidates=candidates)
            assert found.evaluations.tolist() == [rollout_cost(plan, 7, draw)] * 5
    for width in (2, 3, 5):
        calls[0] = 0
        plan = TTCSettings(steps=steps, candidates=candidates).model_copy(update={"beam_width": width, "horizon": 7})
        found = climb(torch.randn(5, 2), 7, step, **plan.model_dump(include=set(TTCSettings.model_fields)))
        assert calls[0] == 5 * rollout_cost(plan, 7, draw)


@pytest.mark.parametrize("budget", [6, 7, 11, 12, 13, 29, 30, 31, 1000])
@pytest.mark.parametrize("width", [1, 3])
def test_a_budget_is_never_exceeded_and_spent_as_far_as_it_goes(budget: int, width: int) -> None:
    values = torch.randn(6, 200, generator=torch.Generator().manual_seed(4))
    found = climb(values, 6, candidates=4, beam_width=width, horizon=3, max_evaluations=budget)
    assert (found.evaluations <= budget).all() and (found.evaluations >= 6).all()
    if width == 1:
        assert found.evaluations.tolist() == [min(budget, 6 * 5)] * 6


def test_scales_try_every_draw_at_several_distances_for_no_evaluation() -> None:
    # a state is a point of the plane, the prediction stays, draws go anywhere, the goal is at a fixed place
    step = Step(
        base=lambda x, params: x,
        draw=lambda x, base, params, generator: base + torch.randn(base.shape, generator=generator),
        fields=lambda x, before: (x, x.unsqueeze(-1)),
        enter=lambda x, u: x,
        draw_evaluations=2,
    )
    goal = torch.tensor([0.3, -0.1])

    def judge(before: Tensor, after: Tensor, params: Tensor, trajectory: Tensor, t: int) -> Tensor:
        return -(after[..., 0] - goal).norm(dim=1)

    rewards = []
    for scales in ((1.0,), (0.25, 0.5, 1.0)):
        settings, x0 = TTCSettings(candidates=3, scales=scales), torch.zeros(200, 2)
        found = search(
            step, judge, x0, x0.unsqueeze(-1), torch.zeros(200, 0), 1, settings, torch.Generator().manual_seed(0)
        )
        assert found.evaluations.tolist() == [1 + 3 * 2] * 200
        rewards.append(found.reward)
    assert (rewards[1] >= rewards[0]).all() and rewards[1].mean() > 0.8 * rewards[0].mean()


def test_a_budget_below_the_plain_rollout_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"ttc.max_evaluations must be at least the 6 steps of the rollout, found 5"):
        climb(torch.zeros(1, 64), 6, max_evaluations=5)


@pytest.mark.parametrize("options", [{}, {"beam_width": 3, "horizon": 2}, {"scales": (0.5, 1.0)}, {"steps": 2}])
def test_a_reward_that_cannot_tell_candidates_apart_changes_nothing(options: dict) -> None:
    found = climb(torch.zeros(4, 2**6), 5, candidates=4, **options)
    assert found.values[:, :, 0, 0].tolist() == [[2.0, 4.0, 8.0, 16.0, 32.0]] * 4


def test_of_equal_scores_the_first_wins() -> None:
    score = torch.zeros(3, 500)
    score[1, [7, 400]], score[2] = 1.0, -torch.inf
    values, index = largest(score, 3)
    assert index.tolist() == [[0, 1, 2], [7, 400, 0], [0, 1, 2]] and torch.equal(values, score.gather(1, index))


def test_a_clear_lead_stops_the_drawing_of_its_own_trajectory_only() -> None:
    values = torch.tensor([[0.0, 0.0, 9.0, 0.0], [0.0, 0.0, 1.0, 1.0]])  # node 2 is the prediction, 3 every draw
    found = climb(values, 1, candidates=5, early_stop_margin=2.0)
    assert found.evaluations.tolist() == [1 + 1, 1 + 5]


def test_a_candidate_that_blows_up_is_not_chosen() -> None:
    values = torch.tensor([[0.0, -3.0, -1.0, math.nan], [0.0, 0.0, math.nan, -5.0]])
    assert leaf(climb(values, 1)) == [2, 3]


def test_trajectories_do_not_hear_of_each_other() -> None:
    values = torch.randn(9, 64, generator=torch.Generator().manual_seed(5))
    together = climb(values, 5, beam_width=2, horizon=2, max_evaluations=14)
    for i in range(9):
        alone = climb(values[i : i + 1], 5, beam_width=2, horizon=2, max_evaluations=14)
        assert torch.equal(alone.values[0], together.values[i])
