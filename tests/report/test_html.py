"""The report holds what it says, asks nobody for anything, and no string of a run becomes markup."""

import base64
import json
import re
from html.parser import HTMLParser
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.records import protocol
from tests.report.report_run import EVIL, TTC, ReportRun, report_run
from ups.evaluation.ledger import Gain
from ups.evaluation.predictions import Predictions, StoredForecast, read_predictions
from ups.report.hardware import hardware
from ups.report.html.embedded_fields import embedded_fields, quantised, spread_evenly, thinning
from ups.report.html.ledger import MARGIN, WIDTH, gain_picture
from ups.report.html.markup import join, tag
from ups.report.html.ttc import ttc_section
from ups.report.numbers import number, percent, score
from ups.ttc.comparison import Comparison


class Elements(HTMLParser):
    """All elements with their attributes, and the text of the cells of tables by row."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self._cell = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._cell = self._cell or tag in ("td", "th")
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def run(split, system, tmp_path_factory) -> ReportRun:
    return report_run(tmp_path_factory.mktemp("toy_run"), split, system)


@pytest.fixture(scope="module")
def page(run) -> str:
    return run.page.read_text()


def payload(page: str) -> dict:
    found = re.search(r'<script type="application/json" id="payload">(.*?)</script>', page)
    assert found
    return json.loads(found[1])


def restored(packed: dict, bits: int, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of `quantised` as the page computes it."""
    codes = np.frombuffer(base64.b64decode(packed["data"]), f"<u{bits // 8}").reshape(shape)
    values = packed["low"] + (packed["high"] - packed["low"]) * codes / (2**bits - 2)
    return np.where(codes == 2**bits - 1, np.nan, values)


def test_the_page_asks_nobody_for_anything(page):
    assert set(re.findall(r"https?://[^\"'\s)]*", page)) == {"http://www.w3.org/2000/svg"}
    assert not re.findall(r"url\(|@import|fetch\(|XMLHttpRequest|import\(", page)
    elements = Elements(page).found
    assert not {"link", "img", "iframe", "object", "embed"} & {name for name, _ in elements}
    assert all((attributes["href"] or "").startswith("#") for _, attributes in elements if "href" in attributes)
    assert not [attributes for _, attributes in elements if "src" in attributes]


def test_no_string_of_a_run_becomes_markup(page):
    elements = Elements(page)
    assert [name for name, _ in elements.found].count("script") == 2
    assert "<script>alert" not in page and "<b>& 'quoted'" not in page
    assert f"mean {EVIL}" in [row["name"] for row in payload(page)["rows"]]
    assert any(row and row[0].startswith(f"mean {EVIL}") for row in elements.rows)


def test_every_link_leads_to_a_section_and_every_section_is_linked(page):
    elements = Elements(page).found
    links = [attributes["href"] for name, attributes in elements if name == "a"]
    sections = [f"#{attributes['id']}" for name, attributes in elements if name == "section"]
    assert links == sections and len(set(sections)) == len(sections) >= 8


def test_the_table_shows_the_ledger(run, page):
    shown = {row[0]: row for row in Elements(page).rows if len(row) == 10}
    for entry in run.metrics["ledger"]:
        members = f"{entry['members']} members" if entry["members"] > 1 else ""
        row = shown[entry["model"] + members]
        member = f"member {score(entry['nrmse_member'])}" if members else ""
        assert row[1:4] == [score(entry["nrmse"]) + member, score(entry["nrmse_one_step"]), score(entry["crps"])]
        assert row[6] == (entry["verdict"] or "–")
        if entry["gain"]:
            assert row[5].startswith(percent(entry["gain"]["value"])) and row[5].endswith(f"on {entry['against']}")


def test_the_embedded_fields_are_the_stored_forecasts(run, page):
    fields = payload(page)["fields"]
    stored = read_predictions(run.folder / "predictions.h5")
    assert sorted(t["index"] for t in fields["trajectories"]) == list(range(6)) and fields["bits"] == 16
    for trajectory in fields["trajectories"]:
        i, members = trajectory["index"], stored.rows["crps"].rollout[trajectory["index"]]
        truth = restored(trajectory["truth"][0], 16, stored.truth[i, :, 0].shape)
        np.testing.assert_allclose(truth, stored.truth[i, :, 0], atol=1e-4)
        parts = trajectory["rows"]["crps"]
        mean = truth + restored(parts["error"][0], 16, truth.shape)
        np.testing.assert_allclose(mean[1:], members.mean(axis=0)[:, 0], atol=3e-4)
        np.testing.assert_allclose(mean[0], truth[0], atol=1e-4)
        spread = restored(parts["spread"][0], 16, truth.shape)
        np.testing.assert_allclose(spread[1:], members.std(axis=0, ddof=1)[:, 0], atol=1e-4)


