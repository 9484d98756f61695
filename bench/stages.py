"""What each part of the training of UPS buys: one change at a time, at equal time, on one problem and one seed.

Not a setting, and so not here: the number of layers of the convolutional stem, and the depth of the codec's head.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from bench.cells import Cell, Phase
from bench.contenders import CONTENDERS, Contender, scores, train
from bench.problems import MAIN, opened
from bench.scale import Place, Scale

MINUTES = 1.0
CHANGES: dict[str, tuple[str, ...]] = {
    "as it is": (),
    "conserved means left to drift": ("latent.hold_means=false",),
    "stem of 8 channels": ("latent.width=8",),
    "stem without neighbours": ("latent.kernel=1",),
    "no depthwise convolution": ("operator.pdet.conv_taps=1",),
    "depthwise convolution of 5 tokens": ("operator.pdet.conv_taps=5",),
    "8 Fourier modes": ("operator.pdet.spectral_modes=8",),
    "64 tokens of width 32": ("latent.tokens=64", "latent.dim=32", "operator.pdet.spectral_modes=24"),
    "16 tokens of width 128": ("latent.tokens=16", "latent.dim=128", "operator.pdet.spectral_modes=9"),
    "attention in windows beside Fourier mixing": ("operator.pdet.group_size=16",),
    "attention in windows alone": ("operator.pdet.group_size=16", "operator.pdet.spectral_modes=0"),
    "attention over all tokens alone": ("operator.pdet.group_size=32", "operator.pdet.spectral_modes=0"),
    "AdamW, lr 1e-3": ("stages.operator.optimizer.name=adamw", "stages.operator.optimizer.lr=1e-3"),
    "AdamW, lr 2e-3": ("stages.operator.optimizer.name=adamw", "stages.operator.optimizer.lr=2e-3"),
    "Muon, lr 2e-3": ("stages.operator.optimizer.lr=2e-3",),
    "codec trained first, then with the operator": ("stages.autoencoder.epochs=1",),
    "codec trained first, then frozen": ("stages.autoencoder.epochs=1", "training.train_codec=false"),
    "rollouts of 2 steps in the last third": ("training.rollout_horizon=2", "training.rollout_start=0.7"),
    "rollouts of 3 steps": ("training.rollout_horizon=3",),
    "rollouts of 3 steps through decoder and encoder": (
        "training.rollout_horizon=3",
        "training.rollout_reencode=true",
    ),
    "noise on the input, 0.3 %": ("training.input_noise=0.003",),
    "noise on the input, 1 %": ("training.input_noise=0.01",),
    "no latent consistency": ("training.lambda_latent=0",),
    "latent consistency 0.1": ("training.lambda_latent=0.1",),
    "latent consistency 3": ("training.lambda_latent=3",),
    "latent consistency by squares": ("training.latent_measure=squared",),
    "reconstruction 1": ("training.lambda_reconstruction=1.0",),
    "inverse losses": (
        "training.lambda_inv_enc=0.05",
        "training.lambda_inv_dec=0.05",
        "training.inverse_loss_warmup_epochs=1",
    ),
    "spectral loss": ("training.lambda_spectral=0.01", "training.spectral_space=field"),
    "no average of the weights": ("training.ema_decay=null",),
    "average over fewer steps": ("training.ema_decay=0.99",),
    "no shifts": ("training.shift_augmentation=false",),
    "float32": ("training.amp=false",),
    "batches of 16": ("training.batch_size=16",),
    "batches of 64": ("training.batch_size=64",),
}
"""What is changed, in words and as overrides of bench/patches.yaml."""


def cells(scale: Scale) -> list[Cell]:
    """One training for each change."""
    usual = CONTENDERS["ups"].on(MAIN)
    return [
        Cell(
            "stages",
            name.replace(" ", "-").replace(",", ""),
            Phase.TRAINING,
            {"change": name, "overrides": list(overrides), "minutes": MINUTES, "seed": scale.seeds[0]}
            | {"scale": scale.name, "setup": usual.changed(*overrides).settings()},
            partial(_ablate, usual.changed(*overrides), scale),
            MINUTES * scale.minute + 15,
        )
        for name, overrides in CHANGES.items()
    ]


def _ablate(contender: Contender, scale: Scale, place: Place, folder: Path) -> dict[str, Any]:
    data, seed = opened(place, MAIN, scale), scale.seeds[0]
    result = train(contender, data, MINUTES * scale.minute, seed, folder)
    return {"training": result.facts, "scores": scores(result.rows, data, seed, folder), "data": data.describe()}
