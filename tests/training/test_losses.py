"""Losses of the operator: closed forms, curriculum, and gradients that reach what is trained."""

import pytest
import torch
from torch.nn import functional as F

from tests.models.systems import latent_model, system
from ups.stages.operator import operator_loss
from ups.training.curriculum import horizon
from ups.training.losses import (
    LossWeights,
    batch_nrmse,
    compute_inverse_loss_curriculum_weight,
    compute_operator_loss_bundle,
    latent_consistency,
    latent_distance,
    relative_l2,
    spectral_energy_loss,
)
from ups.training.settings import TrainingSettings
from ups.training.stage import Progress


def test_curriculum_waits_ramps_and_is_capped() -> None:
    at = [compute_inverse_loss_curriculum_weight(e, 0.04, 10, 0.05) for e in (0, 9.9, 10, 15, 20, 99)]
    assert at == pytest.approx([0, 0, 0, 0.02, 0.04, 0.04])
    assert compute_inverse_loss_curriculum_weight(30, 1.0, 10, 0.05) == 0.05
    assert compute_inverse_loss_curriculum_weight(0, 0.03, 0, 0.05) == 0.03


def test_relative_error_is_that_of_norms() -> None:
    u = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    assert float(relative_l2(u + torch.tensor([[3.0, 4.0], [0.0, 0.0]]), u)) == pytest.approx(0.5)
    assert float(batch_nrmse(1.1 * u, u)) == pytest.approx(0.1, rel=1e-4)


def test_a_sample_that_vanishes_counts_as_a_hundredth_of_the_deviation() -> None:
    u = torch.tensor([[0.0, 0.0], [1e-16, 0.0]])
    assert float(relative_l2(u + 0.001, u)) == pytest.approx(0.1)


def test_spectral_loss_is_blind_to_phase_and_sees_each_frequency_alike() -> None:
    x = torch.arange(64) * 2 * torch.pi / 64
    u = (torch.sin(x) + 0.2 * torch.sin(20 * x)).view(1, 1, 64)
    assert float(spectral_energy_loss(u.roll(7, -1), u, 1)) < 1e-2
    without = torch.sin(x).view(1, 1, 64)
    assert float(spectral_energy_loss(without, u, 1)) == pytest.approx(1 / 33, rel=0.05)
    noise = 0.01 * torch.randn(1, 1, 64, generator=torch.Generator().manual_seed(0))
    assert float(spectral_energy_loss(without + noise, without, 1)) < 0.03


def test_latent_distance_is_relative_and_pulls_alike_at_any_error() -> None:
    target, direction = torch.randn(3, 2, 8, 4, requires_grad=True), torch.randn(3, 2, 8, 4)
    pulls = []
    for size in (1.0, 1e-3):
        z = (target.detach() + size * direction).requires_grad_()
        loss = latent_distance(z, target)
        expected = size * (direction.flatten(1).norm(dim=1) / target.detach().flatten(1).norm(dim=1)).mean()
        torch.testing.assert_close(loss.detach(), expected, rtol=1e-3, atol=0.0)
        (gradient, back) = torch.autograd.grad(loss, (z, target))
        torch.testing.assert_close(gradient, -back)  # none through the norm of the target
        pulls.append(gradient)
    torch.testing.assert_close(pulls[0], pulls[1], rtol=1e-2, atol=1e-4)


def test_latent_consistency_is_relative_to_the_variance() -> None:
    z = torch.randn(8, 5, 3)
    assert float(latent_consistency(10 * z + 1, 10 * z)) == pytest.approx(
        float(latent_consistency(z + 0.1, z)), rel=1e-4
    )


def test_the_total_is_the_weighted_sum_of_what_is_given() -> None:
    z, target = torch.randn(2, 4, 3), torch.randn(2, 4, 3)
    weights = LossWeights(lambda_forward=2.0, lambda_rollout=0.5, lambda_spectral=0.1)
    bundle = compute_operator_loss_bundle(
        pred_next=z,
        target_next=target,
        pred_rollout=z,
        target_rollout=target,
        spectral_pred=z,
        spectral_target=target,
        weights=weights,
        current_epoch=0,
    )
    parts = bundle.components
    assert set(parts) == {"L_forward", "L_rollout", "L_spec"}
    assert torch.equal(parts["L_forward"], F.mse_loss(z, target))
    torch.testing.assert_close(bundle.total, 2 * parts["L_forward"] + 0.5 * parts["L_rollout"] + 0.1 * parts["L_spec"])


WEIGHTS = (
    "lambda_forward",
    "lambda_inv_enc",
    "lambda_inv_dec",
    "lambda_rollout",
    "lambda_spectral",
    "lambda_reconstruction",
    "lambda_latent",
)


@pytest.mark.parametrize("train_codec", [True, False])
@pytest.mark.parametrize("weight", WEIGHTS)
def test_every_loss_has_a_gradient_to_what_is_trained(weight: str, train_codec: bool) -> None:
    if weight in ("lambda_reconstruction", "lambda_latent") and not train_codec:
        pytest.skip("joint training only")
    torch.manual_seed(0)
    model = latent_model(system())
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.2)
    model.codec.requires_grad_(train_codec)
    chosen = {name: float(name == weight) for name in WEIGHTS}
    training = TrainingSettings.model_validate(
        {
            **chosen,
            "train_codec": train_codec,
            "rollout_horizon": 2,
            "rollout_start": 0,
            "inverse_loss_warmup_epochs": 0,
            "inverse_loss_max_weight": 1,
        }
    )
    batch = Windowed(torch.randn(2, 3, 1, 32), torch.rand(2, 1), torch.full((2,), 0.1))
    operator_loss(training, model.codec, model, batch, Progress(0, 0.0, 0.5))["loss"].backward()  # type: ignore[arg-type]
    part = model.codec if weight == "lambda_reconstruction" else model.operator
    assert sum(float(p.grad.abs().sum()) for p in part.parameters() if p.grad is not None) > 0


class Windowed:
    """A batch as the loss sees it."""

    def __init__(self, frames: torch.Tensor, params: torch.Tensor, dt: torch.Tensor):
        self.frames, self.params, self.dt = frames, params, dt


def test_the_horizon_grows_from_one_to_its_end() -> None:
    training = TrainingSettings(lambda_rollout=1, rollout_horizon=4, rollout_start=0.25)
    assert [horizon(training, f) for f in (0, 0.24, 0.25, 0.49, 0.51, 0.76, 0.99)] == [1, 1, 2, 2, 3, 4, 4]
    assert horizon(TrainingSettings(rollout_horizon=4), 0.9) == 1
