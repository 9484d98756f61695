"""The command line: what reaches the pipeline, and what a user is told when a command ends early."""

import errno
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from ups.cli import app
from ups.cli.guard import Terminated, explain
from ups.config import load_config
from ups.core.errors import Stopped, UserError

UPS = Path(sys.executable).parent / "ups"
SCRIPTS = Path(__file__).parents[1] / "scripts"
COMMANDS = ["run", "train", "check", "evaluate", "predict", "steady", "data generate", "data info", "data check"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A valid config whose run folder lies beside it."""
    path = tmp_path / "demo.yaml"
    data = f"data:\n  task: burgers1d\n  root: {tmp_path}\n  generate: {{pde: burgers1d}}\n"
    path.write_text(f"{data}run:\n  dir: {tmp_path / 'run'}\n")
    return path


def load_config_of(folder: Path, overrides: Sequence[str] = ()) -> tuple[Path, Sequence[str]]:
    """Stands for the config of a run folder."""
    return folder, overrides


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A pipeline that records its calls and raises `error` if that is set."""
    record = SimpleNamespace(calls=[], error=None)

    def called(name: str) -> Callable[..., None]:
        def call(*args: Any, **options: Any) -> None:
            record.calls.append((name, args, options))
            if record.error is not None:
                raise record.error

        return call

    names = {"run": "run", "train": "train", "train_all_stages": "train all", "evaluate_run": "evaluate"}
    fake = SimpleNamespace(**{name: called(word) for name, word in names.items()}, config_of=load_config_of)
    fake.rescore_run = called("rescore")
    for module in ("ups.run.folder", "ups.run.train", "ups.run.score", "ups.run.rescore"):
        monkeypatch.setitem(sys.modules, module, fake)  # type: ignore[arg-type]
    return record


def ups(*arguments: Any) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def real(*arguments: Any) -> subprocess.CompletedProcess[str]:
    """Run the installed program."""
    return subprocess.run([str(UPS), *map(str, arguments)], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_examples(command: str) -> None:
    result = ups(*command.split(), "--help")
    assert result.exit_code == 0
    assert "Examples" in result.output and f"ups {command}" in result.output


def test_help_needs_none_of_the_slow_libraries() -> None:
    slow = "{'torch', 'numpy', 'pydantic', 'h5py', 'matplotlib', 'jax'}"
    script = (
        "import sys\nfrom ups.cli import main\nsys.argv = ['ups', '--help']\n"
        f"try:\n    main()\nfinally:\n    assert not {slow} & set(sys.modules), {slow} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_version_is_printed() -> None:
    result = ups("--version")
    assert result.exit_code == 0 and result.output.startswith("ups 0.")


def test_a_command_that_does_not_exist_exits_with_2() -> None:
    assert ups("fly").exit_code == 2


def test_check_accepts_a_valid_config_and_prints_all_settings(config: Path) -> None:
    assert ups("check", config).exit_code == 0
    resolved = ups("check", config, "--resolved", "--set", "run.seed=7").output
    again = config.with_name("again.yaml")
    again.write_text(resolved)
    assert load_config(again) == load_config(config, ["run.seed=7"])


def test_a_broken_config_is_told_on_stderr_without_a_traceback(config: Path) -> None:
    config.write_text("data:\n  tsk: burgers1d\n")
    done = real("check", config)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == f"error: {config}:2: data.tsk: unknown key; did you mean `data.task`?\n"


def test_run_hands_the_config_with_its_overrides_to_the_pipeline(config: Path, pipeline: SimpleNamespace) -> None:
    assert ups("run", config, "--set", "run.seed=3", "--set", "latent.dim=16").exit_code == 0
    [(name, (given,), options)] = pipeline.calls
    assert name == "run" and not options
    assert given == load_config(config, ["run.seed=3", "latent.dim=16"])


def test_fresh_keeps_the_earlier_run_under_another_name(config: Path, pipeline: SimpleNamespace) -> None:
    folder = config.parent / "run"
    for content in ("first", "second"):
        folder.mkdir()
        (folder / "result").write_text(content)
        assert ups("run", config, "--fresh").exit_code == 0
        assert not folder.exists()
    assert [(config.parent / f"run.{n}" / "result").read_text() for n in (1, 2)] == ["first", "second"]


def test_fresh_does_not_move_the_folder_it_is_called_from(
    config: Path, pipeline: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = config.parent / "run" / "inside"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    assert ups("run", config, "--fresh").exit_code == 2 and inside.exists() and not pipeline.calls


def test_train_hands_the_stage_to_the_pipeline(config: Path, pipeline: SimpleNamespace) -> None:
    assert ups("train", "--config", config, "--stage", "operator").exit_code == 0
    assert ups("train", "--config", config, "--stage", "operator", "--fresh").exit_code == 0
    assert ups("train", "--config", config).exit_code == 0
    given = [(options["stage"], options["fresh"]) for _, _, options in pipeline.calls]
    assert given == [("operator", False), ("operator", True), ("all", False)]


def test_train_evaluates_where_that_is_asked_for_and_all_stages_are_trained(
    config: Path, pipeline: SimpleNamespace
) -> None:
    for stage in ("all", "operator"):
        assert ups("train", "--evaluate", "--config", config, "--stage", stage).exit_code == 0
    assert [name for name, _, _ in pipeline.calls] == ["train all", "train"]


def test_a_stage_that_does_not_exist_exits_with_2(config: Path, pipeline: SimpleNamespace) -> None:
    result = ups("train", "--config", config, "--stage", "operators")
    assert result.exit_code == 2 and not pipeline.calls


def test_the_training_script_is_the_train_command(config: Path) -> None:
    config.write_text("data: 3\n")
    command = [sys.executable, str(SCRIPTS / "train.py"), "--config", str(config), "--stage", "operator"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr.startswith(f"error: {config}:1: data: expected a mapping")


def test_the_training_script_evaluates_after_all_stages(
    config: Path, pipeline: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "--config", str(config), "--stage", "all"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(SCRIPTS / "train.py"), run_name="__main__")
    assert end.value.code == 0 and [name for name, _, _ in pipeline.calls] == ["train all"]


def test_evaluate_hands_folder_and_split_to_the_pipeline(tmp_path: Path, pipeline: SimpleNamespace) -> None:
    asked = ("--split", "validation", "--mode", "ttc", "--set", "ttc.candidates=8")
    assert ups("evaluate", tmp_path, *asked).exit_code == 0
    options = {"split": "validation", "config": (tmp_path, ["ttc.candidates=8"]), "mode": "ttc"}
    assert pipeline.calls == [("evaluate", (tmp_path,), options)]


def test_forecasts_are_scored_again_where_that_is_asked_for(tmp_path: Path, pipeline: SimpleNamespace) -> None:
    assert ups("evaluate", tmp_path, "--rescore", "--split", "validation").exit_code == 0
    assert pipeline.calls == [("rescore", (tmp_path, "validation"), {"config": (tmp_path, ())})]
    refused = ups("evaluate", tmp_path, "--rescore", "--mode", "both")
    assert refused.exit_code == 2 and "--rescore and --mode contradict each other" in refused.stderr


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


ENDS = [
    (UserError("one sentence"), 2, "error: one sentence"),
    (OSError(errno.ENOSPC, "No space left on device", "x.pt"), 2, "error: x.pt: the disk is full"),
    (OSError("[Errno 28] No space left on device"), 2, "error: the disk is full"),
    (OSError(errno.EROFS, "Read-only file system", "x.pt"), 2, "error: x.pt: the file system is read-only"),
    (PermissionError(errno.EACCES, "Permission denied", "x.pt"), 2, "error: x.pt: no permission"),
    (FileNotFoundError(errno.ENOENT, "No such file", "x.pt"), 2, "error: x.pt: no such file"),
    (MemoryError(), 2, "error: out of memory; lower training.batch_size"),
    (OutOfMemoryError("CUDA out of memory"), 2, "error: out of memory; lower training.batch_size"),
    (ValueError("no sense"), 1, "error: this is a defect in ups (ValueError: no sense, runs.py:"),
    (KeyboardInterrupt(), 130, "stopped by Ctrl-C; to go on, run: "),
    (Terminated(), 143, "stopped by SIGTERM; to go on, run: "),
    (Stopped("stopped after 3 steps; to go on, run", signal.SIGINT), 130, "stopped after 3 steps; to go on, run: "),
    (Stopped("stopped after 3 steps; to go on, run", signal.SIGTERM), 143, "stopped after 3 steps; to go on, run: "),
]


@pytest.mark.parametrize(("error", "code", "sentence"), ENDS, ids=lambda value: type(value).__name__)
def test_every_end_is_one_line_and_an_exit_code(
    config: Path, pipeline: SimpleNamespace, error: BaseException, code: int, sentence: str
) -> None:
    pipeline.error = error
    result = ups("run", config)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith(sentence) and result.stderr.count("\n") == 1


@pytest.mark.parametrize("position", [0, 1, 2])
def test_debug_shows_the_traceback_wherever_it_stands(config: Path, pipeline: SimpleNamespace, position: int) -> None:
    pipeline.error = ValueError("no sense")
    arguments: list[Any] = ["run", config]
    result = ups(*arguments[:position], "--debug", *arguments[position:])
    assert result.exit_code == 1 and "Traceback" in result.stderr and "in call" in result.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_with_the_command_that_goes_on(config: Path, number: signal.Signals, code: int) -> None:
    script = (
        "import signal, sys, time, types\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell runs in the background\n"
        "def run(config):\n    print('started', flush=True)\n    time.sleep(60)\n"
        "sys.modules['ups.run.train'] = types.SimpleNamespace(run=run)\n"
        "from ups.cli import main\n"
        f"sys.argv = ['/bin/ups', 'run', {str(config)!r}, '--fresh']\nmain()\n"
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", script], **pipes) as process:
        assert process.stdout and process.stdout.readline() == "started\n"
        process.send_signal(number)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == code
    name = "SIGTERM" if number == signal.SIGTERM else "Ctrl-C"
    assert stderr == f"stopped by {name}; to go on, run: ups run {config}\n"


def test_a_script_that_was_stopped_names_a_command_that_a_shell_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["scripts/train.py", "--config", "my config.yaml"])
    sentence = explain(KeyboardInterrupt())[1]
    assert sentence == "stopped by Ctrl-C; to go on, run: python scripts/train.py --config 'my config.yaml'"


def write_trajectories(path: Path, values: np.ndarray) -> Path:
    """Write `(n, T, X)` in PDEBench's layout."""
    with h5py.File(path, "w") as file:
        file["tensor"] = values.astype(np.float32)
        file["x-coordinate"] = np.arange(values.shape[2]) / values.shape[2]
        file["t-coordinate"] = np.arange(values.shape[1] + 1) * 0.1
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Three trajectories of four frames on 16 points."""
    values = np.random.default_rng(0).normal(size=(3, 4, 16))
    return write_trajectories(tmp_path / "1D_Burgers_Sols_Nu0.01.hdf5", values)


def test_info_describes_a_file(file: Path) -> None:
    result = ups("data", "info", file)
    assert result.exit_code == 0 and "burgers1d" in result.output
    assert '"trajectories": 3' in ups("data", "info", file, "--json").output


def test_check_of_data_finds_what_spoils_training(file: Path) -> None:
    assert ups("data", "check", file).exit_code == 0
    values = np.random.default_rng(0).normal(size=(3, 4, 16))
    values[1, 2, 3] = np.nan
    result = ups("data", "check", write_trajectories(file, values))
    assert result.exit_code == 2 and "trajectory 1 frame 2" in result.output


def test_generate_refuses_an_unknown_task_and_a_file_that_is_there(file: Path) -> None:
    unknown = ups("data", "generate", "burgers", "--root", file.parent)
    assert unknown.exit_code == 2 and "did you mean 'burgers1d'" in unknown.stderr
    there = ups("data", "generate", "burgers1d", "--root", file.parent)
    assert there.exit_code == 2 and "is there already; add --force" in there.stderr
    bad = ups("data", "generate", "burgers1d", "--root", file.parent, "--param", "Nu=much")
    assert bad.exit_code == 2 and "--param Nu: expected a number, found `much`" in bad.stderr


@pytest.mark.slow
def test_generated_data_pass_their_check(tmp_path: Path) -> None:
    options = ["--trajectories", "3", "--resolution", "32", "--frames", "3"]
    done = real("data", "generate", "burgers1d", "--root", tmp_path, "--param", "Nu=0.1", *options)
    assert done.returncode == 0, done.stderr
    assert ups("data", "check", tmp_path / "1D_Burgers_Sols_Nu0.1.hdf5").exit_code == 0
