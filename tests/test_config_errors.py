"""Every broken config is told in one sentence for each problem, with its line."""

import re
from pathlib import Path
from typing import Any

import pytest

from ups.config import load_config
from ups.core.errors import UserError

MINIMAL = "data:\n  task: burgers1d\n"


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Write text or bytes to a config file of the given name."""

    def write(content: str | bytes, name: str = "demo.yaml") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def message(path: Path, *overrides: str) -> str:
    """What a user is told, with the folder left out of the file's name."""
    with pytest.raises(UserError) as caught:
        load_config(path, overrides)
    return str(caught.value).replace(f"{path.parent}/", "")


BROKEN = {
    "an unknown key with a near name": (
        "latent:\n  dmi: 32\n",
        "demo.yaml:4: latent.dmi: unknown key; did you mean `latent.dim`\\?",
    ),
    "an unknown section": (
        "optimiser: 3\n",
        "demo.yaml:3: optimiser: unknown key; known here: data, latent, operator, .*",
    ),
    "a key at the wrong level": (
        "operator:\n  group_size: 8\n",
        "demo.yaml:4: operator.group_size: unknown key; there is `operator.pdet.group_size`, `diffusion.group_size`",
    ),
    "a key that several sections know": (
        "training:\n  lr: 0.1\n",
        "demo.yaml:4: training.lr: unknown key; there is `stages.autoencoder.optimizer.lr`, .* and 2 more",
    ),
    "text for a number": (
        "training:\n  batch_size: many\n",
        "demo.yaml:4: training.batch_size: expected a whole number, found the text `many`",
    ),
    "a quoted number": (
        "training:\n  ema_decay: '0.99'\n",
        "demo.yaml:4: training.ema_decay: expected a number.*, found the text `0.99`; leave out the quotes",
    ),
    "a boolean for a number": (
        "training:\n  batch_size: true\n",
        "demo.yaml:4: training.batch_size: expected a whole number, found true",
    ),
    "a number for a boolean": (
        "training:\n  compile: 1\n",
        "demo.yaml:4: training.compile: expected true or false, found 1",
    ),
    "yes for a boolean": (
        "training:\n  pin_memory: yes\n",
        "demo.yaml:4: training.pin_memory: expected true or false, found the text `yes`",
    ),
    "yes for a boolean or a name": (
        "training:\n  amp: yes\n",
        "demo.yaml:4: training.amp: expected true or false or one of `bf16`, `fp16`, found the text `yes`",
    ),
    "a fraction for a count": (
        "latent:\n  tokens: 2.5\n",
        "demo.yaml:4: latent.tokens: expected a whole number, found 2.5",
    ),
    "a number for text": (
        "data:\n  task: 3\n",
        "demo.yaml:2: data.task: expected text, found 3; put it in quotes",
    ),
    "a number for a section": (
        "latent: 32\n",
        "demo.yaml:3: latent: expected a mapping, found 32",
    ),
    "a list for a section": (
        "latent: [1, 2]\n",
        "demo.yaml:3: latent: expected a mapping, found a list of 2",
    ),
    "a number for a list": (
        "operator:\n  pdet:\n    depths: 3\n",
        "demo.yaml:5: operator.pdet.depths: expected a list, found 3",
    ),
    "an item of a list": (
        "operator:\n  pdet:\n    depths:\n      - 1\n      - x\n      - 1\n",
        "demo.yaml:7: operator.pdet.depths\\[1\\]: expected a whole number, found the text `x`",
    ),
    "nothing for a number": (
        "latent:\n  width:\n",
        "demo.yaml:4: latent.width: expected a whole number, found nothing",
    ),
    "a number out of bounds": (
        "latent:\n  dim: 0\n",
        "demo.yaml:4: latent.dim: expected greater than or equal to 1, found 0",
    ),
    "not a number": (
        "training:\n  grad_clip: .nan\n",
        "demo.yaml:4: training.grad_clip: expected a finite number, found .nan",
    ),
    "infinity": (
        "training:\n  grad_clip: .inf\n",
        "demo.yaml:4: training.grad_clip: expected a finite number, found .inf",
    ),
    "an unknown name": (
        "rollout:\n  space: felds\n",
        "demo.yaml:4: rollout.space: expected one of `latent`, `field`, found the text `felds`; "
        "did you mean `field`\\?",
    ),
    "a check inside a section": (
        "ttc:\n  candidates: 2\n  beam_width: 3\n  horizon: 2\n",
        "demo.yaml:5: ttc.beam_width: beam_width must be at most candidates = 2, found 3",
    ),
    "a beam without a horizon": (
        "ttc:\n  beam_width: 2\n",
        "demo.yaml:4: ttc.beam_width: beam_width 2 needs horizon 2 or more: .*",
    ),
    "a horizon without a beam": (
        "ttc:\n  horizon: 3\n",
        "demo.yaml:4: ttc.horizon: horizon 3 needs beam_width 2 or more: .*",
    ),
    "a budget below one choice": (
        "ttc:\n  steps: 5\n  max_evaluations: 3\n",
        "demo.yaml:5: ttc.max_evaluations: max_evaluations must be at least steps = 5, found 3",
    ),
    "a budget below the rollout of data that are to be generated": (
        "data:\n  generate: {pde: burgers1d, frames: 21}\n  subsample: {time: 2}\nttc:\n  max_evaluations: 9\n",
        "demo.yaml:5: ttc.max_evaluations: must be at least the 10 steps of the rollout, found 9 "
        "\\(`data.generate.frames`: line 2\\)",
    ),
    "a budget below the rollout from the fewest given frames": (
        "data:\n  generate: {pde: burgers1d, frames: 21}\nevaluation: {context: 10, also_context: [1]}\n"
        "ttc:\n  max_evaluations: 15\n",
        "demo.yaml:5: ttc.max_evaluations: must be at least the 20 steps of the rollout, found 15 "
        "\\(`data.generate.frames`: line 2\\)",
    ),
    "an unknown reward": (
        "ttc:\n  rewards: {magic: 1}\n",
        "demo.yaml:4: ttc.rewards: rewards are residual, mean, energy, maximum, bounds, found 'magic'",
    ),
    "a reward of what is wrong": (
        "ttc:\n  rewards: {mean: -1}\n",
        "demo.yaml:4: ttc.rewards.mean: expected greater than 0, found -1",
    ),
    "a distance that is not above 0": (
        "ttc:\n  scales: [0.5, 0.0]\n",
        "demo.yaml:4: ttc.scales\\[1\\]: expected greater than 0, found 0.0",
    ),
    "a distance that is not finite": (
        "ttc:\n  scales: [0.5, .inf]\n",
        "demo.yaml:4: ttc.scales\\[1\\]: expected a finite number, found .inf",
    ),
    "a reward that does not hold for the task": (
        "data:\n  task: ks1d\nttc:\n  rewards: {mean: 1, energy: 1}\n",
        "demo.yaml:4: ttc.rewards: energy does not hold for ks1d, which has residual, mean, bounds "
        "\\(`data.task`: line 2\\)",
    ),
    "a reward that sees more than is observed": (
        "data:\n  generate: {pde: ks1d, observe_every: 4}\nttc:\n  rewards: {mean: 1}\n",
        "demo.yaml:4: ttc.rewards: mean does not hold for ks1d observed only in part, which has bounds "
        "\\(`data.generate.pde`: line 2\\)",
    ),
    "a key given twice": (
        "latent:\n  dim: 32\n  dim: 48\n",
        "demo.yaml:5: latent.dim: given twice, first in line 4",
    ),
    "a section given twice": (
        "latent:\n  dim: 32\nlatent:\n  tokens: 8\n",
        "demo.yaml:5: latent: given twice, first in line 3",
    ),
    "a key that is no text": (
        "latent:\n  1: 3\n",
        "demo.yaml:4: latent: a key must be text, found `1`",
    ),
    "an unknown tag": (
        "latent:\n  dim: !!python/name:os.system 3\n",
        "demo.yaml:4: latent.dim: cannot read `3` as !!python/name:os.system",
    ),
    "widths that contradict each other": (
        "latent:\n  dim: 32\noperator:\n  pdet:\n    input_dim: 48\n",
        "demo.yaml:4: latent.dim: the operator works on tokens of width latent.dim = 32, found input_dim = 48 "
        "\\(`operator.pdet.input_dim`: line 7\\)",
    ),
    "a stage without the one it builds on": (
        "stages:\n  operator: {epochs: 0}\n  diff_residual: {epochs: 2}\n",
        "demo.yaml:5: stages.diff_residual.epochs: diff_residual needs stage operator .* epochs = 0 "
        "\\(`stages.operator.epochs`: line 4\\)",
    ),
    "two stages for one row": (
        "stages:\n  operator: {epochs: 1}\n  diff_residual: {epochs: 1}\n  crps_ensemble: {epochs: 1}\n"
        "diffusion: {objective: crps}\n",
        "demo.yaml:6: stages.crps_ensemble.epochs: crps_ensemble and diff_residual would both train the ensemble "
        "`crps`; skip one of them \\(`diffusion.objective`: line 7\\)",
    ),
    "fp16 on a CPU": (
        "training:\n  amp: fp16\nrun:\n  device: cpu\n",
        "demo.yaml:4: training.amp: fp16 needs a CUDA device, use bf16 on a CPU \\(`run.device`: line 6\\)",
    ),
    "a weight of learnt latents": (
        "training:\n  lambda_latent: 0.3\nlatent: {codec: exact}\n",
        "demo.yaml:4: training.lambda_latent: lambda_latent = 0.3 is about latents that are learnt, and the codec "
        "is exact \\(`latent.codec`: line 5\\)",
    ),
    "a measure of learnt latents": (
        "training:\n  latent_measure: squared\n",
        "demo.yaml:4: training.latent_measure: latent_measure = squared is about latents that are learnt, .* exact "
        "\\(`latent.codec`: default\\)",
    ),
    "a tab": (
        "latent:\n\tdim: 3\n",
        "demo.yaml:4: not valid YAML: .*; YAML is indented with spaces, not tabs",
    ),
    "a bracket left open": (
        "latent: [1, 2\nrun: 3\n",
        "demo.yaml:4: not valid YAML: .*",
    ),
    "a second document": (
        "---\nlatent: 3\n",
        "demo.yaml:3: not valid YAML: .*another document",
    ),
    "a control character": (
        "latent:\n  dim: \x00\n",
        "demo.yaml:4: not valid YAML: a control character is not allowed",
    ),
    "a value that contains itself": (
        "latent: &x\n  dim: *x\n",
        "demo.yaml: values are nested too deeply or contain themselves",
    ),
    "a value nested too deeply": (
        "latent: " + "[" * 500 + "\n",
        "demo.yaml: values are nested too deeply",
    ),
}


