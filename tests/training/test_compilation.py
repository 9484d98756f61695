"""A compiler that fails costs compilation and nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch._dynamo.exc import BackendCompilerFailed

from tests.training.toy import Memory, stage
from ups.core.errors import UserError
from ups.training import checkpoint
from ups.training.compilation import compile_if_possible, compiler_errors
from ups.training.loop import fit
from ups.training.settings import StageSettings, TrainingSettings


class Wrapped(torch.nn.Module):
    """A module of our own: torch's containers alone are never compiled."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)


def failing(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> None:
    raise RuntimeError("no such dtype\nand more")


def trained(folder: Path, training: TrainingSettings) -> tuple[dict[str, torch.Tensor], list[dict[str, object]]]:
    log = Memory()
    made = stage()
    fit(replace(made, model=Wrapped(made.model)), StageSettings(epochs=2), training, folder, log)
    return checkpoint.load(folder / "operator.pt")["state"], log.entries


def test_training_goes_on_with_the_same_bits_where_the_compiler_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compiled: list[str] = []

    def compile_badly(self: torch.nn.Module, mode: str) -> None:
        compiled.append(mode)
        self._compiled_call_impl = torch.compile(self._call_impl, backend=failing)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(torch.nn.Module, "compile", compile_badly)
    for name in ("as_it_is", "compiled"):
        (tmp_path / name).mkdir()
    plain, plain_log = trained(tmp_path / "as_it_is", TrainingSettings(accum_steps=2))
    other, other_log = trained(tmp_path / "compiled", TrainingSettings(accum_steps=2, compile=True))
    assert compiled == ["default"]
    assert all(torch.equal(plain[name], other[name]) for name in plain)
    assert [e["loss"] for e in plain_log] == [e["loss"] for e in other_log]
    told = " ".join(capsys.readouterr().err.split())
    assert told.count("training.compile: the compiler failed (no such dtype)") == 1


def test_trying_the_compiler_leaves_no_gradient_and_errors_of_the_model_are_not_taken_for_the_compilers() -> None:
    model = torch.nn.Linear(2, 2)
    assert compile_if_possible(model, "default", lambda: model._call_impl(torch.ones(1, 2)).sum().backward()) == ""
    assert all(p.grad is None for p in model.parameters())

    def wrong() -> None:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        compile_if_possible(model, "default", wrong)


def test_a_compiler_that_fails_in_the_midst_of_a_stage_ends_it_with_a_sentence() -> None:
    with (
        pytest.raises(UserError, match=r"stage operator: .*no such dtype.*training.compile=false"),
        compiler_errors("operator"),
    ):
        raise BackendCompilerFailed(failing, RuntimeError("no such dtype"), None)
