"""Flags and files become configs: what overrides what, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from tests.orchestrate.waves import waves
from ups.core.errors import UserError
from ups.orchestrate.plan import Options, resolve


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config."""
    return waves(tmp_path_factory.mktemp("plan"))


def test_the_run_lies_where_the_config_says(path: Path) -> None:
    plan = resolve(Options(path))
    assert (plan.run, plan.folder, plan.runs) == ("waves", path.parent / "runs/waves", path.parent / "runs")


def test_a_run_id_names_a_folder_beside_it(path: Path) -> None:
    plan = resolve(Options(path, run_id="wide"))
    assert (plan.run, plan.folder) == ("wide", path.parent / "runs/wide")


def test_a_run_dir_is_the_folder_and_a_run_id_then_only_the_name(path: Path) -> None:
    plan = resolve(Options(path, run_id="wide", run_dir=Path("elsewhere/a")))
    assert (plan.run, plan.folder, plan.small.run.dir) == ("wide", Path("elsewhere/a"), Path("elsewhere/a"))


def test_overrides_reach_training_and_both_evaluations(path: Path) -> None:
    plan = resolve(Options(path, overrides=("run.seed=7", "evaluation.members=3")))
    assert [c.run.seed for c in (plan.config, plan.small, plan.full)] == [7, 7, 7]
    assert [c.evaluation.members for c in (plan.config, plan.small, plan.full)] == [3, 3, 3]


def test_a_small_evaluation_is_a_quick_look_unless_a_file_says_otherwise(path: Path, tmp_path: Path) -> None:
    quick = resolve(Options(path)).small.evaluation
    assert (quick.trajectories, quick.members, quick.also_context, quick.pictures) == (32, 8, (), False)
    file = tmp_path / "small.yaml"
    file.write_text("evaluation:\n  members: 5\n  nfe: [2, 4]\n  trajectories: null\nttc:\n  candidates: 7\n")
    plan = resolve(Options(path, small_eval_config=file, full_eval_config=file))
    for config in (plan.small, plan.full):
        assert (config.evaluation.members, config.evaluation.nfe, config.ttc.candidates) == (5, (2, 4), 7)
        assert config.evaluation.trajectories is None
        assert config.evaluation.bootstrap == plan.config.evaluation.bootstrap == 100
    assert plan.config.evaluation.members == 16 and plan.config.ttc.candidates != 7


def test_an_evaluation_file_sets_nothing_that_training_depends_on(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text("evaluation:\n  member: 5\nstages:\n  operator: {epochs: 1}\n")
    with pytest.raises(UserError) as error:
        resolve(Options(path, small_eval_config=file))
    assert f"{file}:2: evaluation.member: unknown key; did you mean" in str(error.value)
    assert f"{file}:3: stages: unknown key" in str(error.value)


def test_tags_and_the_wandb_flags_reach_the_tracker(path: Path) -> None:
    plan = resolve(Options(path, tags=("a b", "c"), wandb_mode="offline", wandb_project="p: q"))
    wandb = plan.config.tracking.wandb
    assert (wandb.mode, wandb.project, wandb.tags) == ("offline", "p: q", ("a b", "c"))


def test_what_only_places_or_scores_a_run_is_no_input_of_training(path: Path) -> None:
    base = resolve(Options(path)).training_inputs()
    for same in (Options(path, run_id="x"), Options(path, tags=("x",)), Options(path, overrides=("ttc.candidates=9",))):
        assert resolve(same).training_inputs() == base
    for key in (
        "stages.operator.epochs=9",
        "run.seed=9",
        "evaluation.validation_trajectories=9",
        "rollout.space=latent",
    ):
        assert resolve(Options(path, overrides=(key,))).training_inputs() != base


@pytest.mark.parametrize("name", ["", " ", "..", "a/b", "a\\b"])
def test_a_run_id_that_no_folder_can_have_is_refused(path: Path, name: str) -> None:
    with pytest.raises(UserError, match="--run-id"):
        resolve(Options(path, run_id=name))


SAMPLED = ("stages.diff_residual.epochs=1",)


def nfe_file(folder: Path, *nfe: int) -> Path:
    """A file for an evaluation with so many sampling steps."""
    file = folder / f"nfe_{'_'.join(map(str, nfe))}.yaml"
    file.write_text(f"evaluation:\n  nfe: {list(nfe)}\n")
    return file


def test_a_row_that_only_the_small_evaluation_has_is_refused_at_once(path: Path, tmp_path: Path) -> None:
    small, full = nfe_file(tmp_path, 4, 8, 16), nfe_file(tmp_path, 8)
    files = {"small_eval_config": small, "full_eval_config": full, "overrides": SAMPLED}
    told = r"\[4, 8, 16\] in the small evaluation and \[8\] in the full one.*: add 4, 16 to"
    with pytest.raises(UserError, match=told):
        resolve(Options(path, **files))
    with pytest.raises(UserError, match=r"evaluation.nfe is \[4, 8, 16\]"):
        resolve(Options(path, small_eval_config=small, overrides=SAMPLED))
    resolve(Options(path, small_eval_config=full, full_eval_config=small, overrides=SAMPLED))


@pytest.mark.parametrize(
    "flags",
    [
        {"overrides": ()},
        {"overrides": (*SAMPLED, "diffusion.objective=regression")},
        {"overrides": (*SAMPLED, "evaluation.enabled=false")},
        {"overrides": SAMPLED, "skip_small_eval": True},
        {"overrides": SAMPLED, "skip_full_eval": True},
        {"overrides": (*SAMPLED, "evaluation.nfe=[4, 8]")},
    ],
)
def test_sampling_steps_may_differ_where_no_row_is_chosen_among_them(
    path: Path, tmp_path: Path, flags: dict[str, Any]
) -> None:
    resolve(Options(path, small_eval_config=nfe_file(tmp_path, 4), **flags))


def test_a_stage_that_does_not_exist_is_refused(path: Path) -> None:
    with pytest.raises(UserError, match=r"--train-stage: expected all, autoencoder, .*found 'warp'"):
        resolve(Options(path, train_stage="warp"))
