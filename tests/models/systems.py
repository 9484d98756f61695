"""Small systems that the tests of models share."""

from ups.core.blocks_pdet import PDETransformerConfig
from ups.core.system import Boundary, System
from ups.models.autoencoder import LatentSettings
from ups.models.diffusion_residual import DiffusionResidual, DiffusionSettings
from ups.models.latent_operator import LatentModel, OperatorSettings
from ups.models.residual_head import Objective, ResidualHead
from ups.surrogate.surrogate import Surrogate

SMALL = {"hidden_dim": 16, "depths": (1,), "num_heads": 2, "group_size": 8}
"""A small residual network."""


def system(shape: tuple[int, ...] = (32,), boundary: Boundary = "periodic", channels: int = 1) -> System:
    """A unit domain with one parameter."""
    coords = tuple(tuple(i / s for i in range(s)) for s in shape)
    return System(tuple("uvw"[:channels]), shape, coords, (boundary,) * len(shape), ("Nu",), 0.1)


def latent_model(of: System, tokens: int = 8, dim: int = 8, **pdet: object) -> LatentModel:
    """A small model with the given backbone."""
    config = PDETransformerConfig.model_validate(
        {"input_dim": dim, "hidden_dim": 16, "depths": (1,), "group_size": 4, "num_heads": 2, **pdet}
    )
    return LatentModel(of, LatentSettings(dim=dim, tokens=tokens, width=4), OperatorSettings(pdet=config))


def head(objective: Objective = "flow", steps: int = 1) -> ResidualHead:
    """An untrained sampler for `latent_model(system())`."""
    settings = DiffusionSettings.model_validate(SMALL)
    return ResidualHead(DiffusionResidual(latent_model(system()), settings), objective, steps)


def surrogate(**heads: ResidualHead) -> Surrogate:
    """An untrained surrogate with these samplers."""
    return Surrogate(latent_model(system()), heads=heads)
