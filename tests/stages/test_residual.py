"""Stages 2 and 3 on small real models: losses, noise levels, frozen predecessors, exact micro-batches."""

from functools import partial
from pathlib import Path
from typing import cast

import pytest
import torch

from tests.models.systems import latent_model, system
from tests.small import config
from ups.config import load_config
from ups.core.errors import UserError
from ups.core.latent_state import LatentState
from ups.data.latent_pairs import Windows
from ups.models.consistency import jumps
from ups.models.diffusion_residual import DiffusionResidual, DiffusionSettings
from ups.models.residual_head import ResidualCondition, ResidualHead
from ups.run.train import prepare, run
from ups.stages import operator, residual
from ups.stages.distill import DistillBatch, levels_per_sample, pieces, student_loss
from ups.stages.residual import ResidualBatch, draw_tau
from ups.training import checkpoint
from ups.training.settings import ConsistencySettings, TauDistribution, TrainingSettings
from ups.training.stage import Progress

SMALL = {"hidden_dim": 16, "depths": (1,), "num_heads": 2, "group_size": 8}
START = Progress(0, 0.0, 0.0)


def network(seed: int = 0) -> DiffusionResidual:
    torch.manual_seed(seed)
    made = DiffusionResidual(latent_model(system()), DiffusionSettings.model_validate(SMALL))
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.1)
    return made


def batch(n: int = 6) -> ResidualBatch:
    z = torch.randn(n, 8, 8)
    return ResidualBatch(
        torch.randn(n, 8, 8),
        ResidualCondition(LatentState(z, cond={"params": torch.rand(n, 1)}), z + 0.1, torch.full((n,), 0.1)),
    )


def test_noise_levels_follow_their_distribution() -> None:
    torch.manual_seed(0)
    uniform = draw_tau(TauDistribution(), 20_000)
    assert float(uniform.mean()) == pytest.approx(0.5, abs=0.01) and float(uniform.var()) == pytest.approx(
        1 / 12, rel=0.05
    )
    beta = draw_tau(TauDistribution(type="beta", alpha=2, beta=5), 20_000)
    assert float(beta.mean()) == pytest.approx(2 / 7, abs=0.01) and float(beta.var()) == pytest.approx(
        10 / 392, rel=0.05
    )
    assert float(uniform.min()) > 0 and float(uniform.max()) < 1


def test_the_flow_loss_of_an_untrained_network_is_the_energy_of_its_target() -> None:
    torch.manual_seed(0)
    made = DiffusionResidual(latent_model(system()), DiffusionSettings.model_validate(SMALL))
    loss = residual.flow_loss(TrainingSettings(), made, batch(200), START)["loss"]
    assert loss.item() == pytest.approx(2.0, rel=0.05)


def test_the_regression_loss_of_an_untrained_network_is_the_energy_of_the_residual() -> None:
    made = DiffusionResidual(latent_model(system()), DiffusionSettings.model_validate(SMALL))
    given = batch()
    losses = residual.regression_loss(TrainingSettings(lambda_relative=0.5), made, given, START)
    energy = given.r.square().mean()
    torch.testing.assert_close(losses["L_base"], energy)
    torch.testing.assert_close(losses["L_rel"], torch.tensor(1.0))
    torch.testing.assert_close(losses["loss"], energy + 0.5)


def test_regression_learns_the_mean_of_the_residual() -> None:
    """Residuals m + e with one m for all samples; what is drawn comes close to m, however large e is."""
    torch.manual_seed(0)
    made, mean, n = network(), torch.randn(8), 64
    given = ResidualCondition(
        LatentState(torch.zeros(n, 8, 8), cond={"params": torch.ones(n, 1)}),
        torch.zeros(n, 8, 8),
        torch.full((n,), 0.1),
    )
    optimizer = torch.optim.Adam(made.parameters(), 1e-2)
    for _ in range(120):
        optimizer.zero_grad()
        sample = ResidualBatch(mean + torch.randn(n, 8, 8), given)
        residual.regression_loss(TrainingSettings(), made, sample, START)["loss"].backward()
        optimizer.step()
    drawn = ResidualHead(made, "regression").draw(given, torch.randn(n, 8, 8))
    assert (drawn - mean).square().mean() < 0.05 * mean.square().mean()


