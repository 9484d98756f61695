"""Losses of the operator stage as pure functions.

Notation: u, v fields (B, ..., C, *S), truth and prediction, in units of sigma, the deviation of each channel over the
training split (`ups.core.deviations`), so that no loss depends on the units of the data; z latent tokens (B, N, D).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from ups.core.deviations import NEGLIGIBLE
from ups.core.settings import Settings


class LossWeights(Settings):
    """Weights of the operator's losses; a loss with weight 0 is not computed.

    Good values: the defaults for deterministic systems; where the future is random, `lambda_latent` 0.1 with
    `latent_measure` squared (the larger the weight, the closer a rollout in latent space comes to one that re-encodes);
    `lambda_rollout` 1 with a horizon of 2 to 4.
    """

    lambda_forward: float = Field(default=1.0, ge=0)
    """One-step prediction."""
    lambda_inv_enc: float = Field(default=0.0, ge=0)
    """Decoding gives the fields back: decode(z) against u."""
    lambda_inv_dec: float = Field(default=0.0, ge=0)
    """Encoding gives the latents back: encode(decode(z)) against z, for the operator's prediction."""
    lambda_rollout: float = Field(default=0.0, ge=0)
    """Steps 2 to `rollout_horizon` through the model's own predictions."""
    lambda_spectral: float = Field(default=0.0, ge=0)
    """Relative error of the energy in each frequency: of the operator's prediction, and in stage 2 of single members
    (`crps`). Not of a mean, which is right to have less energy than its members."""
    lambda_relative: float = Field(default=0.0, ge=0)
    """NRMSE of the residual beside the mean squared error in stage 2: of the denoised one (`flow`) or of the mean
    (`regression`)."""
    lambda_reconstruction: float = Field(default=0.25, ge=0)
    """Reconstruction of the input while the codec is trained with the operator; no curriculum."""
    lambda_latent: float = Field(default=1.0, ge=0)
    """Latent consistency, operator(encode(u_t)) against encode(u_t+1), while the codec is trained."""
    latent_measure: Literal["squared", "relative"] = "relative"
    """Latent consistency as mean squared error over the latents' variance, or as relative error of each sample."""
    inverse_loss_warmup_epochs: int = Field(default=15, ge=0)
    """Epochs without inverse losses; they then grow over as many epochs."""
    inverse_loss_max_weight: float = Field(default=0.05, ge=0)
    """Cap of the inverse losses' weights."""
    inverse_loss_frequency: int = Field(default=1, ge=1)
    """Inverse losses are computed on every so many steps."""

    def inverse_weights(self, epoch: float) -> list[float]:
        """Weights of `L_inv_enc` and `L_inv_dec` at `epoch`."""
        warmup, most = self.inverse_loss_warmup_epochs, self.inverse_loss_max_weight
        bases = (self.lambda_inv_enc, self.lambda_inv_dec)
        return [compute_inverse_loss_curriculum_weight(epoch, base, warmup, most) for base in bases]


def compute_inverse_loss_curriculum_weight(
    epoch: float, base_weight: float, warmup_epochs: int = 15, max_weight: float = 0.05
) -> float:
    """Weight of an inverse loss at `epoch`: 0 during warm-up, then a linear ramp as long as the warm-up, then
    `base_weight`; capped."""
    if epoch < warmup_epochs:
        return 0.0
    ramp = (epoch - warmup_epochs) / warmup_epochs if warmup_epochs else 1.0
    return min(base_weight * min(ramp, 1.0), max_weight)


def relative_l2(v: Tensor, u: Tensor) -> Tensor:
    """Mean over samples of ||v - u|| / max(||u||, 0.01), root-mean-square norms over all axes but the first."""
    error, size = (x.flatten(1).norm(dim=1) for x in (v - u, u))
    return (error / size.clamp_min(NEGLIGIBLE * u[0].numel() ** 0.5)).mean()


def batch_nrmse(v: Tensor, u: Tensor) -> Tensor:
    """sqrt(mean (v - u)^2 / mean u^2) over the whole batch."""
    return ((v - u).square().mean() / u.square().mean().clamp_min(1e-12)).sqrt()


