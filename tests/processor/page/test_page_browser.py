"""Pages in Chromium, where it is installed: nothing is asked of anybody, skeletons move, cells open, keys work."""

import json
import time

import numpy as np
import pytest

from feeder.skeleton import load_skeleton
from processor.page.page import Clip, Clips, Matrix, Page, Table, Timeline
from tests.feeder.video.test_decode import copy, make, noise
from tests.processor.page.conftest import console, page_of, requested, swinging, visit
from tests.processor.page.test_page import HOSTILE

Keys = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: tests/requirements.txt has it").Keys

VIEWER, PANEL = "#viewer", "#panel"
PIXELS = "return document.querySelector(arguments[0]).toDataURL()"


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """A page with clips, a table and two matrices."""
    page = Page("sample", "report", load_skeleton("nw-ucla"), 3)
    clips = [Clip(f"clip {i}", swinging(60), details=[("class", f"class {i}")], marks=[(10, 20)]) for i in range(3)]
    page.add(Clips("clips", clips))
    page.add(Table("table", ["name", "value"], [("b", 2), ("c", None), ("a10", 10), ("a9", 1)]))
    counts = np.array([[3, 2], [0, 4]])
    page.add(Matrix("matrix", ["sit", "stand"], counts, {(0, 1): (["clip 1", "still"], clips[1:2])}))
    large = np.eye(70, dtype=int) * 5
    large[0, 3] = 2
    page.add(Matrix("large", [f"class {i}" for i in range(70)], large, {(0, 3): (["one", "two"], [])}))
    path = tmp_path_factory.mktemp("page") / "sample.html"
    page.write(path)
    return path


def one(browser, selector):
    return browser.find_element("css selector", selector)


def many(browser, selector):
    return browser.find_elements("css selector", selector)


def press(browser, *keys):
    for key in keys:
        browser.switch_to.active_element.send_keys(key)


def wait(browser, condition, seconds=5):
    """Until the script is true; fails after some seconds."""
    end = time.monotonic() + seconds
    while not (value := browser.execute_script(f"return {condition}")):
        assert time.monotonic() < end, condition
        time.sleep(0.05)
    return value


def is_open(browser, dialog) -> bool:
    return browser.execute_script(f"return document.querySelector('{dialog}').open")


def column(browser, number=1) -> list[str]:
    return [cell.text for cell in many(browser, f"table.sortable:not([data-matrix]) td:nth-child({number})")]


def moves(browser, selector, seconds=1.0) -> bool:
    first, end = browser.execute_script(PIXELS, selector), time.monotonic() + seconds
    while time.monotonic() < end:
        if browser.execute_script(PIXELS, selector) != first:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("kind", ["light", "dark"])
def test_a_page_asks_nobody_and_the_console_is_silent(browser, sample, kind):
    visit(browser, sample, prefers_color_scheme=kind)
    wait(browser, "document.querySelectorAll('.clip canvas').length === 3")
    assert moves(browser, ".clip canvas", 3)
    assert console(browser) == []
    assert {address for address in requested(browser) if not address.startswith(("data:", "blob:"))} == {
        sample.as_uri()
    }


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_is_inert(browser, tmp_path, text):
    page_of(text).write(tmp_path / "a.html")
    visit(browser, tmp_path / "a.html")
    one(browser, ".clip").click()
    press(browser, Keys.ESCAPE)
    one(browser, "table.matrix .miss").click()
    assert is_open(browser, PANEL)
    same = "return document.querySelector('#panel h2').textContent === JSON.parse(arguments[0])"
    assert browser.execute_script(same, json.dumps(f"{text}, taken for stand"))
    assert browser.execute_script("return [typeof window.hurt, document.images.length]") == ["undefined", 0]
    assert not [line for line in console(browser) if "Policy" in line or "Error" in line]  # but for the missing video
    asked = [address for address in requested(browser) if not address.startswith("data:")]
    assert asked[0] == (tmp_path / "a.html").as_uri() and len(asked) <= 2 and asked[-1].startswith("file:")


