"""The page of a demo: bars that are what the video shows, and the best labels of each moment."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.page.page import Timeline
from processor.video.page import demo_page, moments, of_track
from tests.processor.page.conftest import browser, console, requested, visit  # noqa: F401 (a fixture)


def window(first, last, label="run", score=0.9, track=1):
    return {
        "track": track,
        "first_frame": round(30 * first),
        "last_frame": round(30 * last),
        "first_second": first,
        "last_second": last,
        "label": label,
        "top5": [[label if label != "unknown" else "sit", score], ["other", 1 - score]],
    }


def result(*windows, **more):
    content = {"video": "clips/a.mp4", "label": "run", "score": 0.9, "top5": [["run", 0.9]], "frames": 300}
    segments = [
        {key: w[key] for key in w if key != "top5"} | {"score": w["top5"][0][1], "repetitions": None} for w in windows
    ]
    content |= {"fps": 30.0, "persons": len({w["track"] for w in windows}), "windows": list(windows)}
    return content | {"segments": segments} | more


def test_the_bars_are_the_segments_within_the_video():
    segments = [
        {"track": 2, "label": "jump", "first_second": 1.0, "last_second": 12.0, "score": 0.7, "repetitions": 3},
        {"track": 1, "label": "run", "first_second": 0.0, "last_second": 2.5, "score": 0.9, "repetitions": None},
        {"track": 1, "label": "unknown", "first_second": 2.5, "last_second": 5.0, "score": 0.6, "repetitions": None},
        {"track": 1, "label": "run", "first_second": 10.5, "last_second": 11.0, "score": 0.9, "repetitions": None},
    ]
    page = demo_page(result(window(0, 2), segments=segments), Path("a.mp4"), 10.0)
    assert page.sections[0].tracks == [
        ("person 1", [(0.0, 2.5, "run", 0.9), (2.5, 5.0, "unknown", 0.6)]),
        ("person 2", [(1.0, 10.0, "jump × 3", 0.7)]),
    ]


def test_of_a_moment_it_is_the_window_whose_middle_is_nearest():
    shown = list(of_track([window(0, 2), window(1, 3, score=0.7), window(2, 4, "jump"), window(3, 5, "unknown")], 10))
    assert [(begin, end) for begin, end, _ in shown] == [(0, 1.5), (1.5, 2.5), (2.5, 3.5), (3.5, 5)]


def test_a_person_who_was_away_leaves_a_gap():
    shown = list(of_track([window(0, 2), window(6, 8)], 10))
    assert [(begin, end) for begin, end, _ in shown] == [(0, 2), (6, 8)]


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0.5, 3), st.sampled_from("abc")), max_size=12))
@settings(max_examples=100, deadline=None)
def test_bars_lie_within_the_video_and_one_after_the_other(windows):
    shown = list(of_track([window(first, first + length, label) for first, length, label in windows], 40.0))
    for begin, end, row in shown:
        assert 0 <= begin < end <= 40 and row["first_second"] <= begin and end <= row["last_second"]
    assert all(a[1] <= b[0] + 1e-9 for a, b in pairwise(shown))


def test_the_best_labels_of_a_moment_are_the_mean_over_the_persons_of_that_moment():
    shown = {1: list(of_track([window(1, 3)], 9)), 2: list(of_track([window(2, 4, "jump", 0.6)], 9))}
    found = {second: {label: round(score, 3) for label, score in best} for second, best in moments(shown)}
    assert found == {
        0: {},
        1: {"run": 0.9, "other": 0.1},
        2: {"run": 0.45, "jump": 0.3, "other": 0.25},
        3: {"jump": 0.6, "other": 0.4},
        4: {},
    }


def test_a_day_of_a_camera_is_a_page_of_bounded_size():
    rows = [window(k / 2, k / 2 + 2, "ab"[k % 2]) for k in range(0, 20_000)]
    page = demo_page(result(*rows), Path("a.mp4"), 10_002)
    assert len(page.render()) < 10_000_000


def test_without_anybody_there_is_a_page():
    text = demo_page(result(label="unknown", score=0.0, top5=[]), Path("a.mp4"), 10.0).render()
    assert 'src="a.mp4"' in text


@pytest.mark.parametrize("name", ['"><script>hurt = 1</script>.mp4', "ä #1?.mp4"])
def test_names_are_shown_and_not_run(browser, tmp_path, name):  # noqa: F811
    label = "<script>window.hurt = 1</script>"
    page = demo_page(result(window(0, 2, label), video=name, label=label), Path(name), 10.0)
    assert isinstance(page.sections[0], Timeline)
    page.write(tmp_path / "page.html")
    visit(browser, tmp_path / "page.html")
    assert browser.execute_script("return window.hurt") is None and label in browser.page_source.replace(
        "&lt;", "<"
    ).replace("&gt;", ">")


def test_a_click_on_a_bar_jumps_there(browser, tmp_path):  # noqa: F811
    from tests.feeder.video.test_decode import copy, make, noise

    copy(make(tmp_path / "raw.mp4", [noise(i) for i in range(100)]), tmp_path / "a.mp4")  # ten seconds
    demo_page(result(window(0, 2), window(6, 8, "jump")), Path("a.mp4"), 10.0).write(tmp_path / "page.html")
    visit(browser, tmp_path / "page.html")
    time = "return document.querySelector('video').currentTime"
    assert browser.execute_script(time) == 0
    bar = next(each for each in browser.find_elements("css selector", "button") if "jump" in each.text)
    bar.click()
    assert browser.execute_script(time) == pytest.approx(6, abs=0.1)
    assert not console(browser)
    asked = [url for url in requested(browser) if not url.startswith("data:")]  # the signs on the video's own buttons
    assert {Path(url).name for url in asked} == {"page.html", "a.mp4"}