def test_regression_returns_the_mean_and_no_spread() -> None:
    head, given = ResidualHead(network(), "regression"), batch().given
    a, b = (head.draw(given, torch.randn(6, 8, 8)) for _ in range(2))
    assert torch.equal(a, b) and head.evaluations() == 1


def test_crps_prefers_the_right_spread() -> None:
    class Noise(DiffusionResidual):
        """Members that are nothing but their noise."""

        def forward(self, x: torch.Tensor, *given: object) -> torch.Tensor:
            return x

    torch.manual_seed(0)
    model, truth = latent_model(system()), batch(64)
    made = Noise(model, DiffusionSettings.model_validate(SMALL))
    losses = []
    for scale in (0.3, 1.0, 3.0):
        sized = ResidualBatch(scale * truth.r, truth.given)
        found = residual.crps_loss(TrainingSettings(), model, 4, made.scale, made, sized, START)
        losses.append(found["L_crps"].item() / scale)
    assert losses[1] == min(losses)


def test_members_of_an_untrained_crps_ensemble_are_the_operators_forecast() -> None:
    made = DiffusionResidual(latent_model(system()), DiffusionSettings.model_validate(SMALL))
    given = batch().given
    assert torch.equal(ResidualHead(made, "crps").step(given), given.base)


def test_residuals_are_taken_in_float32_under_mixed_precision() -> None:
    model = latent_model(system())
    torch.nn.init.normal_(model.operator.transformer.output.get_parameter("weight"))
    windows = Windows(torch.randn(4, 2, 8, 8), torch.rand(4, 1), torch.full((4,), 0.1))
    plain = residual.with_operator(model, torch.ones(8), windows)
    with torch.autocast("cpu", torch.bfloat16):
        assert not torch.equal(model.step(plain.given.state, windows.dt).z, plain.given.base)
        mixed = residual.with_operator(model, torch.ones(8), windows)
    assert torch.equal(plain.r, mixed.r)


def test_the_relative_error_joins_the_flow_loss_with_its_weight() -> None:
    made, one, losses = network(), batch(), []
    for weight in (0.0, 0.5):
        torch.manual_seed(0)
        losses.append(residual.flow_loss(TrainingSettings(lambda_relative=weight), made, one, START))
    assert losses[1]["loss"].item() == pytest.approx((losses[0]["loss"] + 0.5 * losses[0]["L_rel"]).item())
    assert losses[0]["L_rel"] > 0


@pytest.mark.parametrize("micro", [1, 2, 3, 5])
def test_micro_batches_of_the_student_equal_the_whole_batch(micro: int) -> None:
    teacher, student, given = network(1), network(2), batch()
    torch.manual_seed(0)
    many, r = given.given.repeat(3), given.r.repeat_interleave(3, 0)
    whole = DistillBatch(jumps(partial(many.velocity, teacher), r, torch.rand(18)), many)

    def gradient(size: int) -> torch.Tensor:
        student.zero_grad()
        for piece, share in pieces(whole, 6, size, 3):
            (student_loss(student, piece, START)["loss"] * share).backward()
        return torch.cat([p.grad.flatten() for p in student.parameters() if p.grad is not None])

    torch.testing.assert_close(gradient(micro), gradient(6), rtol=1e-4, atol=1e-7)