@pytest.mark.parametrize(("text", "expected"), BROKEN.values(), ids=BROKEN)
def test_a_broken_config_is_one_sentence_with_its_line(write: Any, text: str, expected: str) -> None:
    text = text if text.startswith("data:") else MINIMAL + text
    found = message(write(text))
    assert re.fullmatch(expected, found), found


def test_all_problems_are_told_at_once_in_the_order_of_the_file(write: Any) -> None:
    text = "latent:\n  dmi: 1\n  dim: 32\noperator:\n  pdet: {num_heads: none}\ntraining:\n  amp: maybe\n"
    first, *lines = message(write(text), "run.sed=1", "nonsense").split("\n  ")
    assert first == "demo.yaml: 6 problems"
    keys = [line.split(": ")[:2] for line in lines]
    assert keys == [
        ["demo.yaml:1", "data"],
        ["demo.yaml:2", "latent.dmi"],
        ["demo.yaml:5", "operator.pdet.num_heads"],
        ["demo.yaml:7", "training.amp"],
        ["--set", "expected `section.key=value`, found `nonsense`"],
        ["--set", "run.sed"],
    ]


def test_contradictions_are_told_beside_other_problems(write: Any) -> None:
    text = MINIMAL + "latent:\n  dim: 32\n  dmi: 1\noperator:\n  pdet: {input_dim: 48}\n"
    found = message(write(text))
    assert "2 problems" in found and "latent.dmi" in found and "input_dim = 48" in found


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("latent.dmi=3", "--set: latent.dmi: unknown key; did you mean `latent.dim`\\?"),
        ("latent.dim=x", "--set: latent.dim: expected a whole number, found the text `x`"),
        ("latent.dim", "--set: expected `section.key=value`, found `latent.dim`"),
        ("=3", "--set: expected `section.key=value`, found `=3`"),
        ("latent..dim=3", "--set: expected `section.key=value`, found `latent..dim=3`"),
        ("operator.pdet.depths=[1, 2", "--set: operator.pdet.depths: not valid YAML: .*"),
        ("operator.pdet.depths=[1, x, 1]", "--set: operator.pdet.depths\\[1\\]: expected a whole number, .*"),
        ("data.task.name=3", "--set: data.task.name: cannot be set, because data.task is not a section; .*"),
        ("latent={dim: 1, dim: 2}", "--set: latent.dim: given twice, first in .*"),
    ],
)
def test_a_broken_override_is_one_sentence(write: Any, override: str, expected: str) -> None:
    found = message(write(MINIMAL), override)
    assert re.fullmatch(expected, found), found


