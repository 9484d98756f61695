"""The leaderboard: what stands where, what is kept, and what the two files hold."""

import csv
import re
from dataclasses import replace
from html.parser import HTMLParser
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.orchestrate.test_gates import entry
from ups.core.errors import UserError
from ups.orchestrate.leaderboard import COLUMNS, ranked, read_entries, retire, update


def names(runs: Path) -> list[tuple[str, str]]:
    """Rank and run, in the order of the file."""
    with (runs / "leaderboard.csv").open(newline="") as file:
        return [(row["rank"], row["run"]) for row in csv.DictReader(file)]


def test_the_best_stands_first_and_what_has_no_score_last(tmp_path: Path) -> None:
    for run, nrmse in (("b", 0.2), ("none", None), ("a", 0.1), ("c", 0.3)):
        update(tmp_path, [entry(run, nrmse)], "nrmse")
    assert names(tmp_path) == [("1", "a"), ("2", "b"), ("3", "c"), ("4", "none")]


def test_the_order_follows_the_metric(tmp_path: Path) -> None:
    a, b = replace(entry("a", 0.1), crps=0.9), replace(entry("b", 0.2), crps=0.3)
    assert [e.run for e in ranked([a, b], "nrmse")] == ["a", "b"]
    assert [e.run for e in ranked([a, b], "crps")] == ["b", "a"]
    near, far = replace(a, spread_skill=1.1), replace(b, spread_skill=0.5)
    assert [e.run for e in ranked([far, near], "spread_skill")] == ["a", "b"]


def test_every_protocol_is_ranked_on_its_own_with_test_before_validation(tmp_path: Path) -> None:
    update(tmp_path, [entry("a", 0.1, split="validation"), entry("a", 0.3, split="test")], "nrmse")
    update(tmp_path, [entry("b", 0.2, split="validation"), entry("b", 0.2, split="test")], "nrmse")
    assert names(tmp_path) == [("1", "b"), ("2", "a"), ("1", "a"), ("2", "b")]


def test_a_run_replaces_its_row_of_the_same_protocol_and_no_other(tmp_path: Path) -> None:
    update(tmp_path, [entry("a", 0.1), entry("a", 0.15, members=2), entry("a", 0.2, split="validation")], "nrmse")
    update(tmp_path, [entry("b", 0.2)], "nrmse")
    update(tmp_path, [entry("a", 0.3)], "nrmse")
    found = {(e.run, e.split, e.members, e.nrmse) for e in read_entries(tmp_path / "leaderboard.csv")}
    stood = {("a", "test", 2, 0.15), ("a", "validation", 8, 0.2), ("b", "test", 8, 0.2)}
    assert found == {("a", "test", 8, 0.3), *stood}


def test_what_was_scored_of_weights_that_are_no_more_is_dropped(tmp_path: Path) -> None:
    old, new = (replace(entry("a", 0.1), weights_hash=weights) for weights in ("old", "new"))
    others = [replace(old, split="validation", protocol="other"), replace(old, run="b", folder="b")]
    update(tmp_path, [old, *others], "nrmse")
    assert {e.run: e.weights_hash for e in update(tmp_path, [new], "nrmse")} == {"a": "new", "b": "old"}
    assert read_entries(tmp_path / "leaderboard.csv") == [new, others[1]]
    retire(tmp_path, "a", "new", "nrmse")
    assert read_entries(tmp_path / "leaderboard.csv") == [new, others[1]]
    retire(tmp_path, "a", "newest", "nrmse")
    assert read_entries(tmp_path / "leaderboard.csv") == [others[1]]
    assert "<b>b</b>" in (page := (tmp_path / "leaderboard.html").read_text()) and "<b>a</b>" not in page


def test_no_leaderboard_is_made_to_drop_something(tmp_path: Path) -> None:
    retire(tmp_path / "runs", "a", "new", "nrmse")
    assert not (tmp_path / "runs").exists()


def test_entries_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    odd = replace(entry("a", 1 / 3), notes='a "quoted", note\nof two lines, ü', tags="x y", spread_skill=None)
    update(tmp_path, [odd], "nrmse")
    assert read_entries(tmp_path / "leaderboard.csv") == [odd]


HEAD = ",".join(COLUMNS) + "\n"


@pytest.mark.parametrize("text", ["", "\x00", "a,b\n1,2\n", HEAD + "1,a\n", HEAD + '"', HEAD + "1," * 40 + "\n"])
def test_a_file_of_somebody_else_is_refused_and_kept(tmp_path: Path, text: str) -> None:
    path = tmp_path / "leaderboard.csv"
    path.write_text(text)
    with pytest.raises(UserError, match="is not a leaderboard of this program"):
        update(tmp_path, [entry("a", 0.1)], "nrmse")
    assert path.read_text() == text


class Reader(HTMLParser):
    """Collects tags, the addresses that a page refers to, and its text."""

    def __init__(self, page: str):
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_needs_nothing_else_and_shows_every_run(tmp_path: Path) -> None:
    update(tmp_path, [entry("a", 0.1)], "nrmse")
    update(tmp_path, [replace(entry("b", None, gate="failed"), reason="failed: nrmse is missing")], "nrmse")
    page = (tmp_path / "leaderboard.html").read_text()
    read = Reader(page)
    assert "script" not in read.tags and read.addresses == ["data:,"] and not re.search(r"https?:|url\(|@import", page)
    assert "viewport" in page and "prefers-color-scheme: dark" in page
    assert all(text in read.text for text in ("0.1", "passed", "failed: nrmse is missing"))
    assert read.tags.count("tr") == 3


@pytest.mark.parametrize(("gates", "champion"), [("fp", "b"), ("pp", "a"), ("pf", "a"), ("ff", None)])
def test_the_page_sets_off_the_best_run_that_did_not_fail_its_gate(
    tmp_path: Path, gates: str, champion: str | None
) -> None:
    words = {"f": "failed", "p": "passed"}
    for run, nrmse, gate in zip("abc", (0.1, 0.2, None), (*gates, "p"), strict=True):
        update(tmp_path, [entry(run, nrmse, gate=words[gate])], "nrmse")
    page = (tmp_path / "leaderboard.html").read_text()
    assert re.findall(r'<tr class=best>.*? data-label="run">(\w)<', page) == ([champion] if champion else [])


def test_the_page_shows_names_and_notes_as_text(tmp_path: Path) -> None:
    named = replace(entry("a", 0.1), run="<i>&", notes="<script>alert(1)</script>")
    update(tmp_path, [named], "nrmse")
    read = Reader((tmp_path / "leaderboard.html").read_text())
    assert "script" not in read.tags and "i" not in read.tags
    assert "<script>alert(1)</script>" in read.text and read.text.count("<i>&") == 2


def _enter(runs: Path, name: str) -> None:
    for i in range(5):
        update(runs, [entry(f"{name}{i}", 0.1)], "nrmse")


@pytest.mark.filterwarnings("ignore")
def test_runs_that_end_at_once_lose_no_row(tmp_path: Path) -> None:
    fork = get_context("fork")
    processes = [fork.Process(target=_enter, args=(tmp_path, name)) for name in "abc"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert len(names(tmp_path)) == 15
