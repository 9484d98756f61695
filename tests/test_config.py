"""The config: what is accepted, and what is written back."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ups.config import Config, TTCSettings, changed_keys, dump_config, load_config, reference
from ups.config.command import training_command
from ups.config.source import read_source, to_yaml
from ups.core.errors import UserError

TEMPLATE = Path(__file__).parent / "data" / "seed_template.yaml"
MINIMAL = "data:\n  task: burgers1d\n"


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Write text or bytes to a config file of the given name."""

    def write(content: str | bytes, name: str = "demo.yaml") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def test_the_complete_template_is_accepted_as_it_stands() -> None:
    config = load_config(TEMPLATE)
    assert config.data.download and config.data.root == "data/pdebench"
    assert config.stages.of("operator").optimizer.weight_decay == 1e-5
    assert config.stages.of("diff_residual").scheduler.eta_min == 1e-7
    assert config.stages.consistency_distill.tau_schedule == (3, 3, 3, 3, 3)
    assert config.training.tau_distribution.type == "uniform"
    assert config.operator.pdet.depths == (1, 1, 1)
    assert config.training.dt == config.data.subsample.dt == 0.1


def test_a_line_of_data_is_a_whole_config(write: Any) -> None:
    config = load_config(write(MINIMAL))
    assert config.latent.dim == config.operator.pdet.input_dim
    assert config.run.dir == Path("runs/demo")


def test_the_time_step_of_training_is_that_of_the_data(write: Any) -> None:
    path = write(MINIMAL)
    assert load_config(path, ["training.dt=0.1"]).data.subsample.dt == 0.1
    assert load_config(path, ["training.dt=0.1", "data.subsample.dt=0.1"]).training.dt == 0.1
    assert load_config(path, ["data.subsample.dt=0.1"]).training.dt is None
    sentence = r"training\.dt: training\.dt = 0\.1 and data\.subsample\.dt = 0\.2 are one setting"
    with pytest.raises(UserError, match=sentence):
        load_config(path, ["training.dt=0.1", "data.subsample.dt=0.2"])


def test_a_run_folder_that_is_given_is_kept(write: Any) -> None:
    assert load_config(write(MINIMAL + "run:\n  dir: out/here\n")).run.dir == Path("out/here")
    assert load_config(write(MINIMAL), ["run.dir=elsewhere"]).run.dir == Path("elsewhere")


def test_a_config_remembers_the_file_it_came_from(write: Any, tmp_path: Path) -> None:
    config = load_config(write(MINIMAL))
    assert config.run.source == str(tmp_path / "demo.yaml")
    assert load_config(write(dump_config(config), "copy.yaml")).run == config.run


@pytest.mark.parametrize("kept", [True, False])
def test_the_command_that_trains_a_stage_repeats_the_config_also_where_its_file_is_gone(
    write: Any, tmp_path: Path, kept: bool
) -> None:
    path, place = write(MINIMAL), tmp_path / "a run"
    given = load_config(path, [f"run.dir={place}", "stages.operator.epochs=3", "evaluation.nfe=[1, 3]", "data.limit=9"])
    if not kept:
        place.mkdir()
        (place / "config.yaml").write_text(dump_config(load_config(path, [f"run.dir={place}"])))
        path.unlink()
    words = shlex.split(training_command(given, "operator", True))
    found = path if kept else place / "config.yaml"
    assert words[:7] == ["ups", "train", "--config", str(found), "--stage", "operator", "--fresh"]
    assert words[7::2] == ["--set"] * (4 if kept else 3) and load_config(found, words[8::2]) == given


def test_the_command_that_trains_a_stage_without_epochs_asks_for_them(write: Any) -> None:
    path = write(MINIMAL + "stages:\n  operator:\n    epochs: 3\n")
    command = training_command(load_config(path, ["stages.operator.epochs=0"]), "operator", False)
    assert command == f"ups train --config {path} --stage operator --set stages.operator.epochs=N"


@pytest.mark.parametrize("override", ["latent.dim=48", "operator.pdet.input_dim=48"])
def test_of_the_two_token_widths_one_that_is_not_given_follows_the_other(write: Any, override: str) -> None:
    config = load_config(write(MINIMAL), [override])
    assert config.latent.dim == config.operator.pdet.input_dim == 48


def test_sampling_steps_that_are_scored_are_those_of_the_residual_unless_given(write: Any) -> None:
    assert load_config(write(MINIMAL)).evaluation.nfe == (8,)
    assert load_config(write(MINIMAL), ["diffusion.steps=16"]).evaluation.nfe == (16,)
    assert load_config(write(MINIMAL), ["diffusion.steps=16", "evaluation.nfe=[4, 8]"]).evaluation.nfe == (4, 8)


def test_numbers_without_a_dot_are_numbers(write: Any) -> None:
    text = MINIMAL + "stages:\n  operator:\n    optimizer:\n      lr: 1e-3\n"
    assert load_config(write(text)).stages.of("operator").optimizer.lr == 1e-3
    assert load_config(write(text), ["stages.operator.optimizer.lr=2E-4"]).stages.of("operator").optimizer.lr == 2e-4


