"""The page in a real Chromium: open, point, click, choose, print."""

import re
import shutil

import pandas as pd
import pytest

from alupdate.report.page import charts_of, page, render
from alupdate.report.summary import facts
from alupdate.results.reader import read_results
from alupdate.results.records import CURVE_COLUMNS
from alupdate.utils.metrics import LATER_METRICS
from tests.support.experiments import write_run, write_study

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
QUIET = ("background-networking", "component-update", "sync")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    *(f"--disable-{part}" for part in QUIET),
]


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "experiment"
    long_name = "a_strategy_with_quite_a_long_name_for_a_small_screen"
    for seed in range(3):
        for name in ("random", "margin"):
            write_run(folder, seed=seed, strategy={"name": name})
        write_run(folder, seed=seed, strategy={"name": "margin", "label": long_name})
        write_run(folder, seed=seed, strategy={"name": "lookahead"}, oracle="an oracle")
        write_run(folder, seed=seed, dataset={"name": "mnist5k"})
        write_study(folder, seed)
    write_run(folder, seed=7, state="failed", error="RuntimeError: " + "x" * 200)
    return read_results(folder)


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def address(experiment, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page(experiment))
    return path.as_uri()


@pytest.fixture(scope="module")
def tab(browser, address):
    """One tab for all tests; what it asks for and what goes wrong is kept."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.requests, opened.problems = [], []
    opened.on("request", lambda request: opened.requests.append(request.url))
    opened.on("console", lambda message: opened.problems.append(message.text))
    opened.on("pageerror", lambda error: opened.problems.append(str(error)))
    opened.goto(address)
    return opened


@pytest.fixture
def chart(tab):
    """The learning curves as they are when the page has just been opened."""
    tab.emulate_media(media="screen", color_scheme="light")
    tab.set_viewport_size({"width": 1280, "height": 900})
    tab.mouse.move(0, 0)
    tab.reload()
    return tab.locator("#curves")


def lines(chart):
    return chart.locator(".plot > svg path.line").count()


def choose(chart, what, label):
    chart.locator(f"select.{what}").select_option(label=label)


def open_values(chart):
    chart.locator("summary", has_text="These values as a table").click()
    chart.locator(".values table").wait_for()


def point_at(tab, chart, share):
    box = chart.locator(".plot > svg").bounding_box()
    tab.mouse.move(box["x"] + 52 + share * (box["width"] - 66), box["y"] + box["height"] / 2)


def test_the_page_opens_without_complaint_and_asks_for_nothing_else(tab, chart, address):
    assert lines(chart) == 4
    assert set(tab.requests) <= {address, "data:,"}
    assert tab.problems == []


def test_a_legend_entry_hides_its_line_and_brings_it_back(chart):
    entry = chart.get_by_role("button", name="margin", exact=True)
    assert entry.get_attribute("aria-pressed") == "true"
    entry.click()
    assert entry.get_attribute("aria-pressed") == "false"
    assert lines(chart) == 3
    entry.focus()
    entry.press("Space")
    assert lines(chart) == 4


def test_pointing_at_a_legend_entry_picks_its_line_out(chart):
    picked = chart.locator(".plot > svg.picked .on path.line")
    entry = chart.get_by_role("button", name="margin", exact=True)
    entry.hover()
    assert picked.count() == 1
    entry.click()
    assert chart.locator(".plot > svg.picked").count() == 0


def test_all_lines_can_be_hidden_and_shown_at_once(chart):
    chart.get_by_role("button", name="hide all").click()
    assert lines(chart) == 0
    chart.get_by_role("button", name="show all").click()
    assert lines(chart) == 4


def curve(experiment, dataset="digits", strategy="random"):
    table = experiment.curves
    return table[(table["dataset"] == dataset) & (table["strategy"] == strategy)]


def test_pointing_reads_the_values_of_all_visible_lines(tab, chart, experiment):
    reading = chart.locator(".reading")
    assert not reading.is_visible()
    point_at(tab, chart, 0.98)
    assert reading.locator("caption").inner_text() == "labels acquired: 30"
    assert reading.locator("tr").count() == 4
    rows = curve(experiment)
    last = rows[rows["n_labelled"] == 30]["accuracy"]
    expected = f"{last.mean():.3f} ± {last.sem():.3f}"
    row = reading.locator("tr", has=tab.get_by_role("rowheader", name="random", exact=True))
    cells = row.locator("td").all_inner_texts()
    assert cells[1:] == [expected, "n = 3"]
    chart.get_by_role("button", name="margin", exact=True).click()
    point_at(tab, chart, 0.5)
    assert reading.locator("tr").count() == 3


def test_arrow_keys_read_the_values_too(chart):
    chart.locator(".plot").focus()
    for key, labels in (("ArrowRight", 10), ("ArrowRight", 20), ("ArrowLeft", 10)):
        chart.locator(".plot").press(key)
        assert chart.locator(".reading caption").inner_text() == f"labels acquired: {labels}"
    chart.locator(".plot").press("Escape")
    assert not chart.locator(".reading").is_visible()


def test_the_metric_changes_the_axis(chart):
    before = chart.locator(".plot > svg text").all_inner_texts()
    choose(chart, "metric", "seconds of retrain")
    assert chart.locator(".y-label").inner_text() == "seconds of retrain (lower is better)"
    assert chart.locator(".plot > svg text").all_inner_texts() != before
    assert chart.locator("select.view option[value=difference]").is_disabled()


def test_differences_are_to_random_selection(chart):
    choose(chart, "view", "difference to random, paired by seed")
    assert "difference in test accuracy to random" in chart.locator(".y-label").inner_text()
    assert lines(chart) == 4
    open_values(chart)
    place = [heading.inner_text() for heading in chart.locator(".values thead th").all()].index(
        "random"
    )
    row = chart.locator(".values tbody tr").last
    assert re.fullmatch(r"0\.0+ ± 0\.0+", row.locator("th, td").nth(place).inner_text())


def test_the_data_set_changes_lines_and_legend(chart):
    chart.locator("select.choice").select_option(label="mnist5k, pixels")
    assert lines(chart) == 1
    assert chart.locator(".legend button").all_inner_texts() == ["random"]


def test_values_are_there_as_a_table(chart, experiment):
    open_values(chart)
    table = chart.locator(".values table")
    assert table.locator("tbody tr").count() == 3
    assert table.locator("th:not([scope])").count() == 0
    assert table.locator("caption").inner_text() == (
        "test accuracy (higher is better), by labels acquired"
    )
    rows = curve(experiment)
    first = rows[rows["n_labelled"] == 10]["accuracy"].mean()
    names = table.locator("thead th").all_inner_texts()
    cell = table.locator("tbody tr").first.locator("th, td").nth(names.index("random"))
    assert cell.inner_text().startswith(f"{first:.3f}")


EVERY_CHOICE = """() => [...document.querySelectorAll("article.chart")].flatMap((chart) => {
  const metric = chart.querySelector("select.metric");
  return [...metric.options].filter((option) => !option.disabled).map((option) => {
    metric.value = option.value;
    metric.dispatchEvent(new Event("change", { bubbles: true }));
    return [chart.id, option.value, chart.querySelectorAll(".plot > svg path.line").length];
  });
})"""


def test_every_chart_draws_lines_for_every_metric(tab, chart):
    drawn = tab.evaluate(EVERY_CHOICE)
    assert {name for name, _, _ in drawn} == {"curves", "by-n-new", "by-n-initial", "by-gamma"}
    assert [choice for choice in drawn if choice[2] == 0] == []
    assert tab.problems == []


@pytest.mark.parametrize("width", [360, 820])
def test_a_small_screen_needs_no_sideways_scrolling(tab, chart, width):
    tab.set_viewport_size({"width": width, "height": 740})
    for summary in tab.locator("summary").all():
        summary.evaluate("node => { node.parentElement.open = true; }")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    drawing = chart.locator(".plot > svg").bounding_box()
    assert drawing["x"] + drawing["width"] <= width
    assert chart.locator(".reading").is_visible() == (width < 700)


def brightness(tab, selector, name="background-color"):
    colour = tab.locator(selector).first.evaluate(f"node => getComputedStyle(node)['{name}']")
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


def test_dark_mode_is_dark_and_print_is_light(tab, chart):
    assert brightness(tab, "body") > 250
    tab.emulate_media(color_scheme="dark")
    assert brightness(tab, "body") < 40
    assert brightness(tab, "body", "color") > 200
    assert brightness(tab, "#curves [data-series] path.line", "stroke") > 60
    tab.emulate_media(media="print", color_scheme="dark")
    assert brightness(tab, "body") > 250
    assert brightness(tab, "body", "color") < 40
    assert not tab.locator("#curves .controls").is_visible()


def test_thousands_of_rows_make_a_page_that_works(browser, tmp_path):
    rows = [
        [f"r{s}-{v}", "d", "b", f"strategy{v:02}", "top_b", "retrain", s, c, 10 * c + 10, *scores]
        for v in range(25)
        for s in range(5)
        for c in range(21)
        for scores in [[0.01 * c + 0.001 * s + 0.002 * v] * 5 + ["false"]]
    ]
    columns = [name for name in CURVE_COLUMNS if name not in LATER_METRICS]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "many.csv", index=False)
    many = read_results(tmp_path / "many.csv")
    text = render(facts(many), charts_of(many), [])
    assert len(text) < 1_000_000
    (tmp_path / "many.html").write_text(text)
    opened = browser.new_page()
    opened.goto((tmp_path / "many.html").as_uri())
    assert lines(opened.locator("#curves")) == 25
    opened.close()
