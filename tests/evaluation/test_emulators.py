"""The rows of a surrogate: equal conditions for all of them."""

import pytest
import torch

from tests.models.systems import latent_model, system
from ups.evaluation.emulators import emulators
from ups.models.diffusion_residual import DiffusionResidual, DiffusionSettings
from ups.models.residual_head import Objective, ResidualHead
from ups.surrogate import Surrogate

SMALL = {"hidden_dim": 16, "depths": (1,), "num_heads": 2, "group_size": 8}


def head(objective: Objective = "flow", steps: int = 1) -> ResidualHead:
    """An untrained sampler for `latent_model(system())`."""
    settings = DiffusionSettings.model_validate(SMALL)
    return ResidualHead(DiffusionResidual(8, settings, (8,), ("periodic",), 1), objective, steps)


def surrogate(**heads: ResidualHead) -> Surrogate:
    """An untrained surrogate with these samplers."""
    return Surrogate(latent_model(system()), heads=heads)


@pytest.mark.parametrize("row", ["operator", "operator (latent space)", "crps", "diffusion@2", "consistency@4"])
def test_every_row_has_the_same_number_of_states_in_a_network_call(row):
    model, sizes = surrogate(crps=head("crps"), diffusion=head(steps=3), consistency=head("consistency")), []
    model.model.operator.register_forward_hook(lambda module, given, found: sizes.append(len(found.z)))
    truth = torch.randn(8, 3, 1, 32)
    emulators(model, (2,), 4)[row].rollout(truth, 0, 2, torch.ones(8, 1), 6, 0)
    members = 1 if row.startswith("operator") else 6
    assert sizes == [4] * (2 * 2 * members)