def test_a_missing_file_a_folder_and_an_unreadable_file_are_told_apart(tmp_path: Path, write: Any) -> None:
    assert message(tmp_path / "no.yaml") == "no.yaml: there is no such file"
    (tmp_path / "folder").mkdir()
    assert message(tmp_path / "folder") == "folder: expected a YAML file, found a directory"
    assert message(write(b"latent:\n  dim: \xff\n")) == "demo.yaml:2: expected UTF-8 text, found the byte 0xff"


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing but a comment\n"])
def test_an_empty_file_is_told(write: Any, text: str) -> None:
    assert message(write(text)).startswith("demo.yaml: the file is empty")


@pytest.mark.parametrize(("text", "found"), [("- 1\n", "a list"), ("\nhello\n", "`hello`"), ("3\n", "`3`")])
def test_a_file_that_is_no_mapping_is_told(write: Any, text: str, found: str) -> None:
    assert message(write(text)).endswith(f"expected a mapping of sections such as `data:`, found {found}")


def test_every_contradiction_inside_a_section_is_told(write: Any) -> None:
    text = "operator:\n  pdet:\n    block: transformer\n    hidden_dim: 10\n    num_heads: 3\n"
    text += "    depths: [1, 1]\n    conv_taps: 2\n"
    found = message(write(MINIMAL + text)).splitlines()
    assert found[0] == "demo.yaml: 3 problems"
    assert [line.split(": ")[1] for line in found[1:]] == [
        f"operator.pdet.{name}" for name in ("num_heads", "depths", "conv_taps")
    ]


