"""The residual forecaster: what it adds, and that a rollout is its steps one after the other."""

from pathlib import Path

import torch
from torch import Tensor, nn

from tests.models.systems import system
from tests.small import advection
from ups.core.boundary import BoundaryConv
from ups.core.domain import Domain
from ups.data.dataset import open_dataset
from ups.data.settings import DataSettings
from ups.peers.one_step import ResidualForecaster, change_std


class Zero(nn.Module):
    """(B, 3, X) -> (B, 1, X), all zero."""

    def forward(self, x: Tensor, domain: Domain) -> Tensor:
        return torch.zeros_like(x[:, :1])


def forecaster(network: nn.Module) -> ResidualForecaster:
    model = ResidualForecaster(network, system())
    for buffer, value in ((model.mean, 0.5), (model.std, 2.0), (model.change_std, 0.1)):
        buffer.fill_(value)
    return model


def test_a_network_that_says_nothing_leaves_a_field_as_it_is() -> None:
    u = torch.randn(2, 1, 32)
    assert torch.equal(forecaster(Zero())(u, torch.ones(2, 1)), u)


def test_a_rollout_is_its_steps_one_after_the_other() -> None:
    torch.manual_seed(0)
    model, u, params = forecaster(BoundaryConv(3, 1, 1, 1)), torch.randn(2, 1, 32), torch.ones(2, 1)
    ahead = model.rollout(u, 3, params)
    for step in range(3):
        u = model(u, params)
        assert torch.equal(ahead[:, step], u)


def test_the_network_sees_standardised_fields_parameters_and_coordinates() -> None:
    seen: list[Tensor] = []

    class Spy(Zero):
        def forward(self, x: Tensor, domain: Domain) -> Tensor:
            seen.append(x)
            return super().forward(x, domain)

    model = forecaster(Spy())
    model.param_mean.fill_(1.0)
    model.param_std.fill_(0.5)
    model(torch.full((1, 1, 32), 2.5), torch.tensor([[2.0]]))
    field, param, position = seen[0][0]
    assert field.unique().tolist() == [1.0] and param.unique().tolist() == [2.0]
    assert torch.equal(position, torch.arange(32) / 32)


def test_the_change_of_travelling_waves_has_the_deviation_of_its_amplitude(tmp_path: Path) -> None:
    advection(tmp_path)
    train = open_dataset(DataSettings(task="advection1d", root=str(tmp_path))).train
    change = train.trajectories(0, train.n).diff(dim=1)
    assert torch.allclose(change_std(train, [3.0]), change.std())