def test_the_reading_of_a_frame_is_its_nrmse(run, page):
    stored = read_predictions(run.folder / "predictions.h5")
    for trajectory in payload(page)["fields"]["trajectories"]:
        i = trajectory["index"]
        error = stored.rows["operator"].rollout[i, 0, :, 0] - stored.truth[i, 1:, 0]
        expected = np.sqrt((error**2).mean(-1) / (stored.truth[i, 1:, 0] ** 2).mean(-1))
        np.testing.assert_allclose(trajectory["rows"]["operator"]["nrmse"][0][1:], expected, rtol=1e-3)
        assert np.mean(expected) == pytest.approx(run.metrics["rows"][2]["per_trajectory"]["nrmse"][i], rel=1e-5)


def test_equal_inputs_give_an_equal_file(run, page):
    assert run.write() == page


def test_sections_without_content_are_left_out(run, page):
    assert 'id="ttc"' not in page and 'id="calibration"' in page
    single = [row for row in run.metrics["rows"] if row["members"] == 1]
    assert 'id="calibration"' not in run.write(rows=single)
    run.write()


def test_test_time_conditioning_is_shown_where_it_was_scored(run):
    page = run.write(ttc={**TTC, "threads": 3})
    run.write()
    assert "Test-time conditioning pays &amp; more." in page and "Times measured on cpu, 3 threads." in page
    assert "Settings: candidates 7." in page
    assert "no reward can beat" not in page and "no bound over a rollout" in page
    shown = [row for row in Elements(page).rows if len(row) == 6]
    assert ["oracle-best", "9", "0.4", "0.200", "0.100 to 0.300", "+50\u00a0% [+40\u00a0%, +60\u00a0%]"] in shown


def section(page: str, name: str) -> str:
    """The part of the page under an anchor."""
    text = page[page.index(f'<section id="{name}"') :]
    return text[: text.index("</section>")]


def tables(page: str) -> list[dict[str, list[str]]]:
    """The tables of the section on calibration, each a row's name to its other cells."""
    found: list[dict[str, list[str]]] = []
    for name, *cells in Elements(section(page, "calibration")).rows:
        if name == "row":
            found.append({})
        found[-1][name] = cells
    return found


def test_mean_and_deviation_stand_beside_the_true_ensemble_s(run, page):
    shown = tables(page)[0]
    scores = next(row for row in run.metrics["rows"] if row["model"] == "crps")["true_ensemble"]
    assert list(shown) == ["row", "8 perfect members", "crps"]
    assert shown["crps"][1] == " / ".join(f"{ratio:.2f}" for ratio in scores["deviation_ratio"])
    assert shown["8 perfect members"][2].startswith(f"{scores['perfect_deviation_nrmse'][0]:.2f} / ")
    bare = [{**row, "true_ensemble": None} for row in run.metrics["rows"]]
    assert "beside the true ensemble" not in run.write(rows=bare)
    run.write()


def test_energies_of_bands_are_shown_for_every_row_with_and_without_members(run, page):
    shown = tables(page)[1]
    assert [name for name in shown][2:] == [row["model"] for row in run.metrics["rows"]]
    for row in run.metrics["rows"]:
        low = row["bands"]["ratio"]["low"]
        assert shown[row["model"]] == [" / ".join(f"{ratio:.2f}" for ratio in low), "– / –", "– / –"]
    single = run.write(rows=[row for row in run.metrics["rows"] if row["members"] == 1])
    run.write()
    assert "Energy of one member" in section(single, "spectra")
    assert "Energy of one member" not in section(page, "spectra")


@pytest.mark.parametrize(("verdict", "colour"), [("pays", "good"), ("undecided", "open"), ("does not pay", "bad")])
def test_a_gain_is_drawn_in_the_colour_of_the_verdict_though_its_interval_is_a_gain(run, verdict, colour):
    costs = {"evaluations": 9.0, "ms_per_step": 1.0, "nrmse": 0.2, "low": 0.1, "high": 0.3}
    gains = {
        "gain": 0.25,
        "gain_low": 0.2,
        "gain_high": 0.3,
        "own_gain": 0.0,
        "own_gain_low": 0.0,
        "own_gain_high": 0.0,
    }
    said = {"sentence": "", "verdict": verdict, "settings": {"candidates": 7}, "correlation": 0.5}
    said |= {"device": "cpu", "threads": 1}
    rows = [{"strategy": "best-of-n", **costs, **gains}]
    section = ttc_section(Comparison.model_validate({"rows": rows, "strategy": "best-of-n", **said}))
    assert f'class="gain {colour}"' in section


def test_rows_that_jump_to_the_steady_state_stay_out_of_the_curves(run):
    jump = {**run.metrics["rows"][2], "model": "steady_prior", "steady": {"trajectories": 7, "of": 9, "tolerance": 0.1}}
    page = run.write(rows=[*run.metrics["rows"], jump])
    run.write()
    assert "steady_prior" not in [row["name"] for row in payload(page)["rows"]] and "the 7 of 9 trajectories" in page


