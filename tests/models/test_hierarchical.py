"""The codec that compresses level by level: what holds whatever its weights are, and that it learns."""

import math
import signal
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.models.systems import system
from tests.small import config
from ups.config import load_config
from ups.core.blocks_pdet import PDETransformerConfig
from ups.core.domain import Domain
from ups.core.errors import Stopped, UserError
from ups.core.patches import deinterleaved, interleaved
from ups.core.system import Boundary, System
from ups.evaluation.forecasters import forecasters
from ups.models.autoencoder import LatentSettings
from ups.models.hierarchical import Hierarchical
from ups.models.latent_operator import LatentModel, OperatorSettings, codec_of
from ups.run.train import train
from ups.surrogate.surrogate import Surrogate
from ups.training import checkpoint
from ups.training.loop import Trainer
from ups.training.losses import relative_l2

GRIDS = [((32,), 4), ((33,), 8), ((16, 24), 4), ((17, 13), 8), ((8, 12, 9), 2), ((8, 8, 8), 4)]
PARAMS, DT = torch.ones(2, 1), torch.full((2,), 0.1)


def latent(**settings: Any) -> LatentSettings:
    """Settings of a small one."""
    return LatentSettings.model_validate({"codec": "hierarchical", "width": 4, "kernel": 3, **settings})


def hierarchical(of: System, **settings: Any) -> Hierarchical:
    """The codec of these settings."""
    codec = codec_of(of, latent(**settings))
    assert isinstance(codec, Hierarchical)
    return codec


def stirred(codec: torch.nn.Module, std: float = 0.2) -> Any:
    """The same with random weights everywhere, also where training starts from 0."""
    torch.manual_seed(0)
    for weight in codec.parameters():
        torch.nn.init.normal_(weight, std=std)
    return codec.eval()


def model_of(of: System, **settings: Any) -> LatentModel:
    """A small model with random weights everywhere."""
    small = {"block": "convolution", "hidden_dim": 8, "depths": (2,), "conv_taps": 3, "stem_taps": 3}
    operator = OperatorSettings(pdet=PDETransformerConfig.model_validate(small))
    return stirred(LatentModel(of, latent(**settings), operator))


@pytest.mark.parametrize(("shape", "factor"), GRIDS)
@pytest.mark.parametrize("kind", ["periodic", "dirichlet", "neumann", "wall/open"])
def test_a_latent_is_smaller_by_the_ratio_that_is_asked_for(
    shape: tuple[int, ...], factor: int, kind: Boundary
) -> None:
    """On grids that the down-sampling does not divide too, as near as whole numbers come."""
    codec = stirred(hierarchical(system(shape, kind, channels=2), compression=2, downsample=factor))
    u = torch.randn(3, 2, *shape)
    z = codec.encode(u)
    grid = tuple(math.ceil(n / factor) for n in shape)
    assert codec.grid == grid and z.shape == (3, math.prod(grid), codec.dim)
    wide = u[0].numel() / math.prod(grid) / 2
    assert abs(codec.dim - wide) <= 0.5 and codec.compression == pytest.approx(u[0].numel() / z[0].numel())
    v = codec.decode(z)
    assert v.shape == u.shape and torch.isfinite(v).all()


@pytest.mark.parametrize(
    ("shape", "ratio", "factor"),
    [
        ((64, 64), 8, 4),
        ((64, 64), 32, 8),
        ((64, 64), 64, 8),
        ((128, 128), 64, 8),
        ((256,), 8, 8),
        ((16, 16, 16), 64, 4),
    ],
)
def test_unless_said_otherwise_a_token_has_as_many_points_as_the_ratio(
    shape: tuple[int, ...], ratio: int, factor: int
) -> None:
    codec = hierarchical(system(shape, channels=2), compression=ratio)
    assert codec.grid == tuple(n // factor for n in shape) and codec.compression == ratio
    assert codec.dim >= 2  # the mean of every channel has its place


@pytest.mark.parametrize(("shape", "factor"), GRIDS)
@pytest.mark.parametrize("kind", ["periodic", "dirichlet"])
def test_a_latent_with_room_starts_exactly_invertible(shape: tuple[int, ...], factor: int, kind: Boundary) -> None:
    codec = hierarchical(system(shape, kind, channels=2), dim=2 * factor ** len(shape), downsample=factor)
    u = 3 * torch.randn(2, 2, *shape) + 1
    codec.calibrate(u)
    assert (codec(u) - u).abs().max() < 1e-4


def test_a_small_latent_starts_with_the_mean_of_each_token_and_no_more() -> None:
    codec = hierarchical(system((16, 16), channels=2), compression=16, downsample=4)
    u = torch.randn(2, 2, 16, 16)
    codec.calibrate(u)
    means = torch.nn.functional.avg_pool2d(u, 4)
    torch.testing.assert_close(codec(u), means.repeat_interleave(4, 2).repeat_interleave(4, 3), atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(32,), (16, 16), (8, 8, 8)])