def test_the_schedule_of_levels_holds_its_last_entry() -> None:
    scheduled = ConsistencySettings(tau_schedule=(1, 2, 4))
    assert [levels_per_sample(scheduled, e) for e in (0, 1.5, 2, 9)] == [1, 2, 4, 4]
    assert levels_per_sample(ConsistencySettings(distill_num_taus=5), 3) == 5


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config whose run has all stages of the residual, with its first evaluation."""
    epochs = {
        name: {"epochs": 2}
        for name in ("autoencoder", "operator", "diff_residual", "crps_ensemble", "consistency_distill")
    }
    path = config(
        tmp_path_factory.mktemp("residual"),
        stages=epochs,
        diffusion={**SMALL, "depths": [1], "reserve": 0.25, "steps": 2},
        evaluation={"bootstrap": 100, "pictures": False, "members": 3, "nfe": [1, 2], "one_step_members": 2},
    )
    run(load_config(path))
    return path


def test_every_stage_leaves_its_files_and_its_epochs(trained: Path) -> None:
    folder = load_config(trained).run.dir
    stems = ("autoencoder", "operator", "diffusion_residual", "crps_ensemble", "consistency_distill")
    assert all((folder / "checkpoints" / f"{stem}{kind}.pt").exists() for stem in stems for kind in ("", "_ema"))
    log = (folder / "reports/training_log.jsonl").read_text()
    assert all(
        log.count(f'"stage": "{name}"') == 2 for name in ("diff_residual", "crps_ensemble", "consistency_distill")
    )


def test_rows_of_every_sampler_stand_in_the_metrics(trained: Path) -> None:
    import json

    rows = {
        row["model"]: row for row in json.loads((load_config(trained).run.dir / "metrics.json").read_text())["rows"]
    }
    sampled = {
        "crps": 2,
        "diffusion@1": 2,
        "diffusion@2": 4,
        "consistency@1": 2,
        "consistency@2": 3,
        "consistency@4": 5,
    }
    assert {name: rows[name]["nfe_per_step"] for name in sampled} == sampled
    assert all(rows[name]["members"] == 3 and rows[name]["probabilistic"]["overall"]["crps"] > 0 for name in sampled)


def test_members_are_reproducible_and_differ(trained: Path) -> None:
    import ups

    model, u0 = ups.load(load_config(trained).run.dir), torch.sin(torch.arange(32.0) / 5)[None, None]
    a, b = (model.rollout(u0, 3, members=4, seed=7).values for _ in range(2))
    assert torch.equal(a, b) and a.shape == (1, 4, 3, 1, 32)
    assert not torch.equal(a, model.rollout(u0, 3, members=4, seed=8).values)
    assert (a[:, 0] - a[:, 1]).abs().max() > 0
    assert model.rollout(u0, 3, members=2, sampler="diffusion", nfe=3).evaluations == 6


@pytest.mark.parametrize(
    "options,sentence",
    [
        ({"sampler": "magic"}, "sampler must be auto, none, consistency, crps, diffusion, found 'magic'"),
        ({"sampler": "none", "members": 2}, "would all be the same"),
        ({"nfe": 0}, "from 1 to 1000, found 0"),
    ],
)
def test_a_sampler_that_is_not_there_is_one_sentence(trained: Path, options: dict, sentence: str) -> None:
    import ups

    with pytest.raises(UserError, match=sentence):
        ups.load(load_config(trained).run.dir).rollout(torch.zeros(1, 1, 32), 2, **options)


def test_a_head_of_another_operator_is_refused(trained: Path, tmp_path: Path) -> None:
    import shutil

    import ups

    folder = tmp_path / "mixed"
    shutil.copytree(load_config(trained).run.dir, folder)
    path = folder / "checkpoints" / "operator_ema.pt"
    payload = checkpoint.load(path)
    next(iter(payload["state"].values())).add_(1.0)
    checkpoint.save(payload, path)
    with pytest.raises(UserError, match="belongs to another operator"):
        ups.load(folder)


def test_the_held_out_flow_loss_draws_the_same_each_time_and_tells_a_better_network(trained: Path) -> None:
    context = prepare(load_config(trained))
    model, made = operator.load(context), residual.build(context).model
    score = residual.held_out_flow_loss(context, model, cast(DiffusionResidual, made).scale)
    with torch.no_grad():
        untrained, state = score(made), torch.get_rng_state()
        checkpoint.load_state(
            made, checkpoint.load(context.checkpoints / "diffusion_residual.pt")["state"], Path("here")
        )
        learnt = score(made)
        assert learnt == score(made) and torch.equal(state, torch.get_rng_state())
    assert learnt < untrained
