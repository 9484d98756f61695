"""Rows that the equations give: they live on the grid and at the times of the data, or say why they are missing."""

import numpy as np
import pytest
import torch

from tests.small import config
from ups.config import load_config
from ups.data.dataset import Dataset, open_dataset
from ups.data.settings import DataSettings
from ups.evaluation.physics import TRUTH, TrueEnsemble, physics_forecasters, without_true_ensemble
from ups.run.score import evaluate_run
from ups.run.train import train
from ups.simulate.generate import GenerateSettings, ensemble

SMALL = {"pde": "forced_burgers1d", "resolution": 32, "points": 32, "substeps": 4, "frames": 9, "trajectories": 12}


def opened(folder, **given) -> tuple[Dataset, DataSettings]:
    """A small random data set, generated into a folder."""
    generate = SMALL | given.pop("generate", {})
    settings = DataSettings.model_validate({"root": str(folder), "generate": generate, **given})
    return open_dataset(settings), settings


def test_with_every_second_frame_the_true_ensemble_goes_two_frames_a_step(tmp_path):
    data, settings = opened(tmp_path, subsample={"time": 2})
    truth = data.test.trajectories(0, 1)
    row = physics_forecasters(data.system, settings)[TRUTH]
    found = row.rollout(truth, 0, 3, data.test.params[:1], 5, 7)
    every = ensemble(GenerateSettings(**SMALL), truth[:, 0, 0].numpy(), 5, 7, 1_000_003 + 7)
    torch.testing.assert_close(found, torch.from_numpy(every[:, :, 2::2, None]))
    assert found.shape == (1, 5, 3, 1, 32) and isinstance(row, TrueEnsemble)


def test_with_every_fourth_frame_the_truth_is_one_of_the_true_ensemble(tmp_path):
    # the spread of the generator grows like the square root of the time, so a wrong time step shows in the ratio
    data, settings = opened(tmp_path, subsample={"time": 4}, generate={"trajectories": 300}, test=0.8)
    truth = data.test.trajectories(0, data.test.n)
    row = physics_forecasters(data.system, settings)[TRUTH]
    members = row.rollout(truth, 0, 2, data.test.params, 8, 0)
    spread = members.var(dim=1).mean(dim=(0, 2, 3)) * 9 / 8
    error = (members.mean(dim=1) - truth[:, 1:]).square().mean(dim=(0, 2, 3))
    np.testing.assert_allclose((spread / error).sqrt(), 1, atol=0.07)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"subsample": {"space": 4}}, "fully observed states, found data.subsample.space = 4"),
        ({"generate": {"observe_every": 2}}, "fully observed states, found data.generate.observe_every = 2"),
        ({"generate": {"params": {"Nu": (0.03, 0.04)}}}, "must be constant, found a range for Nu"),
    ],
)
def test_what_cannot_start_a_true_ensemble_leaves_its_row_out_with_a_sentence(tmp_path, given, words):
    data, settings = opened(tmp_path, **given)
    assert physics_forecasters(data.system, settings) == {}
    assert words in (without_true_ensemble(data.system, settings) or "")


def test_no_word_is_lost_where_there_is_a_true_ensemble_or_never_could_be(tmp_path):
    data, settings = opened(tmp_path)
    assert without_true_ensemble(data.system, settings) is None and TRUTH in physics_forecasters(data.system, settings)
    certain = {"pde": "burgers1d", "resolution": 32, "frames": 3, "trajectories": 4, "params": {"Nu": 0.1}}
    settings = DataSettings.model_validate({"root": str(tmp_path / "other"), "generate": certain})
    assert without_true_ensemble(open_dataset(settings).system, settings) is None


RESIDUAL = {"hidden_dim": 16, "depths": [1], "num_heads": 2, "group_size": 8, "reserve": 0.25}


def scored(folder, **subsample: int) -> dict:
    """The scores of a small run with an ensemble, on random data that were thinned out."""
    data = {"task": "forced_burgers1d", "generate": SMALL, "subsample": subsample}
    stages = {name: {"epochs": 1} for name in ("autoencoder", "operator", "crps_ensemble")}
    evaluation = {"bootstrap": 100, "pictures": False, "members": 6, "lead_times": [1]}
    path = config(folder, data=data, stages=stages, diffusion=RESIDUAL, evaluation=evaluation)
    return evaluate_run(train(load_config(path)), "validation").model_dump()


def test_a_run_with_every_second_frame_is_compared_with_the_true_ensemble(tmp_path):
    metrics = scored(tmp_path, time=2)
    rows = {row["model"]: row for row in metrics["rows"]}
    assert metrics["errors"] == [] and rows[TRUTH]["reference"] and rows[TRUTH]["members"] == 6
    found = {name for name, row in rows.items() if row["true_ensemble"] is not None}
    assert found == {"crps"} and rows["crps"]["true_ensemble"]["overall"]["deviation_ratio"] > 0
    assert "beside the true ensemble" in (tmp_path / "run/validation/report.html").read_text()


def test_a_run_with_every_second_point_says_why_there_is_no_true_ensemble(tmp_path):
    metrics = scored(tmp_path, space=2)
    assert TRUTH not in {row["model"] for row in metrics["rows"]}
    assert metrics["errors"] == [
        "there is no row `true ensemble`: it starts from fully observed states, found data.subsample.space = 2"
    ]
    assert "data.subsample.space = 2" in (tmp_path / "run/validation/report.html").read_text()
