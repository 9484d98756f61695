"""The table of stages: what follows from it, and that its entries agree with each other."""

from ups.core.stages import STAGES, built_on_by, needed_by, samplers


def test_a_stage_needs_all_that_its_predecessors_need() -> None:
    assert needed_by("autoencoder") == ("autoencoder",)
    assert needed_by("crps_ensemble") == ("autoencoder", "operator", "crps_ensemble")
    assert needed_by("consistency_distill") == ("autoencoder", "operator", "diff_residual", "consistency_distill")


def test_what_builds_on_a_stage_is_listed_from_the_last_to_the_first() -> None:
    assert built_on_by("diff_residual") == ("consistency_distill", "diff_residual")
    assert built_on_by("steady_prior") == ("steady_prior",)
    assert built_on_by("autoencoder") == built_on_by("all") == tuple(reversed(STAGES))


def test_the_cheapest_sampler_comes_first() -> None:
    assert list(samplers()) == ["consistency", "crps", "diffusion"]


def test_predecessors_are_earlier_stages_and_no_two_stages_share_files_or_a_sampler() -> None:
    names = list(STAGES)
    for name, spec in STAGES.items():
        assert name == spec.name and all(names.index(before) < names.index(name) for before in spec.predecessors)
    assert len({spec.stem for spec in STAGES.values()}) == len(names)
    assert len(samplers()) == sum(bool(spec.sampler) for spec in STAGES.values())
