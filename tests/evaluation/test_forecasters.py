"""The rows of a surrogate: equal conditions for all of them."""

import pytest
import torch

from tests.models.systems import head, surrogate
from ups.evaluation.forecasters import forecasters


@pytest.mark.parametrize("row", ["operator", "operator (latent space)", "crps", "diffusion@2", "consistency@4"])
def test_every_row_has_the_same_number_of_states_in_a_network_call(row):
    model, sizes = surrogate(crps=head("crps"), diffusion=head(steps=3), consistency=head("consistency")), []
    model.model.operator.register_forward_hook(lambda module, given, found: sizes.append(len(found.z)))
    truth = torch.randn(8, 3, 1, 32)
    forecasters(model, (2,), 4)[row].rollout(truth, 0, 2, torch.ones(8, 1), 6, 0)
    members = 1 if row.startswith("operator") else 6
    assert sizes == [4] * (2 * 2 * members)


def test_the_residual_is_scored_with_the_steps_it_is_set_to_unless_others_are_asked_for():
    model = surrogate(diffusion=head(steps=3))
    assert [name for name in forecasters(model, (), 4) if name.startswith("diffusion")] == ["diffusion@3"]
    assert [name for name in forecasters(model, (2, 5), 4) if name.startswith("diffusion")] == [
        "diffusion@2",
        "diffusion@5",
    ]
