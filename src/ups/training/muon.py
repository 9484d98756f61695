"""Muon: momentum whose matrices are orthogonalised before they are applied (Jordan et al. 2024).

    m <- mu m + (1 - mu) g          u = NS((1 - mu) g + mu m)          w <- (1 - lr wd) w - 0.2 sqrt(max(a, b)) lr u

NS takes the singular values of a matrix (a, b) to about 1 by five steps X <- p X + (q A + r A A) X, A = X X^T, of a
Newton-Schulz iteration; the factor gives u the usual size of an update of AdamW (arXiv 2502.16982), so both share a
rate. The same rule as `torch.optim.Muon`, which works in bfloat16 everywhere: here a CPU works in float64, faster where
it has no units for bfloat16, and rounded after, so that a resumed run has the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""p, q and r: steepest at 0, so that five steps suffice; singular values end between 0.7 and 1.2."""
STEPS = 5


def orthogonalised(matrix: Tensor) -> Tensor:
    """(a, b) -> (a, b), with the same singular vectors and singular values near 1."""
    p, q, r = COEFFICIENTS
    x = matrix.double() if matrix.device.type == "cpu" else matrix.bfloat16()
    tall = x.shape[0] > x.shape[1]
    x = x.T.contiguous() if tall else x
    x = x / x.norm().clamp_min(1e-7)
    for _ in range(STEPS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=q, alpha=r), x, beta=p)
    return (x.T if tall else x).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """Muon for parameters that are matrices.

    Args:
        params: Matrices.
        lr: Learning rate, of the size that AdamW takes.
        momentum: mu.
        weight_decay: Decoupled weight decay.

    Raises:
        ValueError: If a parameter is no matrix.
    """

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        wrong = [tuple(p.shape) for group in self.param_groups for p in group["params"] if p.ndim != 2]
        if wrong:
            raise ValueError(f"Muon takes matrices, found a parameter of shape {wrong[0]}")

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:
        """One update of all parameters that have a gradient."""
        if closure is not None:
            with torch.enable_grad():
                closure()
        for group in self.param_groups:
            mu, rate = group["momentum"], group["lr"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                if not self.state[p]:
                    self.state[p]["momentum_buffer"] = torch.zeros_like(p)
                momentum = self.state[p]["momentum_buffer"].lerp_(p.grad, 1 - mu)
                update = orthogonalised(p.grad.lerp(momentum, mu))
                p.mul_(1 - rate * group["weight_decay"])
                p.add_(update, alpha=-0.2 * max(p.shape) ** 0.5 * rate)
