"""Muon: momentum whose matrices are orthogonalised before they are applied (Jordan et al. 2024).

    m <- mu m + (1 - mu) g          u = NS((1 - mu) g + mu m)          w <- (1 - lr wd) w - 0.2 sqrt(max(a, b)) lr u

NS takes the singular values of a matrix (a, b) to about 1 by five steps X <- p X + (q A + r A A) X, A = X X^T, of a
Newton-Schulz iteration; the factor gives u the usual size of an update of AdamW (arXiv 2502.16982), so both share a
rate. The same rule as `torch.optim.Muon`, which works through one matrix after the other in bfloat16: here matrices of
a shape go through together, in float32 where the device has no bfloat16 units (10 times as fast there) or the matrices
are small (up to 4 times), and stacks of matrices and convolutions too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from ups.training.precision import native_bf16

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""p, q and r: steepest at 0, so that five steps suffice; singular values end between 0.7 and 1.2."""
STEPS = 5
SMALL = 64
"""Rows or columns below which a product in bfloat16 takes longer than one in float32."""


def orthogonalised(matrices: Tensor) -> Tensor:
    """(n, a, b) -> (n, a, b), with the same singular vectors and singular values near 1."""
    p, q, r = COEFFICIENTS
    halved = min(matrices.shape[-2:]) >= SMALL and native_bf16(matrices.device)
    x = matrices.to(torch.bfloat16 if halved else torch.float32)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-7)
    for _ in range(STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=q, alpha=r), x, beta=p)
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Muon for parameters that are matrices.

    Args:
        params: Matrices, stacks of matrices (their last two axes), and weights of convolutions.
        lr: Learning rate, of the size that AdamW takes.
        momentum: mu.
        weight_decay: Decoupled weight decay.

    Raises:
        ValueError: If a parameter has fewer than two axes.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ):
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "convolution": False}
        super().__init__(params, defaults)
        wrong = [tuple(p.shape) for group in self.param_groups for p in group["params"] if p.ndim < 2]
        if wrong:
            raise ValueError(f"Muon takes matrices, found a parameter of shape {wrong[0]}")

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:
        """One update of all parameters that have a gradient."""
        if closure is not None:
            with torch.enable_grad():
                closure()
        for group in self.param_groups:
            shapes: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    ahead = matrices_of(self._ahead(p, group["momentum"]), group["convolution"])
                    shapes.setdefault(ahead.shape[1:], []).append((p, ahead))
            for shape, alike in shapes.items():
                self._update(alike, group, 0.2 * max(shape) ** 0.5)

    def _ahead(self, p: Tensor, mu: float) -> Tensor:
        """The momentum of a parameter, brought up to its gradient, one step ahead (Nesterov)."""
        assert p.grad is not None
        if not self.state[p]:
            self.state[p]["momentum_buffer"] = torch.zeros_like(p)
        return p.grad.lerp(self.state[p]["momentum_buffer"].lerp_(p.grad, 1 - mu), mu)

    def _update(self, alike: list[tuple[Tensor, Tensor]], group: dict[str, Any], scale: float) -> None:
        """Updates parameters whose matrices (n, a, b) have one shape."""
        updates = orthogonalised(torch.cat([ahead for _, ahead in alike]))
        for (p, _), update in zip(alike, updates.split([len(ahead) for _, ahead in alike]), strict=True):
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.add_(update.reshape(p.shape), alpha=-scale * group["lr"])


def matrices_of(weight: Tensor, convolution: bool) -> Tensor:
    """The matrices (n, a, b) in a parameter of two and more axes: each of its last two, or, of a convolution (out, in,
    *taps), the one from all values that it sees."""
    return weight.flatten(1).unsqueeze(0) if convolution else weight.reshape(-1, *weight.shape[-2:])
