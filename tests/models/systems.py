"""Small systems that the tests of models share."""

from ups.core.blocks_pdet import PDETransformerConfig
from ups.data.fields import Boundary, System
from ups.models.autoencoder import LatentSettings
from ups.models.latent_operator import LatentModel, OperatorSettings


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
