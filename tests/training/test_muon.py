"""Muon against torch's own, which goes through bfloat16, and against the polar factor that it approximates."""

import pytest
import torch

from ups.training import muon
from ups.training.muon import Muon, orthogonalised

SHAPES = ((24, 64), (64, 24), (32, 32), (24, 64))


def test_updates_are_those_of_torch() -> None:
    start = [torch.randn(shape, generator=torch.Generator().manual_seed(i)) for i, shape in enumerate(SHAPES)]
    mine, theirs = ([p.clone().requires_grad_() for p in start] for _ in range(2))
    ours = Muon(mine, lr=0.01, momentum=0.9, weight_decay=0.1)
    reference = torch.optim.Muon(theirs, lr=0.01, momentum=0.9, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for step in range(5):
        for i, (a, b) in enumerate(zip(mine, theirs, strict=True)):
            a.grad = torch.randn(a.shape, generator=torch.Generator().manual_seed(100 * step + i))
            b.grad = a.grad.clone()
        ours.step()
        reference.step()
    for a, b, was in zip(mine, theirs, start, strict=True):
        assert (a - b).norm() < 0.02 * (b - was).norm()


@pytest.mark.parametrize(("native", "tolerance"), [(False, 1e-4), (True, 0.03)])
@pytest.mark.parametrize("shape", [(1, 16, 40), (2, 40, 16), (3, 16, 16)])
def test_singular_values_come_near_one_and_vectors_stay(
    shape: tuple[int, int, int], native: bool, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(muon, "native_bf16", lambda device: native)
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    out = orthogonalised(matrix)
    values = torch.linalg.svdvals(out)
    assert values.min() > 0.6 and values.max() < 1.3
    u, _, vh = torch.linalg.svd(matrix, full_matrices=False)
    inner = u.mT @ out @ vh.mT
    assert torch.allclose(inner, torch.diag_embed(inner.diagonal(dim1=-2, dim2=-1)), atol=tolerance)


def test_stacks_and_convolutions_move_as_their_matrices_would() -> None:
    draw = torch.Generator().manual_seed(0)
    grads = {name: torch.randn(shape, generator=draw) for name, shape in (("stack", (3, 16, 24)), ("conv", (16, 8, 3)))}
    stack, conv = (torch.zeros(grads[name].shape, requires_grad=True) for name in grads)
    alone = [torch.zeros(16, 24, requires_grad=True) for _ in range(4)]
    stack.grad, conv.grad = grads["stack"], grads["conv"]
    for p, grad in zip(alone, (*grads["stack"], grads["conv"].flatten(1)), strict=True):
        p.grad = grad.clone()
    Muon([{"params": [stack]}, {"params": [conv], "convolution": True}], lr=0.1).step()
    Muon(alone, lr=0.1).step()
    for moved, p in zip((*stack, conv.flatten(1)), alone, strict=True):
        torch.testing.assert_close(moved, p, rtol=1e-4, atol=1e-6)


def test_matrices_without_a_gradient_stay_and_others_are_refused() -> None:
    still, moved = torch.ones(16, 16, requires_grad=True), torch.ones(16, 16, requires_grad=True)
    moved.grad = torch.ones(16, 16)
    Muon([still, moved], lr=0.1).step()
    assert (still == 1).all() and (moved != 1).all()
    with pytest.raises(ValueError, match="matrices"):
        Muon([torch.zeros(3, requires_grad=True)], lr=0.1)
