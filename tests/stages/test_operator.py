"""Stage 1."""

from pathlib import Path

import pytest
import torch

from tests.small import config
from ups.config import load_config
from ups.models.latent_operator import LatentModel
from ups.run.train import prepare, train
from ups.stages.build import build_stage
from ups.stages.operator import with_input_noise
from ups.training.stage import Progress


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config of a run with a trained codec."""
    path = config(tmp_path_factory.mktemp("codec"))
    train(load_config(path), "autoencoder")
    return path


FROZEN, WARM = "training.train_codec=false", "training.inverse_loss_warmup_epochs=0"
THERE, BACK = "training.lambda_inv_enc=1", "training.lambda_inv_dec=1"
SPECTRAL = "training.lambda_spectral=1"


@pytest.mark.parametrize(
    ("settings", "step", "decoded"),
    [
        ([FROZEN], 0, []),
        ([FROZEN, SPECTRAL], 0, [8]),
        ([FROZEN, SPECTRAL, "training.spectral_space=latent"], 0, []),
        ([FROZEN, THERE], 0, []),  # before the end of its warm-up
        ([FROZEN, THERE, WARM], 0, [8]),
        ([FROZEN, BACK, WARM], 0, [8]),
        ([FROZEN, THERE, BACK, WARM, "training.inverse_loss_frequency=2"], 1, []),
        ([FROZEN, "training.rollout_reencode=true"], 0, [8]),
        ([], 0, [24]),
        (["training.rollout_reencode=true"], 0, [8, 8, 8]),
    ],
)
def test_only_what_a_loss_compares_is_decoded(
    path: Path, monkeypatch: pytest.MonkeyPatch, settings: list[str], step: int, decoded: list[int]
) -> None:
    stage = build_stage(prepare(load_config(path, settings)), "operator")
    assert isinstance(stage.model, LatentModel)
    codec, sizes, decode = stage.model.codec, [], stage.model.codec.decode
    monkeypatch.setattr(codec, "decode", lambda z: sizes.append(len(z)) or decode(z))
    losses = stage.loss(stage.model, next(stage.batches(0)), Progress(step, 1.0, 0.9))
    assert sizes == decoded and losses["L_rollout"].requires_grad


def test_a_frozen_codec_encodes_without_a_graph(path: Path) -> None:
    stage = build_stage(prepare(load_config(path, [FROZEN])), "operator")
    batch = next(stage.batches(0))
    out = stage.model(batch.frames, batch.params, batch.dt, ahead=0)
    assert out.latents.requires_grad and not out.encoded.requires_grad


def test_noise_on_the_first_frame_is_log_uniform_up_to_a_share_of_each_channels_deviation() -> None:
    torch.manual_seed(0)
    frames, std = torch.randn(2000, 3, 2, 64), torch.tensor([2.0, 0.5])
    noisy = with_input_noise(frames, 0.1, std)
    assert torch.equal(noisy[:, 1:], frames[:, 1:])
    sizes = (noisy[:, 0] - frames[:, 0]).std(-1) / std  # about the size of each window, alike in both channels
    torch.testing.assert_close(
        sizes.log10().quantile(torch.tensor([0.1, 0.5, 0.9])), torch.tensor([-2.8, -2.0, -1.2]), rtol=0, atol=0.1
    )
    assert with_input_noise(frames, 0.0, std) is frames