def test_what_times_were_measured_on_stands_beside_them(run):
    place = {"device": "NVIDIA H200", "threads": 8}
    page = run.write(protocol=run.metrics["protocol"] | place)
    run.write()
    for name in ("ledger", "costs", "reproduce"):
        assert "NVIDIA H200" in section(page, name)
    assert [hardware(protocol(threads=n)) for n in (1, 2)] == ["cpu, 1 thread", "cpu, 2 threads"]


def test_a_missing_log_leaves_out_training(run, tmp_path):
    (run.folder / "training_log.jsonl").rename(tmp_path / "log")
    page = run.write()
    (tmp_path / "log").rename(run.folder / "training_log.jsonl")
    assert 'id="training"' not in page and 'id="costs"' in page


def test_a_gain_is_drawn_at_its_place_and_beyond_the_axis_as_an_arrow():
    inner = WIDTH - 2 * MARGIN
    half = gain_picture(Gain(value=0.5, low=0.4, high=0.6), 0.0, "pays")
    assert f'cx="{MARGIN + inner / 2:.1f}"' in half and "<path" not in half and "good" in half
    awful = gain_picture(Gain(value=-30.0, low=-40.0, high=-20.0), -1.0, "does not pay")
    assert "<path" in awful and "<circle" not in awful and "bad" in awful


@given(
    stored=st.integers(1, 400),
    frames=st.integers(1, 300),
    shape=st.lists(st.integers(1, 512), min_size=1, max_size=2),
    arrays=st.integers(2, 60),
)
def test_thinned_fields_fit_the_budget_and_keep_what_they_can(stored, frames, shape, arrays):
    budget = 2_600_000
    thin = thinning(stored, frames, shape, arrays, budget)
    size = arrays * -(-frames // thin.time) * prod(-(-n // thin.space) for n in shape)
    assert thin.trajectories * size <= budget and 1 <= thin.trajectories <= stored
    if stored * arrays * frames * prod(shape) <= budget:
        assert (thin.trajectories, thin.time, thin.space) == (stored, 1, 1)
    if thin.trajectories < stored:
        assert (thin.trajectories + 1) * size > budget


@pytest.mark.parametrize("bits", [8, 16])
def test_quantised_values_are_off_by_half_a_step_at_most(bits):
    values = np.random.default_rng(0).normal(size=(7, 31)).astype(np.float32)
    values[2, 3], values[4, 5] = np.nan, np.inf
    back, finite = restored(quantised(values, bits), bits, values.shape), np.isfinite(values)
    step = np.ptp(values[finite]) / (2**bits - 2)
    assert np.abs(back - values)[finite].max() <= 0.51 * step and np.isnan(back[~finite]).all()


def test_a_constant_or_broken_array_can_be_packed():
    np.testing.assert_array_equal(restored(quantised(np.full(5, 3.5), 16), 16, (5,)), 3.5)
    assert np.isnan(restored(quantised(np.full(5, np.nan), 8), 8, (5,))).all()


def test_trajectories_run_from_the_best_to_the_worst():
    assert spread_evenly([3.0, 1.0, None, 2.0, 0.5], 3) == [4, 3, 2]
    assert spread_evenly([3.0, 1.0, 2.0], 1) == [2]


def test_two_axes_keep_colours_and_three_keep_their_middle():
    truth = np.random.default_rng(0).normal(size=(2, 4, 1, 5, 6, 7)).astype(np.float32)
    rollout = truth[:, None, 1:] + 0.1
    axes = tuple(np.arange(n, dtype=float) for n in (5, 6, 7))
    predictions = Predictions(
        truth, np.zeros((2, 0)), np.arange(4.0), axes, protocol(), {"m": StoredForecast(rollout, rollout)}
    )
    fields = embedded_fields(predictions, 1, [1.0, 2.0])
    assert fields and fields["bits"] == 8 and fields["sliced"] and len(fields["coords"]) == 2
    first = restored(fields["trajectories"][0]["truth"][0], 8, (4, 5, 6))
    np.testing.assert_allclose(first, truth[0, :, 0, :, :, 3], atol=float(np.ptp(truth)) / 500)


def test_text_is_escaped_and_markup_is_not():
    assert tag("p", "a < b", title='"quoted"') == '<p title="&#34;quoted&#34;">a &lt; b</p>'
    assert join(tag("b", "x"), " & y") == "<b>x</b> &amp; y"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0"), (1.0, "1.00"), (0.01234, "0.0123"), (2.5e-5, "2.50×10⁻⁵"), (1234.0, "1,234")],
)
def test_scores_read_well(value, text):
    assert score(value) == text


def test_numbers_read_well():
    assert [number(0.05), number(-2.0), number(123456.0)] == ["0.05", "−2", "1.23×10⁵"]
    assert [percent(0.5), percent(-0.0123)] == ["+50\u00a0%", "−1.2\u00a0%"]