HUGE = {
    "latent.dim": 10**9,
    "latent.width": 10**9,
    "latent.kernel": 10**9 + 1,
    "operator.pdet.depths": [10**6],
    "operator.pdet.hidden_dim": 10**9,
    "evaluation.members": 10**9,
    "evaluation.bootstrap": 10**9,
    "evaluation.nfe": [10**9],
    "ttc.candidates": 10**9,
    "training.batch_size": 10**9,
    "stages.operator.optimizer.lr": 1e30,
}


@pytest.mark.parametrize("key", HUGE)
def test_a_slip_of_the_finger_is_refused_before_anything_is_allocated(write: Any, key: str) -> None:
    assert key in message(write(MINIMAL), f"{key}={HUGE[key]}")


ODD = {
    "a NUL in a path": ('run: {dir: "a\\0b"}', [], r"run.dir: no text here may hold the character NUL, found `a"),
    "a number of 5,000 digits": (f"run: {{seed: {'9' * 5000}}}", [], r"run.seed: cannot read `9{57}...` as !!int"),
    "one that JSON cannot hold": (f"run: {{seed: 0x{'f' * 5000}}}", [], r"run.seed: expected a whole number below"),
    "one that is not finite": (f"training: {{dt: {'9' * 4000}.0}}", [], r"training.dt: expected a finite number"),
    "values that contain themselves": ("run: &a {dir: *a}", [], "nested too deeply or contain themselves"),
    "the same on the command line": ("", ["data.files=&a [*a]"], "data.files: .*nested too deeply"),
    "900 levels": ("", [".".join("a" * 900) + "=1"], "expected `section.key=value`, found `a.a.a"),
    "aliases that multiply": (
        "",
        [
            "data.files=[&a [1,1,1,1,1,1,1,1,1,1], "
            + ", ".join(f"&{b} [{', '.join([f'*{a}'] * 10)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
            + "]"
        ],
        "data.files: more than 100,000 values",
    ),
}


@pytest.mark.parametrize(("text", "overrides", "expected"), ODD.values(), ids=ODD)
def test_odd_text_is_a_sentence(write: Any, text: str, overrides: list[str], expected: str) -> None:
    found = message(write(MINIMAL + text), *overrides)
    assert re.search(expected, found), found
    assert len(found) < 300
