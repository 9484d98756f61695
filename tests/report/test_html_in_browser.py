"""The report in a real browser: it draws the truth, answers keys, fits a phone, and is silent."""

import json
import time

import numpy as np
import pytest

from tests.orchestrate.test_gates import entry
from tests.report.browser import CHROMIUM, DRIVER, Browser, browser
from tests.report.report_run import TTC, ReportRun, flat_run, report_run
from ups.evaluation.predictions import Predictions, read_predictions
from ups.orchestrate.leaderboard import update

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver"),
]


@pytest.fixture(scope="module")
def run(split, system, tmp_path_factory) -> ReportRun:
    return report_run(tmp_path_factory.mktemp("toy_run"), split, system)


@pytest.fixture(scope="module")
def flat(split, system, tmp_path_factory) -> ReportRun:
    return flat_run(tmp_path_factory.mktemp("flat_run"), split, system)


@pytest.fixture(scope="module")
def stored(run) -> Predictions:
    return read_predictions(run.folder / "predictions.h5")


@pytest.fixture(scope="module")
def window():
    with browser() as opened:
        yield opened


@pytest.fixture
def page(window, run) -> Browser:
    window.window(1280, 900)
    window.open("about:blank")
    window.log("browser")
    window.log("performance")
    window.open(run.page.as_uri() + "#frame=3&trajectory=2&row=crps")
    return window


@pytest.fixture
def plane(window, flat) -> Browser:
    window.window(1280, 900)
    window.open("about:blank")
    window.log("browser")
    window.open(flat.page.as_uri() + "#frame=3&trajectory=2&row=crps")
    return window


def drawn(page: Browser, name: str) -> np.ndarray:
    """Heights of the points of a curve of the viewer."""
    path = page.run(f"return document.querySelector('path[data-name=\"{name}\"]').getAttribute('d')")
    return -np.array([float(point.split(" ")[1]) for point in path.lstrip("M").split("L")])


