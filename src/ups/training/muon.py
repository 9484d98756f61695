"""Muon: momentum whose matrices are orthogonalised before they are applied (Jordan et al. 2024).

    m <- mu m + (1 - mu) g          u = NS((1 - mu) g + mu m)          w <- (1 - lr wd) w - 0.2 sqrt(max(a, b)) lr u

NS takes the singular values of a matrix (a, b) to about 1 by five steps X <- p X + (q A + r A A) X, A = X X^T, of a
Newton-Schulz iteration; the factor gives u the usual size of an update of AdamW (arXiv 2502.16982), so both share a
rate. The same rule as `torch.optim.Muon`, which works through one matrix after the other in bfloat16: here matrices of
a shape go through together, on a CPU in float32 (on one without bfloat16 units, 10 times as fast).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""p, q and r: steepest at 0, so that five steps suffice; singular values end between 0.7 and 1.2."""
STEPS = 5


def orthogonalised(matrices: Tensor) -> Tensor:
    """(n, a, b) -> (n, a, b), with the same singular vectors and singular values near 1."""
    p, q, r = COEFFICIENTS
    x = matrices.float() if matrices.device.type == "cpu" else matrices.bfloat16()
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
            shapes: dict[torch.Size, list[Tensor]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    shapes.setdefault(p.shape, []).append(p)
            for shape, alike in shapes.items():
                self._update(alike, group, 0.2 * max(shape) ** 0.5)

    def _update(self, alike: list[Tensor], group: dict[str, Any], scale: float) -> None:
        mu, ahead = group["momentum"], []
        for p in alike:
            if p.grad is None:
                continue
            if not self.state[p]:
                self.state[p]["momentum_buffer"] = torch.zeros_like(p)
            momentum = self.state[p]["momentum_buffer"].lerp_(p.grad, 1 - mu)
            ahead.append(p.grad.lerp(momentum, mu))
        for p, update in zip(alike, orthogonalised(torch.stack(ahead)), strict=True):
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.add_(update, alpha=-scale * group["lr"])