def test_a_section_without_content_keeps_its_defaults(write: Any) -> None:
    assert load_config(write(MINIMAL + "ttc:\ntraining:\n  # nothing\n")).ttc == TTCSettings.model_validate({})


def test_null_is_a_value_where_it_is_allowed(write: Any) -> None:
    assert load_config(write(MINIMAL + "training:\n  grad_clip: null\n")).training.grad_clip is None


def test_anchors_repeat_a_section(write: Any) -> None:
    text = MINIMAL + "stages:\n  operator:\n    optimizer: &o {lr: 0.5}\n  diff_residual:\n    optimizer: *o\n"
    assert load_config(write(text)).stages.of("diff_residual").optimizer.lr == 0.5


def test_a_byte_order_mark_is_ignored(write: Any) -> None:
    assert load_config(write(b"\xef\xbb\xbf" + MINIMAL.encode())).data.task == "burgers1d"


def test_overrides_are_yaml_and_the_last_one_wins(write: Any) -> None:
    config = load_config(
        write(MINIMAL + "latent:\n  dim: wrong\n"),
        [
            "latent.dim=16",
            "latent.dim=8",
            "operator.pdet.depths=[2, 3, 2]",
            "training.grad_clip=null",
            "ttc={steps: 3}",
        ],
    )
    assert config.latent.dim == 8 and config.operator.pdet.depths == (2, 3, 2)
    assert config.training.grad_clip is None and config.ttc.steps == 3


def plain() -> st.SearchStrategy[Any]:
    """Values that a config may hold, nested."""
    tricky = st.sampled_from(
        ["1e-3", "yes", "off", "1:30", "010", "null", "~", "", "=", "<<", ".inf", "0x1F", " a ", "a: b"]
    )
    characters = st.characters(codec="utf-8", exclude_categories=("Cs",), exclude_characters="\0")
    text = tricky | st.text(characters, max_size=12)
    numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60)
    leaves = st.none() | st.booleans() | numbers | text
    return st.recursive(leaves, lambda v: st.lists(v, max_size=3) | st.dictionaries(text, v, max_size=3), max_leaves=8)


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.text("abc", min_size=1), plain(), min_size=1, max_size=4))
def test_what_is_written_reads_back_equal(tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any]) -> None:
    path = tmp_path_factory.getbasetemp() / "written.yaml"
    path.write_bytes(to_yaml(values).encode())
    source = read_source(path)
    assert source.values == values and not source.problems


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**53),
    lr=st.floats(1e-12, 10),
    root=st.text(st.characters(codec="utf-8", exclude_categories=("Cs",), exclude_characters="\0"), max_size=10),
    files=st.lists(st.text("ab/.*", min_size=1, max_size=5), min_size=1, max_size=3),
    params=st.dictionaries(st.text("NuyesoffNull", min_size=1, max_size=4), st.floats(-1e300, 1e300), max_size=3),
    clip=st.none() | st.floats(1e-6, 1e6),
)
def test_a_dumped_config_loads_back_equal(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    lr: float,
    root: str,
    files: list[str],
    params: dict[str, float],
    clip: float | None,
) -> None:
    config = Config.model_validate(
        {
            "data": {"files": {"train": files}, "root": root, "params": params},
            "stages": {"operator": {"optimizer": {"lr": lr}}},
            "training": {"grad_clip": clip},
            "run": {"seed": seed, "dir": "a/b"},
        }
    )
    path = tmp_path_factory.getbasetemp() / "dumped.yaml"
    path.write_text(dump_config(config), encoding="utf-8")
    assert load_config(path) == config


def test_the_dump_of_the_template_holds_every_key_and_loads_back_equal(tmp_path: Path) -> None:
    config = load_config(TEMPLATE)
    path = tmp_path / "other_name.yaml"
    path.write_text(dump_config(config))
    assert load_config(path) == config
    assert set(read_source(path).values) == set(Config.model_fields)


def test_changed_keys_names_exactly_what_differs(write: Any) -> None:
    config = load_config(write(MINIMAL))
    other = load_config(write(MINIMAL), ["run.seed=3", "operator.pdet.depths=[2]", "data.params={Nu: 0.1}"])
    assert changed_keys(config, config) == []
    assert changed_keys(config, other) == ["data.params", "operator.pdet.depths", "run.seed", "data.params.Nu"]


def test_the_reference_explains_every_key() -> None:
    rows = [line for line in reference().splitlines() if line.startswith("| `")]
    assert len(rows) > 80
    empty = [row for row in rows if not row.split(" | ")[-1].strip(" |")]
    assert not empty, "\n".join(empty)
    assert "### `operator.pdet`" in reference() and "Good values" in reference()