def agreement(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def test_the_address_chooses_the_frame_and_the_curves_are_the_data(page, stored):
    assert page.run("return document.getElementById('clock').textContent") == "t = 1.5, step 3"
    assert agreement(drawn(page, "truth"), stored.truth[2, 3, 0]) > 0.9999
    members = stored.rows["crps"].rollout[2, :, 2, 0]
    assert agreement(drawn(page, "mean of 8"), members.mean(axis=0)) > 0.9999
    assert agreement(drawn(page, "one member"), members[0]) > 0.9999


def test_arrow_keys_move_the_slider_and_the_picture(page, stored):
    before = drawn(page, "truth")
    page.keys("#frame", "right", "right")
    assert page.run("return document.getElementById('clock').textContent") == "t = 2.5, step 5"
    assert agreement(drawn(page, "truth"), stored.truth[2, 5, 0]) > 0.9999 > agreement(before, stored.truth[2, 5, 0])
    page.keys("#frame", "home")
    np.testing.assert_allclose(drawn(page, "truth"), drawn(page, "mean of 8"), atol=0.11)


def test_the_histograms_of_ranks_are_those_of_the_chosen_step(page, run):
    heights = (
        "const figure = [...document.querySelectorAll('#calibration-curves .small figure')].at(-1);"
        "return [...figure.querySelectorAll('rect')].map((bar) => Number(bar.getAttribute('height')))"
    )
    scores = next(row for row in run.metrics["rows"] if row["model"] == "crps")["probabilistic"]
    for place, shares in enumerate([scores["rank_histogram"], *scores["rank_histograms"]]):
        page.run(
            "const choice = document.querySelector('#calibration-curves select');"
            f"choice.value = {place}; choice.dispatchEvent(new Event('change'))"
        )
        time.sleep(0.2)
        bars = np.array(page.run(heights))
        np.testing.assert_allclose(bars / bars.sum(), shares, atol=1e-3)


def test_the_space_time_picture_is_the_truth_the_right_way_up(page, stored):
    assert agreement(luminances(page)[0][::-1].T, stored.truth[2, :, 0]) > 0.99


def luminances(page: Browser) -> list[np.ndarray]:
    """Luminance of the pictures of the viewer, each `(rows, columns)`."""
    pictures = page.run(
        "return [...document.querySelectorAll('.panel canvas')].map((c) => [c.width, c.height,"
        "[...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]])"
    )
    return [
        np.reshape(data, (rows, columns, 4))[..., :3] @ [0.2126, 0.7152, 0.0722] for columns, rows, data in pictures
    ]


def test_pictures_in_two_dimensions_are_the_chosen_frame_the_right_way_up(plane, flat):
    truth = read_predictions(flat.folder / "predictions.h5").truth[2, :, 0]
    first = luminances(plane)
    assert len(first) == 5 and agreement(first[0][::-1].T, truth[3]) > 0.99
    plane.keys("#frame", "right", "right")
    assert plane.run("return document.getElementById('clock').textContent") == "t = 2.5, step 5"
    later = luminances(plane)[0][::-1].T
    assert agreement(later, truth[5]) > 0.99 > agreement(later, truth[3])
    assert plane.run("return document.querySelectorAll('path[data-name]').length") == 0


def test_test_time_conditioning_is_a_table_with_its_gains_drawn(plane):
    assert TTC["sentence"] in plane.run("return document.getElementById('ttc').textContent")
    gains = plane.run("return [...document.querySelectorAll('#ttc svg.gain')].map((e) => e.getAttribute('class'))")
    assert gains == ["gain good", "gain bad", "gain good"]
    assert plane.run("return document.querySelectorAll('#ttc tbody tr').length") == len(TTC["rows"])


@pytest.mark.parametrize("width", [320, 1280])
def test_two_dimensions_and_conditioning_do_not_scroll_sideways(plane, flat, width):
    plane.window(width, 800)
    plane.open(flat.page.as_uri())
    assert plane.run("return document.documentElement.scrollWidth") <= width
    wide = "return [...document.querySelectorAll('.wide')].filter((e) => e.scrollWidth > e.clientWidth).length"
    assert plane.run("return document.querySelectorAll('.wide').length") == 4 and plane.run(wide) == 0
    assert plane.log("browser") == []


def test_every_chart_names_both_axes(page):
    charts = page.run(
        "return [...document.querySelectorAll('figure svg:not(.swatch, svg svg)')].map((e) =>"
        "[...e.querySelectorAll('text')].map((t) => t.textContent).filter((t) => /[a-z]{2}/i.test(t)))"
    )
    assert len(charts) >= 12 and all(len(names) >= 2 for names in charts)
    assert sum("lead time (time units of the data)" in names for names in charts) == 6


def test_a_click_on_the_picture_and_the_play_button_choose_the_time(page):
    page.run("document.querySelector('.picture').dispatchEvent(new MouseEvent('click', {clientX: 1e4}))")
    assert page.run("return document.getElementById('frame').value") == "11"
    page.click(".timeline button")
    assert page.run("return document.querySelector('.timeline button').textContent") == "Pause"
    assert int(page.run("return document.getElementById('frame').value")) < 11


def test_another_row_and_trajectory_are_drawn_when_chosen(page, stored):
    choose = "const s = document.querySelectorAll('.controls select')[{}];"
    choose += "s.value = {}; s.dispatchEvent(new Event('change'))"
    page.run(choose.format(0, "'operator'"))
    assert agreement(drawn(page, "forecast"), stored.rows["operator"].rollout[2, 0, 2, 0]) > 0.9999
    index = page.run("return JSON.parse(document.getElementById('payload').textContent).fields.trajectories[0].index")
    page.run(choose.format(1, "'0'"))
    assert agreement(drawn(page, "truth"), stored.truth[index, 3, 0]) > 0.9999


def test_a_row_is_hidden_everywhere_and_shown_again(page):
    count = "return document.querySelectorAll('#errors .curve, #spectra .curve').length"
    before = page.run(count)
    page.click("#errors .chip")
    assert page.run("return document.querySelector('#spectra .chip').getAttribute('aria-pressed')") == "false"
    assert page.run(count) == before - 5
    page.click("#errors .chip")
    assert page.run(count) == before


def test_keys_read_the_values_of_a_chart(page, run):
    page.run("document.querySelector('#errors [role=img]').focus()")
    page.keys("#errors [role=img]", "right")
    tip = page.run("return document.querySelector('#errors .tip').textContent")
    first = run.metrics["rows"][0]["rollout"]["nrmse_per_frame"][0]
    assert tip.startswith("lead time 0.5") and f"persistence{float(f'{first:.3g}')}" in tip
    page.keys("#errors [role=img]", "escape")
    assert page.run("return document.querySelector('#errors .tip').hidden")


def test_the_page_logs_nothing_and_loads_nothing_but_itself(page, run):
    page.run("for (const s of document.querySelectorAll('select, input')) s.dispatchEvent(new Event('change'))")
    assert page.log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in page.log("performance")]
    urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert {url.split("#")[0] for url in urls} == {run.page.as_uri()}


