"""Checkpoints that were edited or damaged: one sentence that names the file, the key and what to run, and no memory."""

import copy
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import ups
from tests.small import config
from ups.config import load_config
from ups.core.errors import UserError
from ups.run.train import train

MODEL = {"hidden_dim": 16, "depths": [1], "num_heads": 2, "group_size": 8, "reserve": 0.25, "steps": 2}
STAGES = ("autoencoder", "operator", "diff_residual")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config of a run of stages 0 to 2."""
    stages = {name: {"epochs": 1} for name in STAGES}
    training = {"batch_size": 8, "steps_per_epoch": 2, "ema_decay": None}
    path = config(tmp_path_factory.mktemp("run"), stages=stages, diffusion=MODEL, training=training)
    train(load_config(path))
    return path


@pytest.fixture
def folder(path: Path, tmp_path: Path) -> Path:
    """A copy of the run."""
    return Path(shutil.copytree(path.parent / "run", tmp_path / "run"))


def edit(path: Path, key: str, value: Any) -> None:
    """Replaces the value with a dotted key in a checkpoint, or drops it for `MISSING`."""
    content = torch.load(path, weights_only=True)
    *above, last = key.split(".", 1) if key.startswith("state.") else key.split(".")
    inner = content
    for part in above:
        inner = inner[part]
    if value is MISSING:
        del inner[last]
    else:
        inner[last] = value(copy.deepcopy(inner[last])) if callable(value) else value
    torch.save(content, path)


MISSING = object()
SYSTEM = ("channels", "shape", "coords", "boundary", "param_names", "dt")
NEEDED = {
    "operator": (
        *("kind", "fingerprint", "fingerprint.data", "train_seconds", "state", "system", "rollout_space"),
        *("latent", "operator", *(f"system.{key}" for key in SYSTEM)),
    ),
    "diffusion_residual": ("fingerprint", "train_seconds", "state", "operator_digest", "diffusion", "objective"),
    "autoencoder": ("fingerprint", "train_seconds", "state"),
}
"""Keys that a checkpoint cannot do without."""


@pytest.mark.parametrize(("stem", "key"), [(stem, key) for stem, keys in NEEDED.items() for key in keys])
@pytest.mark.parametrize("value", [MISSING, None, object], ids=["missing", "None", "another type"])
def test_a_key_that_is_damaged_is_named(folder: Path, stem: str, key: str, value: Any) -> None:
    file = folder / f"checkpoints/{stem}.pt"
    edit(file, key, (lambda old: 3 if isinstance(old, str | list | dict) else "text") if value is object else value)
    with pytest.raises(UserError) as raised:
        ups.load(folder)
    said, stage = str(raised.value), {"diffusion_residual": "diff_residual"}.get(stem, stem)
    assert said.startswith(f"{file}: {key}") and "\n" not in said
    assert said.endswith(
        f"; run `ups train --config {folder}/config.yaml --stage {stage} --fresh --set run.dir={folder}`"
    )


ODD: list[tuple[str, str, Any, str]] = [
    ("operator", "train_seconds", float("inf"), "train_seconds: expected a finite number"),
    ("operator", "train_seconds", -1.0, "train_seconds: expected greater than or equal to 0"),
    ("operator", "rollout_space", "fourier", "rollout_space: expected 'field' or 'latent', found 'fourier'"),
    ("operator", "fingerprint.data", torch.zeros(2), "fingerprint.data"),
    ("operator", "system.shape", [10**9], "coords are of the grid [32], and shape says [1000000000]"),
    ("operator", "system.shape", [], "shape must have 1 to 3 axes, found 0"),
    ("operator", "system.boundary", ["moebius"], "system.boundary: one of periodic"),
    ("operator", "system.boundary", [], "must have an entry for each axis"),
    ("operator", "system.coords", [[0.0] * 32], "coords must be finite and rise"),
    ("operator", "system.dt", 0.0, "dt and steps must be above 0"),
    ("operator", "system.steps", [float("nan")], "dt and steps must be above 0"),
    ("operator", "system.walls", [[[None]]], "walls must have two sides"),
    ("operator", "system.extra", lambda _: 1, "system.extra is unknown"),
    ("operator", "system.channels", [str(i) for i in range(10**6)], "does not fit the model"),
    ("operator", "latent.dim", 10**9, "latent.dim: expected less than or equal to 65536"),
    ("operator", "latent.dim", 65536, "need weights of at least 8.39 MB, and the file has"),
    ("operator", "latent.width", 65536, "need weights of at least"),
    ("operator", "latent.kernel", 10**9 + 1, "latent.kernel: expected less than or equal to 1001"),
    ("operator", "latent.kernel", 1001, "need weights of at least"),
    ("operator", "latent.tokens", 2**20, "latent.tokens must be between 1 and the number of grid points 32"),
    ("operator", "operator.pdet.depths", [10**6], "depths must be at most 1000"),
    ("operator", "operator.pdet.depths", [999], "does not fit the model"),
    ("operator", "operator.pdet.hidden_dim", 65536, "does not fit the model"),
    ("operator", "operator.pdet.mlp_ratio", 1000.0, "does not fit the model"),
    ("operator", "operator.pdet.spectral_modes", 10**9, "does not fit the model"),
    ("operator", "state.codec.u_mean", torch.zeros(1).expand(10**9), "declares more numbers than the file holds"),
    ("operator", "state.codec.u_mean", torch.zeros(1).to_sparse(), "declares more numbers than the file holds"),
    ("operator", "state.codec.u_mean", 3.0, "state.codec.u_mean: expected an instance of Tensor, found 3.0"),
    ("diffusion_residual", "diffusion.hidden_dim", 65536, "does not fit the model"),
    ("diffusion_residual", "diffusion.depths", [999], "does not fit the model"),
    ("diffusion_residual", "objective", "guess", "objective: expected 'flow', 'regression', 'crps' or 'consistency'"),
    ("diffusion_residual", "operator_digest", "0123", "belongs to another operator"),
]


@pytest.mark.parametrize(("stem", "key", "value", "says"), ODD, ids=lambda v: v if isinstance(v, str) else "")
def test_what_is_odd_or_huge_is_refused_before_it_takes_memory(
    folder: Path, stem: str, key: str, value: Any, says: str
) -> None:
    if key == "system.extra":
        edit(folder / f"checkpoints/{stem}.pt", "system", lambda system: {**system, "extra": 1})
    else:
        edit(folder / f"checkpoints/{stem}.pt", key, (lambda _: value))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError) as raised:
        ups.load(folder)
    said = str(raised.value)
    assert says in said and f"{folder}/checkpoints/{stem}.pt" in said and "\n" not in said
    assert "run `ups train --config " in said and " --fresh " in said
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500 * 1024  # KiB


RESUME: list[tuple[str, Any]] = [
    *((key, MISSING) for key in ("fingerprint", "state", "average", "optimizers", "scaler", "tally", "tally.step")),
    *((key, None) for key in ("fingerprint", "state", "optimizers", "scaler", "tally", "tally.sums")),
    *((key, "text") for key in ("fingerprint", "state", "average", "optimizers", "scaler", "tally", "tally.seconds")),
    ("tally.epoch", 10**18),
    ("tally.step", -1),
]


@pytest.mark.parametrize(("key", "value"), RESUME)
def test_a_resume_state_that_is_damaged_is_one_sentence(path: Path, folder: Path, key: str, value: Any) -> None:
    file = folder / "checkpoints/operator_resume.pt"
    edit(file, key, value)
    with pytest.raises(UserError) as raised:
        train(load_config(path, [f"run.dir={folder}"]))
    said = str(raised.value)
    assert said.startswith(f"{file}: {key}") and "\n" not in said
    assert "train from scratch with `ups train --config " in said and "--stage operator --fresh" in said


@pytest.mark.parametrize("damage", [lambda _: [], lambda o: [{"state": {}}] * len(o), lambda o: [{}] * len(o)])
def test_optimizers_of_another_stage_are_one_sentence(path: Path, folder: Path, damage: Callable[[Any], Any]) -> None:
    edit(folder / "checkpoints/operator_resume.pt", "optimizers", damage)
    with pytest.raises(UserError, match=r"operator_resume\.pt holds no state of these optimizers .*--fresh"):
        train(load_config(path, [f"run.dir={folder}"]))


@pytest.mark.parametrize("key", ["fingerprint", "train_seconds", "state", "kind", "system"])
def test_a_predecessor_that_is_damaged_is_trained_again_first(path: Path, folder: Path, key: str) -> None:
    edit(folder / "checkpoints/operator.pt", key, None)
    with pytest.raises(UserError) as raised:
        train(load_config(path, [f"run.dir={folder}"]), "diff_residual", fresh=True)
    assert str(raised.value).startswith(f"{folder}/checkpoints/operator.pt: {key}: expected")
    assert "; run `ups train --config " in str(raised.value) and str(raised.value).endswith("` first")
