"""Reports as a browser shows them: Debian's Chromium, without a window."""

import json
import re
import shutil
import threading

import pytest

from listening import to_episodes
from sartor import report
from sartor.cli import main
from sartor.runs import Run

PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
#: Chromium as root, that asks nobody for anything.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser():
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=program, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def page_of_run(run):
    return report.write(Run(run), run / "report")


@pytest.fixture
def show(browser):
    """Open a page.

    Anything that the browser complains of, or that is fetched from elsewhere, fails the test.
    """
    complaints, contexts = [], []

    def open_page(address, viewport=DESK, **more):
        contexts.append(browser.new_context(viewport=viewport, **more))
        page = contexts[-1].new_page()
        page.on(
            "console",
            lambda message: (
                complaints.append(message.text) if message.type in ("error", "warning") else None
            ),
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url}"))
        page.goto(address)
        page.wait_for_function(
            "document.querySelectorAll('.chart').length"
            " == document.querySelectorAll('.chart svg').length"
        )
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def drawn(page, figure, kind):
    """What the marks of a figure say of themselves: one dictionary each."""
    marks = page.locator(f"#figure-{figure} svg [aria-roledescription='{kind}']")
    labels = marks.evaluate_all("marks => marks.map(mark => mark.getAttribute('aria-label'))")
    return [dict(part.split(": ", 1) for part in label.split("; ")) for label in labels]


def number(text):
    """What an axis or a tooltip writes: 9,216 or 9.216k."""
    digits, prefix = re.fullmatch(
        r"([-\d.]+)([µmkMG]?)", text.replace(",", "").replace("−", "-")
    ).groups()
    return float(digits) * {"µ": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9}.get(prefix, 1)


def test_every_figure_is_drawn_with_the_numbers_of_the_run(show, run, page_of_run):
    page = show(page_of_run.as_uri())
    result, episodes = json.loads((run / "result.json").read_text()), Run(run).episodes
    points = drawn(page, "history", "circle")
    assert {(int(number(point["episode"])), point["proposed by"]) for point in points} == {
        (e.number, e.source) for e in episodes
    }
    rewards = {int(number(point["episode"])): number(point["reward"]) for point in points}
    assert rewards == pytest.approx(
        {episode.number: episode.reward for episode in episodes}, abs=5e-5
    )

    scored = [e for e in episodes if not e.outcome.stopped]
    assert len(drawn(page, "plane", "circle")) == len(scored)
    delivered = {point["delivered"] for point in drawn(page, "plane", "point")}
    assert {"original", "found", "uniform"} <= delivered

    for figure, title, field in (
        ("channels", "output channels", "out_channels"),
        ("macs", "multiply-accumulates", "macs"),
        ("latency", "seconds", "seconds"),
        ("bits", "bits of the weights", "weight_bits"),
    ):
        bars = {
            (bar["layer"], bar["network"]): number(bar[title]) for bar in drawn(page, figure, "bar")
        }
        told = {
            (layer["name"], network): layer[field]
            for network in ("original", "best")
            for layer in result["layers"][network]
        }
        assert bars == pytest.approx(told, rel=1e-4), figure

    measured = Run(run).sensitivity.table
    squares = page.locator("#figure-sensitivity svg .mark-rect.role-mark path").count()
    assert squares == sum(len(row) for rows in measured.values() for row in rows.values())
    assert f"{100 * result['best']['validation']:.2f} %" in page.locator("#table").inner_text()


def test_a_keyboard_reaches_all_of_it(show, page_of_run):
    page = show(page_of_run.as_uri(), viewport=PHONE)
    for _ in range(4):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_function("location.hash == '#how' && scrollY > 0")

    page = show(page_of_run.as_uri(), viewport=PHONE)
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "document.activeElement.getAttribute('href') ?? document.activeElement.id"
            )
        )
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert reached == ["#results", "#figures", "#delivered", "#how", "table"]
    page.keyboard.press("ArrowRight")  # the table is wider than a phone: the keyboard moves it
    page.wait_for_function("document.getElementById('table').scrollLeft > 0")


def test_a_phone_needs_no_sideways_scrolling(show, page_of_run):
    page = show(page_of_run.as_uri(), viewport=PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    for box in page.locator(".chart svg").evaluate_all(
        "charts => charts.map(chart => chart.getBoundingClientRect().toJSON())"
    ):
        assert box["left"] >= 0
        assert box["right"] <= PHONE["width"] + 1
        assert box["height"] >= 150
    legends = page.locator(".chart svg .role-legend")
    assert (
        max(legends.evaluate_all("all => all.map(legend => legend.getBoundingClientRect().right)"))
        <= PHONE["width"]
    )


def test_colours_follow_the_darkness_of_the_system(show, page_of_run):
    page = show(page_of_run.as_uri(), color_scheme="dark")
    label = ".chart svg .role-axis-label text"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 27)"
    assert page.locator(label).first.get_attribute("fill") == "#e8e8e8"
    page.emulate_media(color_scheme="light")
    page.wait_for_function(f"document.querySelector('{label}').getAttribute('fill') == '#1b1b1b'")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_runs_beside_each_other_are_drawn_too(show, run, tmp_path):
    shutil.copytree(run, tmp_path / "other")
    main(["compare", str(run), str(tmp_path / "other"), "--out", str(tmp_path / "both.html")])
    page = show((tmp_path / "both.html").as_uri(), viewport=PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert {point["run"] for point in drawn(page, "plane", "point")} == {"a <b>", "other"}


def test_the_live_page_follows_a_search(show, search, tmp_path):
    started, may_go_on = threading.Event(), threading.Event()

    def wait(episode, best):
        if episode.number == 2:
            started.set()
            assert may_go_on.wait(60)

    searching = threading.Thread(
        target=search, args=(tmp_path / "run",), kwargs={"progress": to_episodes(wait)}
    )
    searching.start()
    assert started.wait(60)
    serving = report.server(tmp_path / "run")
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    with serving:
        page = show(f"http://127.0.0.1:{serving.server_port}/")
        assert page.locator("#state").inner_text().startswith("unfinished: 3 of 8 episodes")
        assert len(drawn(page, "history", "circle")) == 3
        may_go_on.set()
        page.wait_for_function(
            "document.getElementById('state').textContent.startsWith('finished: 8 of 8 episodes')"
        )
        page.wait_for_function("document.querySelectorAll('#figure-channels svg').length == 1")
        assert len(drawn(page, "history", "circle")) == 8
        assert re.search(r"found\s+\d", page.locator("#table").inner_text())
        serving.shutdown()
    searching.join()
