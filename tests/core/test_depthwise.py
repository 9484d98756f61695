"""Depthwise convolutions whose taps get their gradient in parts."""

import pytest
import torch
from torch.nn import functional as F

from ups.core.depthwise import depthwise


@pytest.mark.parametrize("height, width", [(5, 5), (1, 7), (3, 4), (3, 3)])
def test_values_and_gradients_are_those_of_a_grouped_convolution(height: int, width: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 9 + height, 11 + width, 6, dtype=torch.double).movedim(-1, 1).requires_grad_()
    weight, bias = (torch.randn(*s, dtype=torch.double, requires_grad=True) for s in ((6, 1, height, width), (6,)))
    expected = F.conv2d(x, weight, bias, groups=6)
    found = depthwise(x, weight, bias)
    torch.testing.assert_close(found, expected)
    seed = torch.randn_like(expected)
    for ours, theirs in zip(*(torch.autograd.grad(y, (x, weight, bias), seed) for y in (found, expected)), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_frozen_taps_get_no_gradient() -> None:
    x, weight = torch.randn(1, 4, 8, 8, requires_grad=True), torch.randn(4, 1, 5, 5)
    depthwise(x, weight, None).sum().backward()
    assert x.grad is not None and weight.grad is None
