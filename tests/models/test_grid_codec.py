"""The exact codec, and the operator on the points of a grid: what holds whatever the weights are."""

import copy
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.models.systems import system
from ups.core.blocks_pdet import PDETransformerConfig
from ups.core.errors import UserError
from ups.core.latent_state import LatentState
from ups.core.system import System
from ups.models.autoencoder import LatentSettings
from ups.models.grid_codec import GridCodec
from ups.models.latent_operator import LatentModel, OperatorSettings

SHAPES = [(12,), (8, 6), (4, 6, 4)]


def points_model(of: System, patch: int = 1, **pdet: object) -> LatentModel:
    """A small model of blocks of convolutions with random weights everywhere, also where training starts from 0."""
    small = {"block": "convolution", "hidden_dim": 8, "depths": (2,), "conv_taps": 3, "stem_taps": 3, **pdet}
    torch.manual_seed(0)
    latent = LatentSettings(codec="exact", patch=patch)
    model = LatentModel(of, latent, OperatorSettings(pdet=PDETransformerConfig.model_validate(small)))
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    model.codec.u_mean.copy_(torch.arange(1.0, len(of.channels) + 1))
    model.codec.u_std.copy_(torch.logspace(-3, 3, len(of.channels)))
    return model.eval()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("patch", [1, 2])
def test_decoding_gives_back_what_was_encoded(shape: tuple[int, ...], patch: int) -> None:
    codec = points_model(system(shape, channels=2), patch).codec
    u = torch.randn(3, 2, *shape) * torch.tensor([1e-3, 1e3]).view(-1, *[1] * len(shape))
    z = codec.encode(u)
    assert isinstance(codec, GridCodec) and codec.compression == 1 and not list(codec.parameters())
    assert z.shape == (3, 2 * u[0, 0].numel() // codec.dim, 2 * patch ** len(shape))
    torch.testing.assert_close(codec.decode(z), u, rtol=1e-6, atol=1e-6)


def test_which_means_are_conserved_is_one_tensor_wherever_the_model_goes(tmp_path: Path) -> None:
    model = points_model(system((12,), channels=2))
    model.codec.conserved[0] = True
    assert model.operator.increment is not None and model.operator.increment.conserved.tolist() == [True, False]
    torch.save(model.state_dict(), tmp_path / "model.pt")  # both names, as checkpoints have had them
    again = points_model(system((12,), channels=2))
    again.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    for moved in (again, copy.deepcopy(again), copy.deepcopy(again).to("meta"), copy.deepcopy(again).double()):
        assert moved.operator.increment is not None
        assert moved.operator.increment.conserved is moved.codec.conserved
    assert again.codec.conserved.tolist() == [True, False]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["periodic", "wall"])
def test_rollouts_in_both_spaces_agree_and_keep_conserved_means(shape: tuple[int, ...], kind: str) -> None:
    model = points_model(system(shape, kind, channels=2), 2)
    model.codec.conserved[0] = True
    u = model.codec.decode(torch.randn_like(model.codec.encode(torch.zeros(3, 2, *shape))))
    given = (4, torch.full((3, 1), 0.1), torch.full((3,), 0.1))
    with torch.no_grad():
        rolled = (model.rollout(u, *given, space=space) for space in ("field", "latent"))
        field, latent = map(model.codec.in_deviations, rolled)
        torch.testing.assert_close(field, latent, rtol=1e-4, atol=1e-4)
        means = field[:, :, 0].flatten(2).mean(-1)
        start = model.codec.in_deviations(u)[:, 0].flatten(1).mean(-1)
        torch.testing.assert_close(means, start[:, None].expand_as(means), rtol=1e-5, atol=1e-5)
        step = model.operator(
            LatentState(model.codec.encode(u), cond={"params": given[1]}), given[2]
        ).z - model.codec.encode(u)
    change = model.codec.layout.patches(model.codec.layout.domain).join(step)
    assert change[:, 0].flatten(1).sum(-1).abs().max() < 1e-3 * change[:, 0].abs().sum()
    assert change[:, 1].flatten(1).sum(-1).abs().max() > 1e-3


def test_nothing_conditions_an_operator_whose_data_do_not_vary() -> None:
    """One time step and one value of the parameter: such a model has no weights for them, and answers for any value."""
    of = replace(system((12,)), param_range=((0.1, 0.1),))
    model, other = points_model(of), points_model(replace(of, param_range=((0.1, 0.2),)))
    assert sum(p.numel() for p in model.parameters()) < sum(p.numel() for p in other.parameters())
    u, dt = torch.randn(2, 1, 12), torch.full((2,), 0.1)
    a, b = (model.rollout(u, 2, torch.full((2, 1), value), dt) for value in (0.1, 0.2))
    assert torch.equal(a, b)
    a, b = (other.rollout(u, 2, torch.full((2, 1), value), dt) for value in (0.1, 0.2))
    assert not torch.equal(a, b)


