"""The Fourier neural operator with real products: the same function as the package's, and one that Muon takes."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from ups.core.domain import Domain
from ups.peers.fno import FNOSettings, RealFNO, fno
from ups.peers.settings import PeerSettings
from ups.training.optim import OptimizerSettings, build_optimizers

SIZE = {"width": 16, "modes": 8, "layers": 3}


def real(shape: tuple[int, ...], *boundary: str) -> Any:
    network = fno(FNOSettings.model_validate({**SIZE, "products": "real"}), 3, 2, Domain.unit(shape, boundary))
    assert isinstance(network, RealFNO)
    return network


def copied(there: Any, here: Any) -> Any:
    """`here` with the weights of the package's network, which has no frequency +modes / 2 but along the last axis."""

    def linear(target: nn.Linear, weight: Tensor, bias: Tensor) -> None:
        target.weight.copy_(weight.squeeze(-1))
        target.bias.copy_(bias)

    def mlp(target: nn.Sequential, source: Any) -> None:
        for mine, theirs in zip((target[0], target[2]), source.fcs, strict=True):
            assert isinstance(mine, nn.Linear)
            linear(mine, theirs.weight, theirs.bias)

    with torch.no_grad():
        mlp(here.lifting, there.lifting)
        mlp(here.projection, there.projection)
        blocks = there.fno_blocks
        for i, layer in enumerate(here.layers):
            conv = blocks.convs[i]
            linear(layer.skip, blocks.fno_skips[i].conv.weight, conv.bias.flatten())
            mlp(layer.mlp, blocks.channel_mlp[i])
            layer.gate.copy_(blocks.channel_mlp_skips[i].weight.flatten())
            weight = conv.weight.to_tensor().movedim((0, 1), (-2, -1))  # (*K, in, out), frequencies from -modes / 2 on
            for axis in range(weight.ndim - 3):
                half, more = weight.shape[axis] // 2, layer.spectral.weight.shape[axis] - weight.shape[axis]
                wide = torch.cat([weight, torch.zeros_like(weight.narrow(axis, 0, more))], axis)
                weight = wide.roll(-half, axis)
            layer.spectral.weight.copy_(torch.cat([weight.real, weight.imag], -1))
    return here


@pytest.mark.parametrize("shape", [(32,), (24, 16), (8, 8)])
def test_with_the_same_weights_real_products_are_the_packages_network(shape: tuple[int, ...]) -> None:
    pytest.importorskip("neuralop")
    torch.manual_seed(0)
    grid = Domain.unit(shape)
    there = fno(FNOSettings.model_validate(SIZE), 3, 2, grid)
    here, x = copied(there, real(shape)), torch.randn(4, 3, *shape)
    torch.testing.assert_close(here(x, grid), there(x, grid), rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        here.layers[1].spectral.weight.mul_(2)
    assert not torch.allclose(here(x, grid), there(x, grid), atol=1e-3)


@pytest.mark.parametrize("shape", [(64,), (32, 32)])
def test_it_starts_with_weights_of_the_size_that_the_package_draws(shape: tuple[int, ...]) -> None:
    pytest.importorskip("neuralop")
    torch.manual_seed(0)
    sizes = {"width": 64, "modes": 16}
    there: Any = fno(FNOSettings.model_validate(sizes), 3, 1, Domain.unit(shape))
    here: Any = fno(FNOSettings.model_validate({**sizes, "products": "real"}), 3, 1, Domain.unit(shape))
    conv, layer = there.fno_blocks.convs[0], here.layers[0]
    per_frequency = 2 * layer.spectral.weight.square().mean()  # of the squares of real and imaginary part
    torch.testing.assert_close(per_frequency, conv.weight.to_tensor().abs().square().mean(), rtol=0.05, atol=0)
    for mine, theirs in ((layer.skip.weight, there.fno_blocks.fno_skips[0].conv.weight), (layer.skip.bias, conv.bias)):
        torch.testing.assert_close(mine.std(), theirs.std(), rtol=0.4 if mine.ndim == 1 else 0.05, atol=0)


def test_a_shift_of_a_periodic_axis_shifts_the_result_and_of_one_with_walls_does_not() -> None:
    torch.manual_seed(0)
    grid, network = Domain.unit((16, 8), ("periodic", "wall")), real((16, 8), "periodic", "wall")
    x = torch.randn(2, 3, 16, 8)
    for axis, exact in ((2, True), (3, False)):
        shifted = network(x.roll(1, axis), grid)
        assert torch.allclose(shifted, network(x, grid).roll(1, axis), atol=1e-5) == exact


def test_muon_takes_every_matrix_of_it_and_is_refused_for_complex_weights() -> None:
    network = real((32,))
    muon, adamw = build_optimizers(network, OptimizerSettings(name="muon", lr=1e-3))
    taken = {id(p) for group in muon.param_groups for p in group["params"]}
    assert all(id(layer.spectral.weight) in taken and id(layer.skip.weight) in taken for layer in network.layers)
    assert all(p.ndim == 1 or min(p.shape) < 16 for group in adamw.param_groups for p in group["params"])
    assert PeerSettings(network="unet", optimizer="muon", lr=8e-3).stage(1.0).optimizer.name == "muon"
    with pytest.raises(ValidationError, match=r"set fno\.products to real"):
        PeerSettings(network="fno", optimizer="muon")
