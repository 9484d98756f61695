"""What holds for every stage: it reads what it may, leaves what it builds on, and needs nothing but files."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.small import Hiding, config
from tests.training.toy import Memory
from ups.config import load_config
from ups.core.errors import UserError
from ups.core.stages import STAGES
from ups.data.split import Split
from ups.run.train import prepare, run, train
from ups.stages import autoencoder, distill, operator, residual
from ups.stages.autoencoder import held_means, new_model
from ups.stages.build import build_stage
from ups.stages.context import Context
from ups.tracking.jsonl import read_log
from ups.training import checkpoint
from ups.training.loop import fit
from ups.training.settings import StageSettings
from ups.training.stage import Progress, Stage

MODEL = {"hidden_dim": 16, "depths": [1], "num_heads": 2, "group_size": 8, "reserve": 0.25, "steps": 2}
RESERVED = {3, 7, 11}
"""Every fourth of the trajectories."""
EVALUATION = {"bootstrap": 100, "pictures": False, "members": 2, "one_step_members": 1}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config of a run of all stages, trained in one call."""
    stages: dict[str, dict[str, Any]] = {name: {"epochs": 2} for name in STAGES}
    stages["steady_prior"] |= {"tolerance": 100.0, "num_steps": 2}
    made = config(
        tmp_path_factory.mktemp("all"),
        stages=stages,
        diffusion=MODEL,
        training={"batch_size": 8, "steps_per_epoch": 2, "ema_decay": 0.9, "input_noise": 0.1},
    )
    train(load_config(made))
    return made


def files(run_folder: Path, *stages: str) -> dict[str, bytes]:
    """The contents of all files of stages in a run folder."""
    found = [p for s in stages for p in (run_folder / "checkpoints").glob(f"{STAGES[s].stem}*.pt")]
    return {path.name: path.read_bytes() for path in found}


def test_stages_trained_one_by_one_equal_those_of_one_call_and_leave_their_predecessors_alone(
    path: Path, tmp_path: Path
) -> None:
    """Between two stages all generators are put where another process might have them."""
    alone, done = load_config(path, [f"run.dir={tmp_path / 'alone'}"]), []
    for i, name in enumerate(STAGES):
        torch.manual_seed(i)
        np.random.seed(i)
        random.seed(i)
        before = files(alone.run.dir, *done)
        train(alone, name)
        assert files(alone.run.dir, *done) == before and len(before) == 3 * len(done)
        done.append(name)
    for stem in (spec.stem + kind for spec in STAGES.values() for kind in ("", "_ema")):
        one, two = (
            checkpoint.load(folder / "checkpoints" / f"{stem}.pt")["state"]
            for folder in (alone.run.dir, load_config(path).run.dir)
        )
        assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one), stem


def kept(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[Any]:
    """What a function returns from now on."""
    found, original = [], getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *given: found.append(original(*given)) or found[-1])
    return found