def test_the_policy_stops_a_script_that_is_not_the_page_s(browser, sample, tmp_path):
    html = sample.read_text(encoding="utf-8").replace(
        "<main>", "<main><script>window.hurt = 1</script><img src=x onerror='hurt=1'>"
    )
    (tmp_path / "a.html").write_text(html, encoding="utf-8")
    visit(browser, tmp_path / "a.html")
    assert browser.execute_script("return typeof window.hurt") == "undefined"
    assert any("Content Security Policy" in line for line in console(browser))
    assert moves(browser, ".clip canvas", 3)


def test_a_thumbnail_moves_while_it_is_seen(browser, sample):
    visit(browser, sample)
    assert moves(browser, ".clip canvas", 3)
    browser.execute_script("document.body.style.marginTop = '3000px'; scrollTo(0, 0)")
    wait(browser, "document.querySelector('.clip canvas').width === 0")  # its memory is free
    browser.execute_script("document.body.style.marginTop = ''")
    wait(browser, "document.querySelector('.clip canvas').width > 0")
    assert moves(browser, ".clip canvas", 3)


def test_who_wants_calm_sees_the_middle_frame_until_it_has_the_focus(browser, sample):
    visit(browser, sample, prefers_reduced_motion="reduce")
    wait(browser, "document.querySelector('.clip canvas').width > 0")
    assert not moves(browser, ".clip canvas", 0.6)
    browser.execute_script("document.querySelector('.clip').focus()")
    assert moves(browser, ".clip canvas", 3)
    browser.execute_script("document.activeElement.blur()")
    assert not moves(browser, ".clip canvas", 0.6)
    one(browser, ".clip").click()
    assert one(browser, "#viewer .play").text == "Play"


