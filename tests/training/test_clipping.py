"""Gradient clipping, of real and complex parameters."""

import pytest
import torch
from torch import Tensor

from ups.training.clipping import clip_gradients


def parameters(largest: float) -> list[Tensor]:
    torch.manual_seed(0)
    found = [torch.randn(5, 3), torch.randn(4, dtype=torch.cfloat), torch.randn(2)]
    for p in found[:2]:
        p.grad = largest * torch.randn_like(p)
    return found


@pytest.mark.parametrize("scale", [0.01, 10.0])
def test_it_does_what_torch_does(scale: float) -> None:
    ours, theirs = parameters(scale), parameters(scale)
    norm = clip_gradients(ours, 1.0)
    torch.testing.assert_close(norm, torch.nn.utils.clip_grad_norm_(theirs, 1.0))
    for a, b in zip(ours[:2], theirs[:2], strict=True):
        torch.testing.assert_close(a.grad, b.grad)
    assert ours[2].grad is None


def test_real_gradients_keep_every_bit() -> None:
    ours, theirs = parameters(10.0)[::2], parameters(10.0)[::2]
    assert torch.equal(clip_gradients(ours, 1.0), torch.nn.utils.clip_grad_norm_(theirs, 1.0))
    assert ours[0].grad is not None and theirs[0].grad is not None and torch.equal(ours[0].grad, theirs[0].grad)
