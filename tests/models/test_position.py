"""Networks on latents are told where their tokens are where the system's law depends on it, and nowhere else."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models.systems import SMALL, latent_model, system
from ups.config import Config
from ups.core.system import System
from ups.models.autoencoder import LatentSettings
from ups.models.diffusion_residual import DiffusionResidual, DiffusionSettings
from ups.models.latent_operator import LatentModel, OperatorSettings
from ups.models.steady_prior import SteadyPrior
from ups.run.train import train
from ups.surrogate.surrogate import Surrogate

FREE = system((16, 8))
FORCED = replace(FREE, fixed_axes=(1,))


def model(of: System, told: str | bool = "auto") -> LatentModel:
    """A small model with random weights everywhere."""
    torch.manual_seed(0)
    made = LatentModel(
        of,
        LatentSettings.model_validate({"dim": 8, "tokens": 32, "width": 4, "position": told}),
        OperatorSettings.model_validate({"pdet": {**SMALL, "input_dim": 8, "group_size": 0, "spectral_modes": 2}}),
    )
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.2)
    return made


def step(made: LatentModel, u: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return made.rollout(u, 1, torch.ones(len(u), 1), torch.full((len(u),), 0.1))[:, 0]


@pytest.mark.parametrize("axis", [0, 1])
def test_a_step_depends_on_the_place_along_a_fixed_axis_alone(axis):
    u, by = torch.randn(2, 1, 16, 8), {0: 8, 1: 4}[axis]  # whole tokens
    for of in (FREE, FORCED):
        ahead, shifted = step(model(of), u), step(model(of), u.roll(by, 2 + axis)).roll(-by, 2 + axis)
        assert torch.allclose(ahead, shifted, atol=1e-4) == (axis not in of.fixed_axes)


def test_homogeneous_data_have_the_model_that_is_told_nothing():
    auto, off = model(FREE).state_dict(), model(FREE, "off").state_dict()
    assert auto.keys() == off.keys() and all(torch.equal(auto[name], off[name]) for name in auto)


@pytest.mark.parametrize(
    ("of", "told", "axes"),
    [
        (FREE, "auto", ()),
        (FORCED, "auto", (1,)),
        (FORCED, False, ()),  # as YAML reads off
        (FREE, True, (0, 1)),
        (system((16, 8), "neumann"), "auto", ()),
        (system((16, 8), "neumann"), "on", (0, 1)),
    ],
)
def test_which_axes_are_told(of, told, axes):
    assert LatentSettings.model_validate({"position": told}).position_axes(of) == axes


def test_residual_network_and_steady_prior_are_told_too():
    made = model(FORCED)
    width = made.operator.cfg.position.width
    residual, steady = DiffusionResidual(made, DiffusionSettings.model_validate(SMALL)), SteadyPrior(made, 2)
    assert (residual.transformer.input.in_features, steady.drift.input.in_features) == (24 + width, 16 + width)
    assert latent_model(FREE).operator.cfg.position.width == 0


def forced(n: int, seed: int) -> dict[str, np.ndarray]:
    """Solutions `(n, 9, 16, 16)` of u_t + (0.6, 0.4) . grad u = 0.01 lap u - 0.3 u + sin y from random waves, and where
    they are."""
    x = 2 * np.pi * np.arange(16) / 16
    kx, ky = np.meshgrid(*(np.fft.fftfreq(16, 1 / 16),) * 2, indexing="ij")
    rate = -1j * (0.6 * kx + 0.4 * ky) - 0.01 * (kx**2 + ky**2) - 0.3
    ahead, force = np.exp(0.25 * rate), np.fft.fft2(np.broadcast_to(np.sin(x), (16, 16)))
    start = np.random.default_rng(seed).normal(size=(n, 16, 16))
    u = [np.fft.fft2(start) * np.exp(-(kx**2 + ky**2) / 8) * 3]
    for _ in range(8):
        u.append(ahead * u[-1] + (ahead - 1) / rate * force)
    fields = np.fft.ifft2(np.stack(u, 1)).real
    return {"u": fields} | {name: np.broadcast_to(f(x), fields.shape) for name, f in (("sin", np.sin), ("cos", np.cos))}


@pytest.mark.slow
def test_a_forcing_is_learnt_as_well_as_from_channels_of_its_place(tmp_path: Path):
    errors, test = dict[str, float](), forced(8, 1)
    np.savez(tmp_path / "train.npz", allow_pickle=False, **forced(64, 0))
    for name, told, channels in (("auto", "auto", ["u"]), ("off", "off", ["u"]), ("given", "off", ["u", "sin", "cos"])):
        mapping = {"values": channels, "axes": "n t x y", "length": [2 * np.pi] * 2, "dt": 0.25}
        pdet = {"input_dim": 48, "hidden_dim": 32, "depths": [2], "num_heads": 2, "group_size": 0, "spectral_modes": 4}
        settings = {
            "data": {"files": str(tmp_path / "train.npz"), "mapping": mapping, "boundary": "periodic"},
            "latent": {"dim": 48, "tokens": 16, "width": 8, "position": told},
            "operator": {"pdet": pdet},
            "training": {"batch_size": 16, "steps_per_epoch": 50, "ema_decay": None},
            "stages": {"operator": {"epochs": 6, "optimizer": {"name": "muon", "lr": 5e-3}}},
            "run": {"dir": str(tmp_path / name), "threads": 1, "device": "cpu"},
        }
        model = Surrogate.load(train(Config.model_validate(settings)))
        u = np.stack([test[channel] for channel in channels], 2)
        v = model.rollout(u[:, 0], 8).values[:, 0, :, 0].numpy()
        errors[name] = float(np.sqrt(np.square(v - u[:, 1:, 0]).mean() / np.square(u[:, 1:, 0]).mean()))
    assert errors["auto"] < 1.5 * errors["given"] and errors["auto"] < 0.1 * errors["off"], errors
