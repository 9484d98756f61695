"""What every codec does, whatever its domains are made of: a grid today, points in time."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from ups.core.domain import Domain


class Codec(Protocol):
    """Fields in physical units <-> latent tokens; `domain` is that of the training data unless given."""

    def encode(self, u: Tensor, domain: Domain | None = None) -> Tensor:
        """Fields (B, C, *S) on a domain -> latent tokens (B, N, D)."""
        ...

    def decode(self, z: Tensor, domain: Domain | None = None, points: Tensor | None = None) -> Tensor:
        """Latent tokens (B, N, D) of a domain -> its fields (B, C, *S), or their values (B, C, Q) at `points` (Q, axes)
        in units of length."""
        ...

    def decode_like(self, z: Tensor, u: Tensor, domain: Domain | None = None) -> Tensor:
        """As `decode`, with what forecasts from the states u (B, C, *S) keep."""
        ...

    def hold(self, z: Tensor, u: Tensor, domain: Domain | None = None) -> tuple[Tensor, Tensor]:
        """As `decode_like`, with latents that are moved along: latents (B, N, D) and fields (B, C, *S)."""
        ...
