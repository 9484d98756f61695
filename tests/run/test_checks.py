"""What config, headers of the data, packages and machine decide is said before anything is trained, all at once."""

import re
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.small import config
from ups.config import load_config
from ups.core.errors import UserError
from ups.run import checks
from ups.run.checks import checked_config, contradictions
from ups.run.train import run, train


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config beside 16 trajectories of 9 frames of 32 points."""
    return config(tmp_path_factory.mktemp("small"))


def told(path: Path, *overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        checked_config(path, overrides)
    return str(caught.value)


CONTRADICTIONS = {
    "a context as long as the trajectories": (
        ["evaluation.context=9"],
        "evaluation.context: 9 given frames need trajectories of at least 10, found 9",
    ),
    "a further context": (["evaluation.also_context=[2, 20]"], "evaluation.also_context: 20 given frames need"),
    "an unrolled loss": (
        ["training.rollout_horizon=9"],
        "training.rollout_horizon: 9 unrolled steps need trajectories of at least 10 frames, found 9",
    ),
    "long strides": (
        ["data.strides=[1, 8]"],
        "training.rollout_horizon: 2 unrolled steps of 8 frames need trajectories of at least 17 frames, found 9",
    ),
    "a stride as long as the trajectories": (
        ["data.strides=[1, 9]", "training.lambda_rollout=0"],
        "data.strides: 1 unrolled steps of 9 frames need trajectories of at least 10 frames, found 9",
    ),
    "a time step between those of the data": (
        ["training.dt=0.12"],
        "training.dt .* has to be a whole multiple, up to 8, of 0.05, .* found 0.12; leave it out",
    ),
    "a reserve of nothing": (
        ["diffusion.reserve=0.01", "stages.diff_residual.epochs=1"],
        "diffusion.reserve: 0.01 leaves no trajectory on one side of the 14 of the training split",
    ),
    "a log on top of a checkpoint": (["training.log_path=checkpoints/operator.pt"], "log_path: .*something else"),
    "a log on top of the config": (["training.log_path=./x/../config.yaml"], "training.log_path: .*something else"),
    "a log on top of the scores": (["training.log_path=metrics.json"], "training.log_path: .*something else"),
    "a log on top of the data": (
        ["training.log_path=../data/1D_Advection_Sols_beta0.4.hdf5"],
        "training.log_path: .*hdf5 is a file of another kind",
    ),
    "a log that is a folder": (["training.log_path=../data"], "training.log_path: .*data is a folder"),
    "tokens that fit no grid": (["latent.tokens=64"], "latent.tokens: .*between 1 and the number of grid points 32"),
    "fewer points than one token has": (
        ["latent={downsample: 64}", "operator.pdet.block=transformer"],
        "latent.downsample: .* = 64 must be at most the fewest points of an axis, 32",
    ),
    "compression to nothing": (
        ["latent={downsample: 4, compression: 9}", "operator.pdet.block=transformer"],
        "latent.compression: .* = 9 leaves nothing of the 4 numbers of a token: raise latent.downsample",
    ),
    "threads": (["run.threads=1000"], r"run.threads: 1000 threads, but this process has \d+ processors"),
    "more threads": ([f"run.threads={2**40}"], "run.threads: expected .*1024"),
    "readers": (["training.num_workers=100000"], "training.num_workers: expected .*1024"),
    "a device": (["run.device=cuda:77"], "run.device: .*not available here"),
    "conditioning without a sampler": (["ttc.enabled=true"], "ttc.enabled: candidates come from a sampler"),
    "another sampler": (
        ["ttc.enabled=true", "ttc.sampler=consistency", "stages.diff_residual.epochs=1"],
        "ttc.enabled: candidates come from a sampler .consistency.",
    ),
    "sampling steps without a sampler": (["evaluation.nfe=[1, 2]"], "evaluation.nfe: these sampling steps"),
    "a budget that is too small": (["ttc.max_evaluations=3"], "ttc.max_evaluations: must be at least the 8 steps"),
    "a width that no memory holds": (
        ["latent.width=65536", "latent.dim=65536", "operator.pdet.input_dim=65536"],
        "latent.width: the codec's weights in training need at least [0-9,]+ GiB of memory, and this machine has",
    ),
    "depths that no memory holds": (
        ["operator.pdet.depths=[999]", "operator.pdet.hidden_dim=65536"],
        "operator.pdet.hidden_dim: the operator's weights in training need at least",
    ),
    "members that no memory holds": (
        ["evaluation.members=100000", "stages.crps_ensemble.epochs=1", "data.test=0.9", "data.validation=0.05"],
        "evaluation.members: the forecasts that are scored at once need at least",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("overrides", "expected"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_contradiction_is_told_before_training(
    small: Path, overrides: list[str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ups.run.sizes.total_memory", lambda device: 2**30)
    began = time.perf_counter()
    assert matches(expected, told(small, *overrides))
    assert time.perf_counter() - began < 1.0


def matches(expected: str, found: str) -> bool:
    return re.search(expected, found) is not None


def test_all_of_them_are_told_at_once_each_with_its_line(tmp_path: Path) -> None:
    sections: dict[str, Any] = {"evaluation": {"context": 9}, "training": {"rollout_horizon": 9, "log_path": "report"}}
    path = config(tmp_path, **sections)
    found = told(path, "run.threads=1000", "latent.dim=-1").splitlines()
    assert found[0] == f"{path}: 5 problems"
    keys = ("evaluation.context", "training.log_path", "training.rollout_horizon", "run.threads", "latent.dim")
    for key in keys:
        line = next(
            n for n, text in enumerate(path.read_text().splitlines(), 1) if text.strip().startswith(key.split(".")[1])
        )
        place = "--set" if key in ("run.threads", "latent.dim") else f"{path}:{line}"
        assert sum(f"{place}: {key}: " in text for text in found) == 1, key


def test_a_grid_that_no_memory_holds_is_refused_before_it_is_simulated(tmp_path: Path) -> None:
    path = tmp_path / "plane.yaml"
    path.write_text(f"data: {{root: {tmp_path}, generate: {{pde: gray_scott2d, resolution: 1048576}}}}")
    found = told(path, "stages.operator.epochs=1")
    assert matches("the fields of a batch need at least [0-9,]+ GiB of memory", found)
    assert matches(r"data.root: the data to generate take [0-9,]+ GiB, and .* GiB free", found)


def test_a_trajectory_alone_cannot_be_divided(tmp_path: Path) -> None:
    path = config(tmp_path)
    assert matches("data: 1 trajectories cannot be divided into 3 splits", told(path, "data.limit=1"))


def test_another_number_of_channels_than_the_task_has_is_told(tmp_path: Path) -> None:
    path = config(tmp_path)
    with h5py.File(tmp_path / "data/1D_Advection_Sols_beta0.4.hdf5", "r+") as file:
        values = np.asarray(file["tensor"])
        del file["tensor"]
        file["tensor"] = np.stack([values, values], -1)
    assert matches("data.task: advection1d has the channels u on 1 axes, and the files hold u0, u1 on 1", told(path))


@pytest.mark.parametrize("package", ["neuralop", "tensorboard", "exponax"])
def test_a_missing_package_is_told(tmp_path: Path, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("ups.peers.fno", "ups.tracking.tensorboard", "ups.run.checks"):
        monkeypatch.setattr(f"{module}.find_spec", lambda name: None)
    data = {"generate": {"pde": "advection1d", "params": {"beta": 0.3}}, "root": str(tmp_path)}
    path = config(tmp_path, evaluation={"baselines": ["fno"]}, tracking={"tensorboard": True}, data=data)
    assert package.replace("neuralop", "neuraloperator") in told(path)


@pytest.mark.parametrize("begin", [run, train])
def test_nothing_is_made_where_a_run_cannot_come_to_its_end(small: Path, begin: Any) -> None:
    settings = load_config(small, ["evaluation.context=9", f"run.dir={small.parent / 'never'}"])
    with pytest.raises(UserError, match="9 given frames need trajectories of at least 10"):
        begin(settings)
    assert not (small.parent / "never").exists()


def test_a_sound_config_has_no_contradictions_whether_data_are_there_or_planned(small: Path, tmp_path: Path) -> None:
    assert contradictions(load_config(small)) == []
    planned = tmp_path / "planned.yaml"
    planned.write_text(f"data: {{root: {tmp_path}, generate: {{pde: burgers1d}}}}\nstages: {{operator: {{epochs: 1}}}}")
    assert contradictions(load_config(planned)) == []
    assert checks.read_header(load_config(planned).data).train == 800


def test_a_device_that_was_never_tried_is_refused(small: Path) -> None:
    assert "run.device: expected auto, cpu, cuda or cuda:N, found mps" in told(small, "run.device=mps")