@pytest.mark.parametrize("width", [320, 360, 390, 768, 1000, 1280])
def test_neither_the_page_nor_a_table_scrolls_sideways(page, run, width):
    page.window(width, 800)
    page.open(run.page.as_uri())
    assert page.run("return document.documentElement.scrollWidth") <= width
    wide = "return [...document.querySelectorAll('.wide')].filter((e) => e.scrollWidth > e.clientWidth).length"
    assert page.run("return document.querySelectorAll('.wide').length") == 4 and page.run(wide) == 0


def test_a_score_of_few_epochs_is_a_dot_inside_its_chart(window, run):
    log = (run.folder / "training_log.jsonl").read_text()
    epochs = [{**json.loads(line), "score": 0.5 if i == 3 else None} for i, line in enumerate(log.splitlines())]
    (run.folder / "training_log.jsonl").write_text("".join(json.dumps(epoch) + "\n" for epoch in epochs))
    run.write()
    window.window(1280, 900)
    window.open(run.page.as_uri())
    places = window.run(
        "return [...document.querySelectorAll('#training .dot')].map((e) => [e, e.closest('svg')].map((n) =>"
        "n.getBoundingClientRect())).map(([dot, chart]) => [dot.left - chart.left, chart.right - dot.right])"
    )
    titles = window.run("return [...document.querySelectorAll('#training figcaption')].map((e) => e.firstChild.data)")
    (run.folder / "training_log.jsonl").write_text(log)
    run.write()
    assert len(places) == 1 and min(places[0]) > 0
    assert titles == ["Loss", "Score", "Gradient norm"]


@pytest.mark.parametrize("width", [320, 390, 1000, 1160, 1280])
def test_the_leaderboard_does_not_scroll_sideways(window, tmp_path, width):
    names = ("wide", "a_run_with_a_rather_long_name_that_somebody_chose")
    update(tmp_path, [entry(name, 0.1 + i) for i, name in enumerate(names)], "nrmse")
    window.window(width, 800)
    window.open((tmp_path / "leaderboard.html").as_uri())
    wider = "return [document.documentElement, ...document.querySelectorAll('.scroll')]"
    assert window.run(wider + ".filter((e) => e.scrollWidth > e.clientWidth).length") == 0


@pytest.mark.parametrize("dark", [False, True])
def test_text_is_legible_in_light_and_dark(page, run, dark):
    page.window(1280, 900, dark)
    page.open(run.page.as_uri())
    colours = page.run(
        "const c = (q) => getComputedStyle(document.querySelector(q)).color;"
        "return [getComputedStyle(document.body).backgroundColor, c('h1'), c('.note'), c('nav a'), c('.verdict')]"
    )
    background, *texts = (luminance(colour) for colour in colours)
    assert (background < 0.1) == dark
    for text in texts:
        light, dim = max(text, background), min(text, background)
        assert (light + 0.05) / (dim + 0.05) >= 4.5


def luminance(colour: str) -> float:
    """Relative luminance of `rgb(r, g, b)`, as WCAG defines it."""
    shares = np.array([int(part) for part in colour[4:-1].split(",")]) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_everything_that_can_be_used_has_a_name(page):
    nameless = page.run(
        "return [...document.querySelectorAll('button, select, input, canvas, [role=img], section')]"
        ".filter((e) => !(e.getAttribute('aria-label') || e.textContent.trim() || e.closest('label'))).length"
    )
    assert nameless == 0