@pytest.mark.parametrize("name", ["diff_residual", "crps_ensemble", "consistency_distill", "steady_prior"])
def test_training_changes_its_own_model_and_not_the_ones_it_works_with(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    context = prepare(load_config(path))
    others = [kept(monkeypatch, operator, "load"), kept(monkeypatch, distill, "load_teacher")]
    stage = build_stage(context, name)
    frozen = [model for found in others for model in found]
    assert len(frozen) == (2 if name == "consistency_distill" else 1)
    before, own = [checkpoint.digest(model) for model in frozen], checkpoint.digest(stage.model)
    fit(stage, StageSettings(epochs=2), context.training, tmp_path, Memory())
    assert [checkpoint.digest(model) for model in frozen] == before
    assert not any(p.requires_grad or p.grad is not None for model in frozen for p in model.parameters())
    assert checkpoint.digest(stage.model) != own


def calls(model: nn.Module) -> list[int]:
    """Sizes of the batches that a model works on from now on."""
    sizes: list[int] = []
    model.register_forward_hook(lambda module, given, found: sizes.append(len(getattr(found, "z", found))))
    return sizes


@pytest.mark.parametrize("micro", [None, 3, 1])
def test_operator_and_teacher_work_once_per_batch_for_all_levels_and_pieces(
    path: Path, monkeypatch: pytest.MonkeyPatch, micro: int | None
) -> None:
    taus, start = 3, Progress(0, 0.0, 0.0)
    options = [
        f"stages.consistency_distill.{key}" for key in (f"distill_num_taus={taus}", f"distill_micro_batch={micro}")
    ]
    loaded, teachers = kept(monkeypatch, operator, "load"), kept(monkeypatch, distill, "load_teacher")
    stage = distill.build(prepare(load_config(path, [option.replace("None", "null") for option in options])))
    predicted, taught, learnt = calls(loaded[0].operator), calls(teachers[0]), calls(stage.model)
    for chunk, _ in stage.chunks(next(stage.batches(0)), start):
        stage.loss(stage.model, chunk, start)
    assert predicted == [8] and taught == [8 * taus] * 2  # a step of Heun's method evaluates twice
    pieces = [min(micro or 8, 8 - first) * taus for first in range(0, 8, micro or 8)]
    assert learnt == [size for size in pieces for _ in range(2)]  # at both ends of the teacher's step


def reads(monkeypatch: pytest.MonkeyPatch, split: Split) -> set[int]:
    """The rows of a split that are read from now on."""
    seen: set[int] = set()
    windows, trajectories = split.windows, split.trajectories

    def some(rows: np.ndarray, start: np.ndarray, length: int, stride: np.ndarray | int = 1) -> torch.Tensor:
        seen.update(rows.tolist())
        return windows(rows, start, length, stride)

    def whole(start: int, stop: int) -> torch.Tensor:
        seen.update(range(start, stop))
        return trajectories(start, stop)

    monkeypatch.setattr(split, "windows", some)
    monkeypatch.setattr(split, "trajectories", whole)
    return seen


@pytest.mark.parametrize("build", [autoencoder.build, operator.build])
def test_codec_and_operator_are_trained_on_all_trajectories_but_the_reserved(
    path: Path, monkeypatch: pytest.MonkeyPatch, build: Callable[[Context], Stage]
) -> None:
    context = prepare(load_config(path, ["training.steps_per_epoch=null"]))
    stage = build(context)
    seen, batches = reads(monkeypatch, context.data.train), stage.batches(0)
    for _ in range(stage.steps_per_epoch):
        next(batches)
    assert seen == set(range(context.data.train.n)) - RESERVED


def test_residuals_are_learnt_on_the_reserved_trajectories_alone(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = replace(prepare(load_config(path)), folder=tmp_path)
    model = new_model(context)
    seen = reads(monkeypatch, context.data.train)
    latents = residual.reserved_latents(context, model)
    assert seen == RESERVED and len(latents) == 3
    frames = next(residual.pair_loader(context, "diff_residual", latents)(0)).frames
    known = {frame.tobytes() for trajectory in latents for frame in trajectory}
    assert all(frame.numpy().tobytes() in known for pair in frames for frame in pair)


def test_models_hold_the_means_that_their_data_conserve_unless_told_not_to(path: Path) -> None:
    assert new_model(prepare(load_config(path))).codec.conserved.all()
    assert not new_model(prepare(load_config(path, ["latent.hold_means=false"]))).codec.conserved.any()


def test_a_channel_that_training_trajectories_do_not_move_is_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    u, ground = rng.normal(size=(16, 9, 32)), np.repeat(rng.normal(size=(16, 1, 32)), 9, axis=1)
    np.savez(tmp_path / "rod.npz", u=u, ground=ground)
    mapping = {"values": ["u", "ground"], "axes": "n t x", "length": 1.0, "dt": 0.05}
    data = {"task": None, "files": [str(tmp_path / "rod.npz")], "mapping": mapping, "boundary": "open"}
    learnt = {"lambda_latent": 1.0, "latent_measure": "relative"}
    exact = {"latent": {"codec": "exact"}, "operator": {"pdet": {"hidden_dim": 8, "depths": [1]}}, "training": learnt}
    context = prepare(load_config(config(tmp_path, data=data, **exact)))
    sentence = (
        "none of the up to 64 training trajectories that were looked at changes in ground: forecasts keep what they"
    )
    assert any(note.startswith(sentence) for note in build_stage(context, "operator").notes)


@pytest.mark.parametrize(
    ("boundary", "held"),
    [
        ("periodic", [True, True]),
        ("neumann", [True, True]),
        ("wall", [True, True]),
        ("dirichlet", [False, False]),
        ("open", [False, False]),
        ({"x": {"low": "wall", "high": "dirichlet"}}, [False, False]),
        ({"x": "wall", "channels": {"v": "dirichlet"}}, [True, False]),
    ],
)
def test_a_mean_is_held_only_where_nothing_flows_through_any_side(
    tmp_path: Path, boundary: object, held: list[bool]
) -> None:
    rng, x = np.random.default_rng(0), np.linspace(0, 1, 32)
    odd = rng.normal(size=(16, 9, 1)) * np.sin(2 * np.pi * x)  # means are zero by chance of the samples
    np.savez(tmp_path / "rod.npz", u=odd, v=odd * np.cos(np.pi * x) ** 2)
    mapping = {"values": ["u", "v"], "axes": "n t x", "length": 1.0, "dt": 0.05}
    data = {"task": None, "files": [str(tmp_path / "rod.npz")], "mapping": mapping, "boundary": boundary}
    model = new_model(prepare(load_config(config(tmp_path, data=data))))
    assert model.codec.conserved.tolist() == held
    names = ", ".join(name for name, kept in zip("uv", held, strict=True) if kept)
    assert held_means(model) == ((f"forecasts keep the mean of {names}, as the training data do",) if names else ())


@pytest.mark.parametrize(
    ("objective", "terms"), [("regression", {"L_base", "L_rel"}), ("crps", {"L_crps", "L_crps_field"})]
)
def test_stage_2_trains_samples_and_is_scored_with_the_other_objectives_too(
    path: Path, tmp_path: Path, objective: str, terms: set[str]
) -> None:
    stages = {name: {"epochs": 6 if name == "diff_residual" else 2 if name == "operator" else 0} for name in STAGES}
    made = config(tmp_path, stages=stages, diffusion=MODEL | {"objective": objective}, evaluation=EVALUATION)
    result = run(load_config(made))
    epochs = [e for e in read_log(result.folder / "reports/training_log.jsonl").epochs if e["stage"] == "diff_residual"]
    assert all(terms <= set(epoch) for epoch in epochs) and epochs[-1]["loss"] < epochs[0]["loss"]
    assert result.metrics and objective in {row.model for row in result.metrics.rows}
    wave, alike = torch.sin(torch.arange(32.0) / 5), objective == "regression"
    if alike:
        with pytest.raises(UserError, match="would all be the same"):
            result.model.rollout(wave, 2, members=2, sampler="diffusion")
    forecast = result.model.rollout(wave, 2, members=1 if alike else 2, sampler="diffusion")
    assert forecast.evaluations == 2 and (alike or not torch.equal(*forecast.values[0]))


JOINT = ("lambda_inv_enc", "lambda_inv_dec", "lambda_spectral", "lambda_rollout")
EVERY_LOSS = [*(f"training.{name}=1" for name in JOINT), "training.inverse_loss_warmup_epochs=0"]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        *((name, []) for name in STAGES),
        ("operator", EVERY_LOSS),
        (
            "operator",
            [*EVERY_LOSS, "training.rollout_reencode=true", "rollout.space=latent", "stages.autoencoder.epochs=0"],
        ),
        ("operator", [*EVERY_LOSS, "training.train_codec=false", "training.spectral_space=latent"]),
        ("operator", ["training.select_by=one_step"]),
        ("crps_ensemble", ["training.lambda_spectral=1"]),
        ("diff_residual", ["diffusion.objective=regression", "stages.consistency_distill.epochs=0"]),
    ],
)
def test_loss_and_score_ask_nothing_of_a_model_but_its_call(path: Path, name: str, changes: list[str]) -> None:
    stage = build_stage(prepare(load_config(path, changes)), name)
    batch, progress = next(stage.batches(0)), Progress(0, 1.0, 0.9)

    def numbers(model: nn.Module) -> list[dict[str, float]]:
        torch.manual_seed(0)
        losses = [stage.loss(model, piece, progress) for piece, _ in stage.chunks(batch, progress)]
        return [{key: float(value.detach()) for key, value in loss.items()} for loss in losses]

    assert numbers(Hiding(stage.model)) == numbers(stage.model)
    with torch.no_grad():
        assert stage.score(Hiding(stage.model)) == stage.score(stage.model)
