"""The config of a run: one section for each concern, each class beside its code, and what must hold between them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ups.config import load
from ups.config.load import Contradiction
from ups.config.problems import value_at
from ups.config.reference import section_reference
from ups.config.sections import RolloutSettings, RunSettings, TrackingSettings
from ups.config.source import Key
from ups.core.settings import Settings
from ups.core.stages import STAGES
from ups.data.settings import DataSettings
from ups.data.thinning import generated_frames
from ups.evaluation.settings import EvaluationSettings
from ups.models.autoencoder import LatentSettings
from ups.models.diffusion_residual import DiffusionSettings
from ups.models.latent_operator import OperatorSettings
from ups.training.settings import StagesSettings, TrainingSettings
from ups.ttc.rewards import misfit
from ups.ttc.settings import TTCSettings

WIDTHS: tuple[Key, Key] = (("latent", "dim"), ("operator", "pdet", "input_dim"))
LEARNT_ONLY = ("lambda_latent", "lambda_reconstruction", "latent_measure", "fixed_latent_target")
"""Settings of `training` without effect where the codec is exact: its latents are the fields."""
STEPS: tuple[Key, Key] = (("training", "dt"), ("data", "subsample", "dt"))


class Config(Settings):
    """All settings of a run.

    Good values: only `data` is required; start from a file in `configs/`.
    """

    data: DataSettings
    """Trajectories to train, validate and test on."""
    latent: LatentSettings = LatentSettings.model_validate({})
    """Latent space."""
    operator: OperatorSettings = OperatorSettings.model_validate({})
    """Latent operator (stage 1)."""
    diffusion: DiffusionSettings = DiffusionSettings.model_validate({})
    """Diffusion residual (stages 2 and 3)."""
    training: TrainingSettings = TrainingSettings.model_validate({})
    """What all stages share."""
    stages: StagesSettings = StagesSettings.model_validate({})
    """What each stage sets for itself."""
    evaluation: EvaluationSettings = EvaluationSettings.model_validate({})
    """Scores and report."""
    rollout: RolloutSettings = RolloutSettings.model_validate({})
    """Forecasts from step to step."""
    ttc: TTCSettings = TTCSettings.model_validate({})
    """Test-time conditioning."""
    run: RunSettings = RunSettings.model_validate({})
    """Run folder, seed and hardware."""
    tracking: TrackingSettings = TrackingSettings.model_validate({})
    """Experiment trackers."""


def load_config(
    path: Path | str, overrides: Sequence[str] = (), further: Callable[[Config], list[Contradiction]] = lambda _: []
) -> Config:
    """The config in a YAML file, with `a.b=value` overrides; `further` looks for contradictions beyond the config.

    Without `run.dir` the run folder is `runs/<name of the file>`; of `latent.dim` and `operator.pdet.input_dim`, one
    that is not given follows the other, and `data.subsample.dt` follows `training.dt`; learnt patches take blocks of
    transformers unless others are given; `evaluation.nfe` that is not given is `diffusion.steps`.
    Raises `UserError` with one line `FILE:LINE: key: sentence` for each problem.
    """
    path = Path(path)

    def derived(values: dict[str, Any]) -> list[tuple[Key, Any]]:
        widths = [(key, value_at(values, other)) for key, other in (WIDTHS, WIDTHS[::-1])]
        paths = [(("run", "dir"), f"runs/{path.stem}"), (("run", "source"), str(path))]
        steps = value_at(values, ("diffusion", "steps")) or DiffusionSettings.model_fields["steps"].default
        sampled = [(("evaluation", "nfe"), [steps])] if isinstance(steps, int) else []
        step = value_at(values, STEPS[0])
        stepped = [] if step is None else [(STEPS[1], step)]
        latent = value_at(values, ("latent",))
        kind = LatentSettings.kind(latent) if isinstance(latent, dict) else "exact"
        usual = {"patch": "transformer", "hierarchical": "convolution"}  # which `input_dim` alone would not say
        blocks = [(("operator", "pdet", "block"), usual[kind])] if kind in usual else []
        return [*paths, *sampled, *stepped, *blocks, *((key, width) for key, width in widths if width is not None)]

    def contradictions(config: Config) -> list[Contradiction]:
        return [*_contradictions(config), *further(config)]

    return load.load_settings(path, overrides, Config, defaults=derived, contradictions=contradictions)


def dump_config(config: BaseModel) -> str:
    """YAML that `load_config` reads back to an equal config."""
    return load.dump_settings(config)


def reference() -> str:
    """The reference of all config keys in Markdown."""
    return "\n\n".join(["# Config reference", *section_reference(Config)]) + "\n"


def _contradictions(config: Config) -> list[Contradiction]:
    found: list[Contradiction] = []
    if config.training.dt not in (None, step := config.data.subsample.dt):
        given_both = f"training.dt = {config.training.dt} and data.subsample.dt = {step}"
        found.append((STEPS, f"{given_both} are one setting: give one of them, or both the same value"))
    width, given = config.latent.dim, config.operator.pdet.input_dim
    if config.latent.codec != "exact" and width not in (None, given):
        found.append((WIDTHS, f"the operator works on tokens of width latent.dim = {width}, found input_dim = {given}"))
    pdet, latent = config.operator.pdet, config.latent
    for key, given in (("group_size", pdet.group_size), ("spectral_modes", pdet.spectral_modes)):
        if given and pdet.block == "convolution":
            pair: tuple[Key, ...] = (("operator", "pdet", key), ("operator", "pdet", "block"))
            found.append((pair, f"{key} = {given} belongs to blocks of a transformer, and block is convolution"))
    if latent.patch and latent.codec == "patch":
        found.append(
            ((("latent", "patch"), ("latent", "codec")), "patch belongs to codec exact, and the codec is learnt")
        )
    if latent.codec == "exact":
        own, usual = config.training, TrainingSettings()
        for name in LEARNT_ONLY:
            if (value := getattr(own, name)) not in (getattr(usual, name), 0):
                keys = (("training", name), ("latent", "codec"))
                found.append((keys, f"{name} = {value} is about latents that are learnt, and the codec is exact"))
    wanted = {stage for stage in STAGES if config.stages.of(stage).epochs}
    for spec in STAGES.values():
        needs = spec.needs(latent.codec == "exact")
        if spec.name in wanted and spec.why and needs and (needed := needs[-1]) not in wanted:
            keys: tuple[Key, ...] = (("stages", spec.name, "epochs"), ("stages", needed, "epochs"))
            found.append((keys, f"{spec.name} needs stage {needed} ({spec.why}), which is skipped with epochs = 0"))
    if "consistency_distill" in wanted and config.diffusion.objective != "flow":
        both: tuple[Key, ...] = (("stages", "consistency_distill", "epochs"), ("diffusion", "objective"))
        found.append((both, f"only objective flow can be distilled, found {config.diffusion.objective}"))
    if wanted >= {"diff_residual", "crps_ensemble"} and config.diffusion.objective == "crps":
        twice: tuple[Key, ...] = (("stages", "crps_ensemble", "epochs"), ("diffusion", "objective"))
        found.append((twice, "crps_ensemble and diff_residual would both train the ensemble `crps`; skip one of them"))
    if config.training.amp == "fp16" and config.run.device == "cpu":
        found.append(((("training", "amp"), ("run", "device")), "fp16 needs a CUDA device, use bf16 on a CPU"))
    return found + _conditioning(config)


def _conditioning(config: Config) -> list[Contradiction]:
    """What test-time conditioning asks for that the data, as far as the config names them, cannot give."""
    found: list[Contradiction] = []
    generate = config.data.generate
    task, named = config.data.task or "", ("data", "task")
    if generate is not None and not task:
        task, named = generate.pde, ("data", "generate", "pde")
    hidden = generate is not None and generate.observe_every > 1
    if refused := misfit(config.ttc.rewards or {}, task, hidden=hidden):
        found.append(((("ttc", "rewards"), named), refused))
    if generate is not None:
        frames = generated_frames(config.data)
        if refused := config.ttc.overdrawn(frames - config.evaluation.fewest_given):
            found.append(((("ttc", "max_evaluations"), ("data", "generate", "frames")), refused))
    return found
