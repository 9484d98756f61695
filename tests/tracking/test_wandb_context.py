"""The context: everything in order, nothing at the caller's cost, and one run for all who are handed it."""

import json
import os
import signal
import threading
import time
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, get_args

import pytest

from tests.tracking.fakes import HANG_SECONDS, Fake, explode, hang, identity
from ups.core.errors import UserError
from ups.tracking import wandb_client, wandb_context
from ups.tracking.wandb_client import Mode
from ups.tracking.wandb_context import WandBContext, load_wandb_context, open_wandb_context, save_wandb_context


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Stands for the client wherever a context is opened by default."""
    fake = Fake()
    monkeypatch.setattr(WandBContext.__init__, "__defaults__", (None, None, None, fake.connect))
    monkeypatch.delenv(wandb_context.CONTEXT_VARIABLE, raising=False)
    return fake


def record_all(context: WandBContext, path: Path) -> None:
    """One call of each kind."""
    context.log_training_metric("operator", "loss", 0.5, step=1)
    context.log_training_metrics("operator", {"epoch": 2, "loss": 0.25}, step=2)
    context.log_eval_summary({"operator": {"nrmse": 0.1, "error": None}}, "test")
    context.log_table("ledger", ["model"], [["operator"]])
    context.log_image("error", path)
    context.save_file(path)
    context.finish(exit_code=1)


def test_calls_reach_the_client_in_their_order(tmp_path: Path) -> None:
    fake = Fake()
    record_all(WandBContext(identity(tmp_path), {"seed": 0}, connect=fake.connect), tmp_path / "a.png")
    assert fake.asked == [(identity(tmp_path), {"seed": 0}, None)]
    assert fake.calls == [
        ("log", "operator", {"loss": 0.5}, 1),
        ("log", "operator", {"epoch": 2, "loss": 0.25}, 2),
        ("summary", {"test/operator/nrmse": 0.1}),
        ("table", "ledger", ["model"], [["operator"]]),
        ("image", "error", tmp_path / "a.png"),
        ("save", tmp_path / "a.png"),
        ("finish", 1),
    ]


@pytest.mark.parametrize("fake", [Fake(act=explode), Fake(connected=explode)], ids=["every call", "connecting"])
def test_whatever_explodes_costs_one_warning(tmp_path: Path, fake: Fake, capfd: pytest.CaptureFixture[str]) -> None:
    record_all(WandBContext(identity(tmp_path), connect=fake.connect), tmp_path / "a.png")
    assert capfd.readouterr().err == "warning: W&B failed (wandb is broken); the JSONL log is complete\n"
    assert fake.calls == []


@pytest.mark.parametrize("fake", [Fake(act=hang), Fake(connected=hang)], ids=["a call", "connecting"])
def test_whatever_hangs_costs_its_patience_and_one_warning(
    tmp_path: Path, fake: Fake, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(wandb_client.SECONDS, "offline", 0.2)
    context, start = WandBContext(identity(tmp_path), connect=fake.connect), time.monotonic()
    for step in range(1000):
        context.log_training_metric("operator", "loss", 0.5, step)
    context.finish()
    assert time.monotonic() - start < HANG_SECONDS / 2
    assert capfd.readouterr().err.count("\n") == 1


def test_a_disabled_context_takes_every_call_and_does_nothing(tmp_path: Path) -> None:
    threads = threading.active_count()
    context = WandBContext()
    record_all(context, tmp_path / "a.png")
    assert not context.enabled and threading.active_count() == threads and not list(tmp_path.iterdir())
    save_wandb_context(context, tmp_path / "context.json")
    assert not load_wandb_context(tmp_path / "context.json").enabled


@pytest.mark.parametrize("spec", [None, ModuleSpec("wandb", None)], ids=["nothing", "a folder named wandb"])
def test_a_missing_package_is_named_with_its_extra(
    tmp_path: Path, spec: ModuleSpec | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wandb_client, "find_spec", lambda name: spec)
    with pytest.raises(
        UserError, match=r"wandb\.mode is offline, but wandb is not installed.*universal-physics-stack\[wandb\]"
    ):
        WandBContext(identity(tmp_path))
    monkeypatch.setenv("WANDB_MODE", "offline")
    with pytest.raises(UserError, match="WANDB_MODE is offline, but wandb is not installed"):
        open_wandb_context(identity(tmp_path, mode="disabled"), {})
    monkeypatch.delenv("WANDB_MODE")
    assert not open_wandb_context(identity(tmp_path, mode="disabled"), {}).enabled


def test_a_context_that_is_loaded_goes_on_with_the_run(tmp_path: Path, fake: Fake) -> None:
    path = tmp_path / "deep" / "context.json"
    owner = WandBContext(identity(tmp_path))
    save_wandb_context(owner, path)
    while not json.loads(path.read_text())["service"]:
        time.sleep(0.01)
    child = load_wandb_context(path, {"seed": 0})
    child.finish()
    assert fake.asked[1] == (identity(tmp_path), {"seed": 0}, fake.service)
    owner.finish()
    assert json.loads(path.read_text())["service"] is None


def test_a_child_does_not_report_its_parents_run_as_ended(tmp_path: Path, fake: Fake) -> None:
    path = tmp_path / "context.json"
    owner = WandBContext(identity(tmp_path))
    save_wandb_context(owner, path)
    owner._submit(lambda client: None)
    while not (service := json.loads(path.read_text())["service"]):
        time.sleep(0.01)
    fake.service = None
    load_wandb_context(path).finish()
    assert json.loads(path.read_text())["service"] == service


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"service": null, "mode": "offline", "id": "a"}'])
def test_another_file_is_refused_in_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "context.json").write_text(text)
    with pytest.raises(
        UserError, match=r"context\.json is (not a W&B context|damaged).*; remove it, and a new run begins$"
    ):
        load_wandb_context(tmp_path / "context.json")
    with pytest.raises(UserError, match=r"there is no W&B context .*other\.json"):
        load_wandb_context(tmp_path / "other.json")


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("id", ("missing", None, 3, "")),
        ("mode", ("missing", None, "fast")),
        ("project", ("missing", None, [])),
        ("entity", ("missing", 3)),
        ("name", ("missing", None, {})),
        ("tags", ("missing", None, "text", [3])),
        ("folder", ("missing", None, 3)),
        ("finish_seconds", ("missing", None, "text", 0, 1e300, float("nan"))),
        ("service", ("missing", 3)),
        ("more", (1,)),
    ],
)
def test_every_key_of_the_file_is_checked(tmp_path: Path, fake: Fake, key: str, values: tuple[Any, ...]) -> None:
    path = tmp_path / "context.json"
    owner = WandBContext(identity(tmp_path))
    save_wandb_context(owner, path)
    owner.finish()
    whole = json.loads(path.read_text())
    for value in values:
        content = {name: old for name, old in whole.items() if name != key} | (
            {key: value} if value != "missing" else {}
        )
        path.write_text(json.dumps(content))
        with pytest.raises(UserError, match=rf"context\.json is not a W&B context.*: {key}.*; remove it") as error:
            load_wandb_context(path)
        assert "\n" not in str(error.value)


def test_a_run_folder_keeps_its_run_where_it_goes_to_the_same_place(tmp_path: Path, fake: Fake) -> None:
    for project in ("tests", "tests", "others"):
        open_wandb_context(identity(tmp_path, "", project=project), {}).finish()
    first, again, other = [run.id for run, _, _ in fake.asked]
    assert first == again != other and len(first) == 8


def test_a_parent_is_followed_even_where_the_mode_is_disabled(
    tmp_path: Path, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed = tmp_path / "handed.json"
    monkeypatch.setenv(wandb_context.CONTEXT_VARIABLE, str(handed))
    parent = open_wandb_context(identity(tmp_path / "run", ""), {})
    parent.finish()
    child = open_wandb_context(identity(tmp_path / "other", "", mode="disabled"), {})
    child.finish()
    assert child.enabled and child.identity == parent.identity and handed.exists()


def test_the_mode_of_the_environment_goes_before_that_of_the_settings(
    tmp_path: Path, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[tuple[str, str], str] = {}
    for word in ("", "disabled", "offline", "online"):
        monkeypatch.setenv("WANDB_MODE", word)
        for mode in get_args(Mode):
            context = open_wandb_context(identity(tmp_path / word / mode, mode=mode), {})
            context.finish()
            found[word, mode] = context.identity.mode if context.identity else "disabled"
    assert found == {(word, mode): word or mode for word, mode in found} and len(found) == 12


def test_disabled_in_the_environment_goes_before_a_parents_run(
    tmp_path: Path, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(wandb_context.CONTEXT_VARIABLE, str(tmp_path / "handed.json"))
    open_wandb_context(identity(tmp_path), {}).finish()
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert not open_wandb_context(identity(tmp_path), {}).enabled


def test_another_word_for_the_mode_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "off")
    with pytest.raises(UserError, match="WANDB_MODE: expected online, offline, disabled, found 'off'"):
        open_wandb_context(identity(tmp_path, mode="disabled"), {})


@pytest.mark.parametrize("text", ["", "{", '{"service": null, "mode": "offline", "id": "a"}'])
@pytest.mark.parametrize("where", ["wandb/context.json", "handed.json"])
def test_a_damaged_file_costs_one_warning_and_a_new_run(
    tmp_path: Path,
    fake: Fake,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    where: str,
    text: str,
) -> None:
    monkeypatch.setenv(wandb_context.CONTEXT_VARIABLE, str(tmp_path / "handed.json"))
    path = tmp_path / where
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    context = open_wandb_context(identity(tmp_path, ""), {})
    context.finish()
    (warning,) = capfd.readouterr().err.splitlines()
    assert warning.startswith(f"warning: W&B does not go on with an earlier run ({path} is ")
    assert context.identity and json.loads(path.read_text())["id"] == context.identity.id


def test_uploads_that_take_their_time_are_waited_for(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(wandb_client.SECONDS, "online", 0.2)
    fake = Fake(uploads=True, act=lambda: time.sleep(0.6))
    WandBContext(identity(tmp_path, mode="online", finish_seconds=30.0), connect=fake.connect).finish()
    assert fake.calls == [("finish", 0)]
    assert capfd.readouterr().err == "W&B: uploads may take 30 s more; Ctrl-C ends the wait\n"


@pytest.mark.parametrize("exit_code", [0, 1])
def test_uploads_that_take_too_long_are_left_with_the_command_that_goes_on_with_them(
    tmp_path: Path, exit_code: int, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(wandb_client.SECONDS, "online", 0.2)
    context = WandBContext(
        identity(tmp_path, mode="online", finish_seconds=0.3), connect=Fake(uploads=True, act=hang).connect
    )
    context.finish(exit_code)
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("warning")]
    waited = {0: "0.5", 1: "0.2"}[exit_code]
    assert lines == [
        f"warning: W&B did not answer within {waited} s and was left behind, upload the rest with "
        "`wandb sync wandb/run-abc`; the JSONL log is complete"
    ]


def test_an_interrupt_ends_the_wait_for_uploads(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    started = threading.Event()

    def slow() -> None:
        started.set()
        hang()

    context = WandBContext(identity(tmp_path, mode="online"), connect=Fake(uploads=True, act=slow).connect)
    interrupt = threading.Thread(target=lambda: started.wait(HANG_SECONDS) and os.kill(os.getpid(), signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell runs in the background
    try:
        interrupt.start()
        context.finish()
        interrupt.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert "was interrupted after" in capfd.readouterr().err