def test_the_defaults_are_the_settings_that_measured_best(write: Any) -> None:
    """An exact codec, convolutions and filters at every point, Muon at its rate: what the benchmarks use."""
    found = load_config(write(MINIMAL))
    pdet, training, operator = found.operator.pdet, found.training, found.stages.of("operator")
    assert (found.latent.codec, pdet.block, pdet.hidden_dim, pdet.depths) == (
        "exact",
        "convolution",
        32,
        (1, 1, 2, 1, 1),
    )
    assert (pdet.conv_taps, pdet.filter_every, pdet.filter_modes, pdet.stem_taps, pdet.growth) == (
        5,
        2,
        None,
        None,
        None,
    )
    assert (training.ema_decay, training.noise(True), training.noise(False)) == (0.998, 0.003, 0.0)
    assert training.emphasis == 1.0
    assert (operator.optimizer.name, operator.optimizer.lr, operator.scheduler.warmup_steps) == ("muon", 8e-3, 50)
    assert operator.scheduler.name == "cosineannealinglr"


@pytest.mark.parametrize("given", ["latent: {dim: 8}", "latent: {tokens: 16}", "operator: {pdet: {input_dim: 8}}"])
def test_who_gives_the_size_of_a_latent_gets_a_learnt_codec_and_a_transformer(write: Any, given: str) -> None:
    """As the seed's template does: what measured best with patches is then what is not said."""
    found = load_config(write(f"{MINIMAL}\n{given}\n"))
    pdet = found.operator.pdet
    assert (found.latent.codec, pdet.block, pdet.hidden_dim, pdet.depths) == ("patch", "transformer", 64, (4,))
    assert (pdet.group_size, pdet.spectral_modes, pdet.conv_taps, pdet.stem_taps) == (0, 17, 3, 1)
    assert load_config(write(dump_config(found))) == found


@pytest.mark.parametrize(
    "given", ["compression: 32", "downsample: 8", "codec: hierarchical", "codec: hierarchical, dim: 4"]
)
def test_who_gives_a_ratio_of_compression_gets_levels(write: Any, given: str) -> None:
    found = load_config(write(f"{MINIMAL}\nlatent: {{{given}}}\n"))
    latent, pdet = found.latent, found.operator.pdet
    assert (latent.codec, pdet.block) == ("hierarchical", "convolution")
    assert latent.tokens is None and (latent.dim is None) == (latent.compression is not None)
    assert latent.compression == (None if "dim" in given else 32 if "32" in given else 8)
    assert load_config(write(dump_config(found))) == found


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("codec: hierarchical, tokens: 8", "latent.tokens: tokens belongs to codec patch, and codec is hierarchical"),
        ("codec: hierarchical, patch: 2", "latent.patch: patch belongs to codec exact, and codec is hierarchical"),
        ("compression: 8, dim: 4", "latent.compression: compression and dim say the same of a hierarchical codec"),
        (
            "codec: exact, compression: 8",
            "latent.compression: compression belongs to codec hierarchical, and codec is exact",
        ),
        (
            "codec: patch, downsample: 4",
            "latent.downsample: downsample belongs to codec hierarchical, and codec is patch",
        ),
        ("downsample: 6", "latent.downsample: downsample must be a power of two, found 6"),
    ],
)
def test_what_a_codec_would_ignore_is_refused(write: Any, given: str, sentence: str) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)):
        load_config(write(f"{MINIMAL}\nlatent: {{{given}}}\n"))


def test_the_benchmarks_use_the_defaults(write: Any) -> None:
    found = load_config(write(MINIMAL))
    bench = load_config(Path(__file__).parents[1] / "bench" / "ups.yaml")
    differing = changed_keys(found, bench)
    assert {key for key in differing if not key.startswith(("data", "run"))} == {
        "training.shift_augmentation",
        "stages.operator.epochs",
    }


def test_what_a_stage_does_not_say_is_what_is_usual_for_it(write: Any) -> None:
    asked = ["stages.operator.epochs=2", "stages.operator.optimizer.weight_decay=0.1"]
    optimizer = load_config(write(MINIMAL), asked).stages.of("operator").optimizer
    assert (optimizer.name, optimizer.lr, optimizer.weight_decay) == ("muon", 8e-3, 0.1)
    other = load_config(write(MINIMAL), ["stages.operator.optimizer.name=adamw"]).stages.of("operator")
    assert (other.optimizer.lr, other.scheduler.warmup_steps) == (1e-3, 50)  # not the rate of Muon
    student = load_config(write(MINIMAL), ["stages.consistency_distill.distill_num_taus=2"]).stages.consistency_distill
    assert (student.optimizer.name, student.optimizer.lr) == ("adamw", 7e-4)


def test_the_seeds_template_keeps_its_own_values() -> None:
    found = load_config(TEMPLATE)
    assert (found.latent.dim, found.latent.tokens, found.training.ema_decay) == (32, 48, 0.999)
    assert (found.operator.pdet.depths, found.operator.pdet.group_size) == ((1, 1, 1), 16)
    assert (found.stages.of("operator").optimizer.name, found.stages.of("operator").optimizer.lr) == ("adamw", 1e-3)