def latent_consistency(z: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of latents (B, ..., D) relative to the target's variance over the batch.

    With a gradient to the target, encoder and operator meet halfway; without, the operator alone has to move.
    """
    variance = target.flatten(0, -2).var(0).mean().detach()
    return F.mse_loss(z, target) / variance.clamp_min(1e-8)


def latent_distance(z: Tensor, target: Tensor) -> Tensor:
    """Mean over samples of ||z - target|| / ||target|| of latents (B, ..., D), norms over all axes but the first.

    Unlike the squares of `latent_consistency` it pulls as hard at small errors as at large ones. The target's norm has
    no gradient, so latents gain nothing by growing.
    """
    size = target.detach().flatten(1).norm(dim=1).clamp_min(1e-8)
    return ((z - target).flatten(1).norm(dim=1) / size).mean()


def spectral_energy_loss(v: Tensor, u: Tensor, axes: int) -> Tensor:
    """Mean over frequencies of |E_v - E_u| / (E_u + 0.1^2): the error of the energy spectrum, in which every scale
    counts alike that holds more than white noise of 0.1 sigma; with much less, empty frequencies are all that counts.

    Args:
        v, u: Prediction and truth whose last `axes` axes are spatial.
        axes: Number of spatial axes.

    E is the squared magnitude of the orthonormal spatial Fourier transform, averaged over the leading axes.
    """
    dims = tuple(range(-axes, 0))
    leading = tuple(range(v.ndim - axes))
    energy_v, energy_u = (
        torch.fft.rfftn(x.float(), dim=dims, norm="ortho").abs().square().mean(leading) for x in (v, u)
    )
    return ((energy_v - energy_u).abs() / (energy_u + 0.1**2)).mean()


@dataclass(frozen=True)
class LossBundle:
    """The weighted total and its unweighted components by name (`L_forward`, `L_inv_enc`, ...)."""

    total: Tensor
    components: dict[str, Tensor]


PLACES = frozenset({"input_positions", "query_positions", "coords", "meta"})
NO_WEIGHT = {name: 0.0 for name in LossWeights.model_fields if name.startswith("lambda_") and name != "lambda_forward"}


def compute_operator_loss_bundle(
    *,
    pred_next: Tensor,
    target_next: Tensor,
    weights: LossWeights | Mapping[str, Any],
    current_epoch: float,
    measure: Callable[[Tensor, Tensor], Tensor] = F.mse_loss,
    input_fields: Tensor | None = None,
    encoded_latent: Tensor | None = None,
    pred_latent: Tensor | None = None,
    decoder: Callable[[Tensor], Tensor] | None = None,
    encoder: Callable[[Tensor], Tensor] | None = None,
    pred_rollout: Tensor | None = None,
    target_rollout: Tensor | None = None,
    spectral_pred: Tensor | None = None,
    spectral_target: Tensor | None = None,
    spectral_axes: int = 1,
    **places: Any,
) -> LossBundle:
    """All losses of the operator stage; what is not given is not computed.

    Args:
        pred_next, target_next: One-step prediction and truth, both latents (B, N, D) or both fields (B, C, *S).
        weights: Weights and curriculum; as a mapping, by name, and those that are not there 0.
        current_epoch: Epoch for the curriculum.
        measure: Distance of `L_forward` and `L_rollout`.
        input_fields, encoded_latent: Fields (B, C, *S) and the latents (B, N, D) that must decode to them
            (`L_inv_enc`).
        pred_latent: Latents that must survive decoding and encoding (`L_inv_dec`), such as the operator's prediction;
            `encoded_latent` unless given.
        decoder, encoder: The codec, z -> u and u -> z.
        pred_rollout, target_rollout: Later steps of a rollout, (B, K, ...).
        spectral_pred, spectral_target: Tensors whose last `spectral_axes` axes are spatial (`L_spec`).
        places: `input_positions`, `query_positions`, `coords` and `meta`, which codecs of other kinds need: one that
            knows its grid does not.

    Raises:
        TypeError: An argument is none of these.
    """
    if unknown := places.keys() - PLACES:
        raise TypeError(f"compute_operator_loss_bundle() got the unexpected arguments {', '.join(sorted(unknown))}")
    if not isinstance(weights, LossWeights):
        weights = LossWeights.model_validate({**NO_WEIGHT, **weights})
    pred_latent = encoded_latent if pred_latent is None else pred_latent
    terms: list[tuple[str, float, Tensor]] = [("L_forward", weights.lambda_forward, measure(pred_next, target_next))]
    inv_enc, inv_dec = weights.inverse_weights(current_epoch)
    if inv_enc and decoder and input_fields is not None and encoded_latent is not None:
        terms.append(("L_inv_enc", inv_enc, F.mse_loss(decoder(encoded_latent), input_fields)))
    if inv_dec and decoder and encoder and pred_latent is not None:
        terms.append(("L_inv_dec", inv_dec, F.mse_loss(encoder(decoder(pred_latent)), pred_latent)))
    if weights.lambda_rollout and pred_rollout is not None and target_rollout is not None:
        terms.append(("L_rollout", weights.lambda_rollout, measure(pred_rollout, target_rollout)))
    if weights.lambda_spectral and spectral_pred is not None and spectral_target is not None:
        terms.append(
            ("L_spec", weights.lambda_spectral, spectral_energy_loss(spectral_pred, spectral_target, spectral_axes))
        )
    total = torch.stack([weight * loss for _, weight, loss in terms]).sum()
    return LossBundle(total, {name: loss for name, _, loss in terms})