def test_the_large_view_plays_pauses_and_goes_frame_by_frame(browser, sample):
    visit(browser, sample)
    canvas = "#viewer canvas"
    one(browser, ".clip").click()
    assert is_open(browser, VIEWER) and one(browser, "#viewer h2").text == "clip 0"
    assert one(browser, "#viewer dl").text.split() == ["class", "class", "0"]
    assert moves(browser, canvas, 3)
    press(browser, " ")
    assert one(browser, "#viewer .play").text == "Play" and not moves(browser, canvas, 0.6)
    frame = int(one(browser, "#viewer input").get_attribute("value"))
    press(browser, Keys.ARROW_RIGHT if frame < 50 else Keys.ARROW_LEFT)
    assert abs(int(one(browser, "#viewer input").get_attribute("value")) - frame) == 1
    assert "of 0 to 59" in one(browser, "#viewer output").text
    press(browser, Keys.ARROW_UP)
    assert one(browser, "#viewer select").get_attribute("value") == "2"
    press(browser, Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert one(browser, "#viewer select").get_attribute("value") == "0.5"
    before = browser.execute_script(PIXELS, canvas)
    press(browser, Keys.SHIFT + Keys.ARROW_LEFT)
    assert browser.execute_script(PIXELS, canvas) != before
    browser.execute_script(
        "const s = document.querySelector('#viewer input'); s.value = 15; s.dispatchEvent(new Event('input'))"
    )
    assert one(browser, "#viewer output").text == "marked, frame 15 of 0 to 59"
    assert "marked" in one(browser, canvas).get_attribute("class")
    one(browser, "#viewer .after").click()
    assert one(browser, "#viewer h2").text == "clip 1"
    press(browser, Keys.ESCAPE)
    assert not is_open(browser, VIEWER)
    assert browser.execute_script("return document.activeElement === document.querySelector('.clip')")
    assert console(browser) == []


def test_a_drag_turns_the_body(browser, sample):
    visit(browser, sample)
    one(browser, ".clip").click()
    press(browser, " ")
    before = browser.execute_script(PIXELS, "#viewer canvas")
    point = {"type": "mousePressed", "x": 300, "y": 350, "button": "left", "buttons": 1, "clickCount": 1}
    browser.execute_cdp_cmd("Input.dispatchMouseEvent", point)
    browser.execute_cdp_cmd("Input.dispatchMouseEvent", {**point, "type": "mouseMoved", "x": 380})
    browser.execute_cdp_cmd("Input.dispatchMouseEvent", {**point, "type": "mouseReleased", "x": 380})
    assert browser.execute_script(PIXELS, "#viewer canvas") != before and is_open(browser, VIEWER)


def test_a_cell_of_the_matrix_opens_its_clips(browser, sample):
    visit(browser, sample)
    cell = one(browser, "table.matrix .miss")
    assert cell.text == "2"
    browser.execute_script("arguments[0].focus()", cell)
    press(browser, Keys.ENTER)
    assert is_open(browser, PANEL) and one(browser, "#panel h2").text == "sit, taken for stand"
    assert one(browser, "#panel p").text == "2 of 5 clips of this class (40 %)."
    assert [each.text for each in many(browser, "#panel .clip")] == ["clip 1"]
    assert [each.text for each in many(browser, "#panel li")] == ["still"]
    assert moves(browser, "#panel canvas", 3)
    one(browser, "#panel .clip").click()
    assert is_open(browser, VIEWER) and one(browser, "#viewer h2").text == "clip 1"
    press(browser, Keys.ESCAPE)
    assert is_open(browser, PANEL) and not is_open(browser, VIEWER)
    one(browser, "#panel .close").click()
    assert not is_open(browser, PANEL)
    assert browser.execute_script("return document.activeElement === arguments[0]", cell)


def test_a_large_matrix_is_gone_through_by_keys(browser, sample):
    visit(browser, sample)
    browser.execute_script("document.querySelector('canvas.matrix').focus()")
    press(browser, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert one(browser, ".readout").text == "class 0, taken for class 3: 2 clips, 29 % of the class"
    press(browser, Keys.ARROW_DOWN)
    assert one(browser, ".readout").text == "class 3, recognised: 5 clips, 100 % of the class"
    press(browser, Keys.ARROW_UP, Keys.ENTER)
    assert is_open(browser, PANEL) and [each.text for each in many(browser, "#panel li")] == ["one", "two"]


def test_a_heading_sorts_by_numbers_or_names_and_empty_cells_stay_last(browser, sample):
    visit(browser, sample)
    heads = many(browser, "table.sortable:not([data-matrix]) th button")
    browser.execute_script("arguments[0].focus()", heads[1])
    press(browser, Keys.ENTER)
    assert column(browser) == ["a10", "b", "a9", "c"]
    assert one(browser, "th[aria-sort]").get_attribute("aria-sort") == "descending"
    press(browser, Keys.ENTER)
    assert column(browser) == ["a9", "b", "a10", "c"]
    heads[0].click()
    assert column(browser) == ["a9", "a10", "b", "c"] and len(many(browser, "[aria-sort]")) == 1


@pytest.mark.parametrize("width", [360, 1000])
def test_the_body_does_not_scroll_sideways(browser, tmp_path, width):
    page_of("a_long_name_without_any_space_in_it_" * 4).write(tmp_path / "a.html")
    visit(browser, tmp_path / "a.html", width=width, height=640)
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    one(browser, ".clip").click()
    assert browser.execute_script("const d = document.querySelector('#viewer'); return d.scrollWidth <= d.clientWidth")


def test_a_click_on_the_timeline_jumps_in_the_video(browser, tmp_path):
    copy(make(tmp_path / "a.mp4", [noise(i) for i in range(40)]), tmp_path / "b #1.mp4")
    page = Page("video", "demo")
    bars = [(0.0, 2.0, "run", 0.9), (2.0, 4.0, "jump", 0.8)]
    page.add(
        Timeline(
            "t", "b #1.mp4", 4, [("p", bars)], [(0, [("run", 0.9), ("jump", 0.1)]), (2, [("jump", 0.8), ("run", 0.2)])]
        )
    )
    page.write(tmp_path / "page.html")
    visit(browser, tmp_path / "page.html")
    wait(browser, "document.querySelector('video').readyState >= 1", 10)
    assert one(browser, ".moment ol").text.split("\n")[0] == "run"
    many(browser, ".bars button")[1].click()
    wait(browser, "document.querySelector('.moment li').textContent === 'jump80 %'")
    assert browser.execute_script("return document.querySelector('video').currentTime") == pytest.approx(2, abs=0.05)
    left = browser.execute_script(
        "return document.querySelector('.cursor').offsetLeft / document.querySelector('.bars').offsetWidth"
    )
    assert left == pytest.approx(0.5, abs=0.02)
    assert console(browser) == []
    assert all(address.startswith(("file:", "data:", "blob:")) for address in requested(browser))
