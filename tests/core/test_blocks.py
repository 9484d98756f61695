"""Blocks of the backbone."""

from typing import Literal

import pytest
import torch

from ups.core.blocks_pdet import BLOCKS, PDETransformerConfig
from ups.core.domain import Domain


@pytest.mark.parametrize("kind", ["convolution", "transformer"])
def test_a_modulation_of_all_samples_is_that_of_each(kind: Literal["convolution", "transformer"]) -> None:
    torch.manual_seed(0)
    cfg, tokens = PDETransformerConfig(block=kind, hidden_dim=16, spectral_modes=3), Domain.unit((8, 6))
    common, each = (BLOCKS[kind](cfg, 16, tokens, width, 0).double() for width in (0, 3))
    for values in common.parameters():
        torch.nn.init.normal_(values, std=0.3)
    each.load_state_dict(common.state_dict(), strict=False)  # whose condition weighs nothing
    x, cond = torch.randn(2, 8, 6, 16, dtype=torch.double), torch.randn(2, 3, dtype=torch.double)
    found, expected = common(x, None, tokens), each(x, cond, tokens)
    torch.testing.assert_close(found, expected)
    names = [name for name, _ in common.named_parameters()]
    seed = torch.randn_like(x)
    ours = torch.autograd.grad(found, list(common.parameters()), seed)
    theirs = torch.autograd.grad(expected, [each.get_parameter(name) for name in names], seed)
    for name, a, b in zip(names, ours, theirs, strict=True):
        torch.testing.assert_close(a, b, msg=lambda text, name=name: f"{name}: {text}")