def test_it_commutes_with_shifts_by_a_token_and_with_no_others(shape: tuple[int, ...]) -> None:
    codec, d = stirred(hierarchical(system(shape, channels=2), compression=4, downsample=4)), len(shape)
    u = torch.randn(2, 2, *shape)
    with torch.no_grad():
        z = codec.encode(u).unflatten(1, codec.grid)
        for axis in range(d):
            shifted = codec.encode(u.roll(4, 2 + axis)).unflatten(1, codec.grid)
            torch.testing.assert_close(shifted, z.roll(1, 1 + axis), rtol=1e-4, atol=1e-4)
            back = codec.decode(z.roll(1, 1 + axis).flatten(1, d))
            torch.testing.assert_close(back, codec.decode(z.flatten(1, d)).roll(4, 2 + axis), rtol=1e-4, atol=1e-4)
            between = codec(u.roll(2, 2 + axis)) - codec(u).roll(2, 2 + axis)
            assert between.abs().max() > 0.01


@pytest.mark.parametrize("part", ["encode", "decode"])
def test_what_is_learnt_sees_across_a_periodic_end_and_not_across_a_wall(part: str) -> None:
    """A change in the first token is seen in the last one, where there is no end between them."""
    for kind, seen in (("periodic", True), ("neumann", False)):
        codec = stirred(hierarchical(system((64,), kind), compression=4, downsample=4))
        with torch.no_grad():
            x = torch.zeros(2, 1, 64) if part == "encode" else torch.zeros(2, 16, codec.dim)
            x[1, ..., 0] += 1.0 if part == "encode" else 0.0
            x[1, 0] += 1.0 if part == "decode" else 0.0
            one, two = getattr(codec, part)(x)
        change = (one - two).abs()
        last = change[-1].max() if part == "encode" else change[..., -4:].max()
        assert (float(last) > 1e-4) == seen


def test_a_level_passes_on_what_it_sees_before_it_has_learnt_to() -> None:
    """With nothing in the learnt maps between levels, gradients still reach both ends of both towers."""
    codec = stirred(hierarchical(system((16, 16), channels=2), compression=4, downsample=8))
    assert len(codec.down) == len(codec.up) == 2
    for layer in (*codec.down, *codec.up):
        for weight in layer.parameters():
            torch.nn.init.zeros_(weight)
    codec(torch.randn(2, 2, 16, 16)).square().mean().backward()
    for layer in (codec.from_field, codec.from_latent):
        assert layer.conv.weight.grad.abs().max() > 1e-5


@pytest.mark.parametrize("space", ["field", "latent"])
@pytest.mark.parametrize("shape", [(32,), (18, 9)])
def test_rollouts_keep_conserved_means_and_no_others(space: str, shape: tuple[int, ...]) -> None:
    model = model_of(system(shape, channels=2), compression=4, downsample=4)
    model.codec.conserved.copy_(torch.tensor([True, False]))
    u = torch.randn(2, 2, *shape) + 1
    with torch.no_grad():
        frames = model.rollout(u, 4, PARAMS, DT, space)
    change = (frames.flatten(3).mean(-1) - u.flatten(2).mean(-1)[:, None]).abs()
    assert float(change[..., 0].max()) < 5e-5
    assert float(change[..., 1].min()) > 1e-3


