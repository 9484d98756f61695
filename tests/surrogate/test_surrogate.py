"""The samplers of a surrogate: members differ, or their number is refused with what is missing."""

import pytest
import torch

from tests.models.systems import head, surrogate
from ups.core.errors import UserError

U0 = torch.sin(2 * torch.pi * torch.arange(32) / 32)


@pytest.mark.parametrize("sampler", ["auto", "diffusion"])
def test_members_that_would_all_be_the_mean_are_refused_by_name(sampler):
    model = surrogate(diffusion=head("regression"))
    with pytest.raises(UserError, match=r"16 members .*'?diffusion'? .*regression"):
        model.rollout(U0, 2, members=16, sampler=sampler)
    assert model.rollout(U0, 2, params=[0.0], members=1, sampler="diffusion").values.shape == (1, 1, 2, 1, 32)


def test_auto_passes_over_a_mean_and_takes_what_is_random():
    heads = {"diffusion": head("regression"), "crps": head("crps")}
    model = surrogate(**heads)
    assert model._head("auto", 4) is heads["crps"] and model._head("auto", 1) is None


def test_without_any_sampler_auto_says_which_stage_to_train():
    with pytest.raises(UserError) as told:
        surrogate().rollout(U0, 2, members=16)
    assert str(told.value) == (
        "16 members need a sampler, but this run has none: train stages.diff_residual with diffusion.objective flow, "
        "or stages.crps_ensemble"
    )


def test_a_sampler_that_was_not_trained_names_its_stage_and_what_there_is():
    with pytest.raises(UserError, match=r"no sampler 'consistency': it has crps; train stages.consistency_distill"):
        surrogate(crps=head("crps")).rollout(U0, 2, members=2, sampler="consistency")
    with pytest.raises(UserError, match=r"sampler must be auto, none, consistency, .*, found 'difusion'"):
        surrogate().rollout(U0, 2, sampler="difusion")