@pytest.mark.parametrize("space", ["field", "latent"])
@pytest.mark.parametrize("depths", [(2,), (1, 1, 1)])
def test_a_model_of_one_grid_runs_on_a_finer_and_on_a_larger_one(depths: tuple[int, ...], space: str) -> None:
    """On a finer grid of the same domain, interleaved grids of the trained spacing: a field without detail between the
    trained points has the forecast of the coarse grid at these points."""
    model = points_model(system((12,), channels=2), depths=depths)
    domain = model.codec.layout.domain
    u, given = torch.randn(2, 2, 12), (3, torch.full((2, 1), 0.1), torch.full((2,), 0.1), space)
    with torch.no_grad():
        coarse = model.rollout(u, *given)
        fine = model.rollout(u.repeat_interleave(2, -1), *given, domain=domain.refined(2))
        torch.testing.assert_close(fine[..., ::2], coarse, rtol=1e-4, atol=1e-4)
        large = replace(domain, shape=(24,))
        assert torch.isfinite(model.rollout(torch.randn(2, 2, 24), *given, domain=large)).all()


def test_mixed_precision_leaves_a_step_as_it_is() -> None:
    """The change from point to point is a small part of a flux: of 256 points in bfloat16 it would be off by 20 %."""
    model, x = points_model(system((256,))), torch.arange(256) * (2 * torch.pi / 256)
    model.codec.conserved[0] = True
    state, dt = LatentState(x.sin().view(1, 256, 1), cond={"params": torch.full((1, 1), 0.1)}), torch.full((1,), 0.1)
    with torch.no_grad():
        exact = model.operator(state, dt).z
        with torch.autocast("cpu", torch.bfloat16):
            mixed = model.operator(state, dt).z
    assert mixed.dtype == torch.float32 and torch.equal(mixed, exact)


@pytest.mark.parametrize("patch", [1, 2])
def test_nothing_changes_where_a_wall_holds_a_value(patch: int) -> None:
    walls = (((0.3, None), (None, None)),)
    model = points_model(replace(system((12,), "dirichlet", channels=2), walls=walls), patch)
    u = torch.randn(2, 2, 12)
    u[:, 0, 0] = 0.3
    z = model.codec.encode(u)
    stepped = model.operator(LatentState(z, cond={"params": torch.full((2, 1), 0.1)}), torch.full((2,), 0.1)).z
    change = model.codec.layout.patches(model.codec.layout.domain).join(stepped - z)
    assert (change[:, 0, 0] == 0).all() and (change[:, 0, 1:] != 0).all() and (change[:, 1] != 0).all()


def test_a_patch_must_divide_the_grid() -> None:
    with pytest.raises(UserError, match=r"latent\.patch = 2 must divide the 9 points of the grid"):
        points_model(system((9,)), 2)
    assert points_model(system((9,)), 3).codec.grid == (3,)


@pytest.mark.parametrize(("shape", "taps"), [((64,), 5), ((16, 16), 1), ((8, 8, 8), 1)])
def test_the_first_layer_sees_neighbours_where_that_is_cheap(shape: tuple[int, ...], taps: int) -> None:
    """On one axis the neighbours in reach of the first layer move its result; on more axes only the token does."""
    made = LatentModel(system(shape), LatentSettings(), OperatorSettings())
    torch.manual_seed(0)
    z = torch.randn(1, math.prod(shape), 1)
    domain, first = made.codec.layout.domain, made.operator.transformer.input
    moved = z.clone()
    moved[0, 0] += 1
    change = (first(moved.unflatten(1, shape), domain) - first(z.unflatten(1, shape), domain)).abs().sum(-1)
    assert int((change > 1e-6).sum()) == taps


@pytest.mark.parametrize(
    ("shape", "widths"), [((64,), [32, 32, 32]), ((32, 32), [32, 64, 128]), ((8, 8, 8), [32, 64, 128])]
)
def test_coarser_levels_are_wider_where_they_have_a_quarter_of_the_tokens(
    shape: tuple[int, ...], widths: list[int]
) -> None:
    made = LatentModel(system(shape), LatentSettings(), OperatorSettings()).operator.transformer
    weights = dict(made.named_parameters())
    found = [weights[f"levels.{n}.blocks.0.mlp.0.weight"].shape[1] for n in range(len(made.levels))]
    assert found == [*widths, *reversed(widths[:-1])]
