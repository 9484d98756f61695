"""The codec: exact where it can be, aware of boundaries, open to any coordinates."""

import math

import pytest
import torch

from tests.models.systems import latent_model, system
from ups.core.boundary import BoundaryConv
from ups.core.errors import UserError
from ups.core.system import Boundary
from ups.models.autoencoder import Autoencoder, LatentSettings
from ups.models.learnt_codec import cosine_basis


@pytest.mark.parametrize("shape,tokens", [((32,), 8), ((32,), 5), ((8, 12), 12), ((4, 6, 4), 12)])
@pytest.mark.parametrize("kind", ["periodic", "dirichlet", "neumann"])
def test_a_latent_with_room_starts_exactly_invertible(shape: tuple[int, ...], tokens: int, kind: Boundary) -> None:
    codec = Autoencoder(system(shape, kind, channels=2), LatentSettings(dim=32, tokens=tokens, width=4))
    u = 3 * torch.randn(2, 2, *shape) + 1
    codec.calibrate(u)
    assert (codec(u) - u).abs().max() < 1e-5


def test_a_small_latent_starts_as_the_best_smooth_approximation() -> None:
    codec = Autoencoder(system((64,)), LatentSettings(dim=2, tokens=8, width=4))
    smooth = torch.sin(2 * math.pi * torch.arange(64) / 64).view(1, 1, 64)
    assert codec.compression == 4
    assert (codec(smooth) - smooth).norm() < 0.05 * smooth.norm()


def test_the_cosine_basis_is_orthonormal() -> None:
    basis = cosine_basis(2, (3, 4), 17)
    torch.testing.assert_close(basis @ basis.T, torch.eye(17), atol=1e-5, rtol=0)


def test_calibration_normalises_latents_and_leaves_the_codec_as_it_is() -> None:
    codec = Autoencoder(system(), LatentSettings(dim=8, tokens=8, width=4))
    last = codec.head[-1]
    assert isinstance(last, BoundaryConv)
    torch.nn.init.normal_(last.conv.weight, std=0.1)
    u = 5 + 2 * torch.randn(64, 1, 32)
    before = codec(u)
    codec.calibrate(u)
    z = codec.encode(u)
    torch.testing.assert_close(codec(u), before, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(z.mean((0, 1)), torch.zeros(8), atol=1e-4, rtol=0)
    torch.testing.assert_close(z.std((0, 1)), torch.ones(8), atol=1e-3, rtol=0)


@pytest.mark.parametrize("options", [{"group_size": 8}, {"group_size": 0, "spectral_modes": 4}])
def test_codec_and_operator_commute_with_shifts_by_whole_patches(options: dict[str, int]) -> None:
    torch.manual_seed(0)
    model = latent_model(system(), **options)
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.2)
    u, c, dt = torch.randn(2, 1, 32), torch.ones(2, 1), torch.full((2,), 0.1)
    shifted = model.rollout(u.roll(12, -1), 2, c, dt)
    torch.testing.assert_close(shifted, model.rollout(u, 2, c, dt).roll(12, -1), rtol=1e-3, atol=1e-4)
    assert (shifted[:, 0] - u.roll(12, -1)).abs().max() > 0.1


def test_windows_commute_with_shifts_by_whole_windows() -> None:
    model = latent_model(system(), group_size=2, depths=(1, 1, 1))
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.2)
    u, c, dt = torch.randn(2, 1, 32), torch.ones(2, 1), torch.full((2,), 0.1)
    torch.testing.assert_close(
        model.rollout(u.roll(16, -1), 1, c, dt), model.rollout(u, 1, c, dt).roll(16, -1), rtol=1e-3, atol=1e-4
    )


def test_the_decoder_answers_at_any_coordinates() -> None:
    codec = Autoencoder(system((32,)), LatentSettings(dim=8, tokens=8, width=4))
    wave = lambda x: torch.sin(2 * math.pi * x).view(1, 1, -1)  # noqa: E731
    z, fine, points = codec.encode(wave(torch.arange(32) / 32)), torch.arange(100) / 100, torch.rand(7)
    torch.testing.assert_close(codec.decode(z, points=fine[:, None]), wave(fine), atol=1e-4, rtol=0)
    torch.testing.assert_close(codec.decode(z, points=points[:, None]), wave(points), atol=1e-4, rtol=0)


def test_fields_of_another_shape_are_one_sentence() -> None:
    with pytest.raises(UserError, match=r"\(B, 1, 32\), found \(2, 1, 16\)"):
        Autoencoder(system((32,)), LatentSettings(dim=8, tokens=8)).encode(torch.zeros(2, 1, 16))


@pytest.mark.parametrize("space", ["field", "latent"])
@pytest.mark.parametrize("shape", [(32,), (16, 8)])
def test_rollouts_keep_conserved_means_and_no_others(space: str, shape: tuple[int, ...]) -> None:
    model = latent_model(system(shape, channels=2))
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.2)
    model.codec.conserved.copy_(torch.tensor([True, False]))
    u = torch.randn(3, 2, *shape) + 1
    with torch.no_grad():
        frames = model.rollout(u, 4, torch.ones(3, 1), torch.full((3,), 0.1), space)
    change = (frames.flatten(3).mean(-1) - u.flatten(2).mean(-1)[:, None]).abs()
    assert float(change[..., 0].max()) < 5e-5
    assert float(change[..., 1].min()) > 1e-3


@pytest.mark.parametrize(
    ("shape", "tokens", "dim"),
    [((32,), 8, 8), ((32,), 5, 16), ((8, 12), 12, 16), ((4, 6, 4), 12, 16), ((32,), 4, 4)],
)
def test_latents_are_moved_to_the_means_that_their_fields_take(shape: tuple[int, ...], tokens: int, dim: int) -> None:
    codec = Autoencoder(system(shape, channels=2), LatentSettings(dim=dim, tokens=tokens, width=4))
    codec.u_std.copy_(torch.tensor([3.0, 0.5]))
    codec.conserved.copy_(torch.tensor([True, False]))
    u, other = torch.randn(20, 2, *shape), torch.randn(20, 2, *shape) + 1
    codec.calibrate(u)
    with torch.no_grad():
        z, held = codec.hold(codec.encode(u), other)
        torch.testing.assert_close(codec.decode(z), held, rtol=1e-4, atol=1e-4)  # a codec before training is linear
    means = [x.flatten(2).mean(-1) for x in (held, other, codec.decode(codec.encode(u)).detach())]
    torch.testing.assert_close(means[0][:, 0], means[1][:, 0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(means[0][:, 1], means[2][:, 1], rtol=1e-4, atol=1e-4)