@pytest.mark.parametrize(("shape", "factor"), GRIDS)
def test_latents_are_moved_to_the_means_that_their_fields_take(shape: tuple[int, ...], factor: int) -> None:
    codec = hierarchical(system(shape, channels=2), dim=2, downsample=factor)
    codec.u_std.copy_(torch.tensor([3.0, 0.5]))
    codec.conserved.copy_(torch.tensor([True, False]))
    u, other = torch.randn(20, 2, *shape), torch.randn(20, 2, *shape) + 1
    codec.calibrate(u)
    with torch.no_grad():
        z, held = codec.hold(codec.encode(u), other)
        torch.testing.assert_close(codec.decode(z), held, rtol=1e-4, atol=1e-4)  # a codec before training is linear
        free = codec.decode(codec.encode(u))
    means = [x.flatten(2).mean(-1) for x in (held, other, free)]
    torch.testing.assert_close(means[0][:, 0], means[1][:, 0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(means[0][:, 1], means[2][:, 1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("space", ["field", "latent"])
def test_forecasts_hold_walls_exactly_and_nothing_else(space: str) -> None:
    rod = replace(system((33,), "dirichlet", channels=2), walls=(((300.0, None), (1.5, None)),))
    model = model_of(rod, compression=2, downsample=4)
    model.codec.u_mean.copy_(torch.tensor([280.0, 0.0]))
    with torch.no_grad():
        frames = model.rollout(torch.randn(2, 2, 33) + 280, 4, PARAMS, DT, space)
    assert (frames[:, :, 0, 0] == 300).all() and (frames[:, :, 0, -1] == 1.5).all()
    assert frames[:, :, 1, 0].std() > 0.01 and frames[:, :, 0, 1].std() > 0.01


def test_a_channel_that_never_changes_is_carried() -> None:
    model = model_of(system((16, 16), channels=2), compression=4)
    model.codec.u_std.copy_(torch.tensor([1.0, 0.0]))
    u = torch.randn(2, 2, 16, 16)
    with torch.no_grad():
        frames = model.rollout(u, 3, PARAMS, DT)
    assert all(torch.equal(frames[:, k, 1], u[:, 1]) for k in range(3))
    assert all((a - b).abs().max() > 1e-3 for a, b in pairwise([u[:, 0], *frames[:, :, 0].unbind(1)]))


@pytest.mark.parametrize("space", ["field", "latent"])
@pytest.mark.parametrize("shape", [(32,), (16, 12)])
def test_a_finer_grid_is_forecast_as_the_grids_that_are_interleaved_in_it(space: str, shape: tuple[int, ...]) -> None:
    model, strides = model_of(system(shape), compression=2, downsample=4), tuple(range(2, 2 + len(shape)))
    domain = model.system.domain.refined(*strides)
    u = torch.randn(2, 1, *domain.shape)
    parts = interleaved(u, strides)
    with torch.no_grad():
        fine = model.rollout(u, 2, PARAMS, DT, space, domain)
        each = model.rollout(parts, 2, torch.ones(len(parts), 1), torch.full((len(parts),), 0.1), space)
    for step in range(2):
        torch.testing.assert_close(fine[:, step], deinterleaved(each[:, step], strides), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(32,), (16, 8), (8, 8, 8)])
def test_a_field_repeated_on_a_longer_domain_is_coded_as_each_of_its_copies(shape: tuple[int, ...]) -> None:
    codec = stirred(hierarchical(system(shape, channels=2), compression=4, downsample=8))
    longer, twice = replace(codec.system.domain, shape=tuple(2 * n for n in shape)), (1, 1, *[2] * len(shape))
    u = torch.randn(2, 2, *shape)
    with torch.no_grad():
        torch.testing.assert_close(codec(u.repeat(twice), longer), codec(u).repeat(twice), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("shape", "factor"), GRIDS)
def test_a_domain_of_any_other_length_has_a_forecast(shape: tuple[int, ...], factor: int) -> None:
    codec = stirred(hierarchical(system(shape, "wall", channels=2), compression=2, downsample=factor))
    for more in (1, 3, 10):
        domain: Domain = replace(codec.system.domain, shape=tuple(n + more for n in shape))
        u = torch.randn(1, 2, *domain.shape)
        assert torch.isfinite(codec(u, domain)).all() and codec(u, domain).shape == u.shape


def waves(n: int, points: int, seed: int) -> Tensor:
    """Sums of a few long waves on a periodic square, (n, 1, X, X)."""
    draw = torch.Generator().manual_seed(seed)
    x = 2 * math.pi * torch.arange(points) / points
    size, phase = torch.randn(n, 3, 3, generator=draw), 6.3 * torch.rand(n, 3, 3, generator=draw)
    k = torch.arange(1.0, 4.0)
    along = k.view(3, 1, 1, 1) * x.view(1, 1, -1, 1) + k.view(1, 3, 1, 1) * x.view(1, 1, 1, -1)
    return (size[..., None, None] * torch.sin(along + phase[..., None, None])).sum((1, 2)).unsqueeze(1)


def test_a_short_training_lowers_the_floor() -> None:
    """Eight times smaller: from three quarters, what the cosine transform leaves, to a tenth, on fields not seen."""
    torch.manual_seed(0)
    codec = hierarchical(system((16, 16)), compression=8, downsample=4, width=8, kernel=5)
    u, unseen, floors = waves(256, 16, 0), waves(64, 16, 1), []
    codec.u_std.copy_(u.std())
    codec.calibrate(u)
    optimizer = torch.optim.AdamW(codec.parameters(), 1e-2)
    for step in range(61):
        if step % 60 == 0:
            with torch.no_grad():
                floors.append(float(relative_l2(codec(unseen), unseen)))
        batch = u[torch.randperm(len(u), generator=torch.Generator().manual_seed(step))[:16]]
        optimizer.zero_grad()
        relative_l2(codec(batch), batch).backward()
        optimizer.step()
    assert 0.7 < floors[0] < 0.8 and floors[1] < 0.1


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config of a run of stages 0 and 1."""
    return config(
        tmp_path_factory.mktemp("hierarchical"),
        latent={"codec": "hierarchical", "compression": 4, "downsample": 4, "width": 4, "dim": None, "tokens": None},
        operator={"pdet": {"block": "convolution", "hidden_dim": 8, "depths": [1]}},
    )


def test_both_stages_go_on_to_the_same_bits(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, parts = (load_config(path, [f"run.dir={tmp_path / name}"]) for name in ("whole", "parts"))
    train(whole)
    original = Trainer.optimizer_step

    def step(self: Trainer, *args: Any) -> None:
        original(self, *args)
        if self.tally.step == 3:
            signal.raise_signal(signal.SIGTERM)

    for _ in ("autoencoder", "operator"):
        with monkeypatch.context() as patch, pytest.raises(Stopped):
            patch.setattr(Trainer, "optimizer_step", step)
            train(parts)
    train(parts)
    for stage in ("autoencoder", "operator"):
        one, two = (checkpoint.load(c.run.dir / f"checkpoints/{stage}.pt")["state"] for c in (whole, parts))
        assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)
        assert any("decoders" in key for key in one)


def test_a_run_trains_the_codec_in_both_stages_and_scores_its_floor_and_both_spaces(path: Path) -> None:
    train(load_config(path))
    surrogate = Surrogate.load(load_config(path).run.dir)
    fresh = LatentModel(surrogate.system, load_config(path).latent, load_config(path).operator).codec
    first, second = (
        checkpoint.load(load_config(path).run.dir / f"checkpoints/{stage}.pt")["state"]
        for stage in ("autoencoder", "operator")
    )
    assert isinstance(surrogate.model.codec, Hierarchical) and type(fresh) is Hierarchical
    for key, weight in fresh.named_parameters():
        if key.startswith(("to_latent", "to_field")):  # which start at 0
            assert first[key].abs().max() > 0 and not torch.equal(first[key], second[f"codec.{key}"])
            assert weight.abs().max() == 0
    assert list(forecasters(surrogate, (), 4)) == ["autoencoder", "operator (latent space)", "operator"]


def test_calibration_normalises_latents_and_leaves_a_trained_codec_as_it_is() -> None:
    """Also on other fields than the first time."""
    codec = hierarchical(system((16, 16), channels=2), compression=4, downsample=4)
    u = 5 + torch.randn(64, 2, 16, 16)
    codec.calibrate(u)
    stirred(codec)
    before = codec(u)
    codec.calibrate(2 * u + 1)
    torch.testing.assert_close(codec(u), before, rtol=1e-3, atol=1e-3)
    codec.calibrate(u)
    z = codec.encode(u)
    torch.testing.assert_close(z.mean((0, 1)), torch.zeros(codec.dim), atol=1e-3, rtol=0)
    torch.testing.assert_close(z.std((0, 1)), torch.ones(codec.dim), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("shape", "settings", "sentence"),
    [
        ((64, 6), {"downsample": 8}, r"latent\.downsample = 8 must be at most the fewest points of an axis, 6"),
        ((64, 64), {"compression": 64, "downsample": 2}, r"latent\.compression = 64 leaves nothing of the 4 numbers"),
    ],
)
def test_what_fits_no_grid_is_one_sentence(shape: tuple[int, ...], settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        hierarchical(system(shape), **settings)
