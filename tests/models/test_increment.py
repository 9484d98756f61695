"""What the operator adds in one step."""

import pytest
import torch

from ups.core.domain import Domain
from ups.core.fluxes import divergence
from ups.core.patches import Layout
from ups.core.walls import held_points
from ups.models.increment import GAIN, Increment


@pytest.mark.parametrize("conserved", [(False, False), (False, True), (True, True)])
@pytest.mark.parametrize("shape, boundary", [((13, 10), ("wall", "periodic")), ((12, 8), ("periodic", "dirichlet"))])
def test_it_is_the_change_of_the_fields_that_all_tokens_agree_on(
    shape: tuple[int, ...], boundary: tuple[str, ...], conserved: tuple[bool, ...]
) -> None:
    """On disjoint patches and on those that overlap."""
    torch.manual_seed(0)
    domain, still = Domain.unit(shape, boundary), (None, 0.0)
    walls = tuple((still, still) for _ in shape)
    increment = Increment(Layout(domain, (4, 4)), 2, walls)
    increment.change.copy_(torch.tensor([0.5, 3.0]))
    increment.conserved.copy_(torch.tensor(conserved))
    out = torch.randn(3, 16, increment.width)

    patches = increment.layout.patches(domain)
    values, fluxes = patches.join(out).unflatten(1, (2, 3)).tensor_split((1,), 2)
    change = torch.where(torch.tensor(conserved).view(2, 1, 1), GAIN * divergence(fluxes, boundary), values[:, :, 0])
    held = held_points(walls, shape, boundary, out.device)
    assert held is not None
    change = (change * increment.change.view(2, 1, 1)).masked_fill(held[0], 0.0)
    torch.testing.assert_close(increment(out, domain), patches.split(change))
