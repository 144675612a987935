import html.parser
import json
import re

import numpy as np
import pytest

from feeder.skeleton import load_skeleton
from processor.page.page import BUDGET, Clip, Clips, Facts, Group, Matrix, Page, Table, Text, Timeline
from tests.processor.page.conftest import page_of, swinging

HOSTILE = [
    "<script>window.hurt = 1</script>",
    "</script><script>window.hurt = 1</script>",
    "--></script></style></title></textarea><img src=x onerror='window.hurt = 1'>",
    '" onfocus="window.hurt = 1" autofocus x=\'',
    "' onfocus='window.hurt = 1' autofocus",
    "{{ 7 * 7 }}{% raw %}${7 * 7}",
    "<!--<script>",
    "a\u2028b\u2029c",
    "\u202etxt\u0000\u0007",
    "half a \ud800 character",
    "&lt;b&gt;&amp;",
    "$\\frac{1}{$",
]


class Reader(html.parser.HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, page: str):
        super().__init__()
        self.elements, self.text, self.data, self._inside = [], [], None, None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = (tag, dict(attrs))

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside == ("script", {"type": "application/json", "id": "data"}):
            self.data = json.loads(data)
        elif not self._inside or self._inside[0] not in ("script", "style"):
            self.text.append(data)


def clean(text: str) -> str:
    return " ".join(text.encode("utf-8", "backslashreplace").decode().split())


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_is_text_everywhere(text):
    page = page_of(text).render()
    reader = Reader(page)
    tags = [tag for tag, _ in reader.elements]
    assert tags.count("script") == 2 and tags.count("style") == 1 and tags.count("title") == 1 and "img" not in tags
    harmless = Reader(page_of("harmless").render())
    assert tags == [tag for tag, _ in harmless.elements]  # no element more or less, whatever the name
    assert all(not name.startswith("on") and name != "autofocus" for _, attrs in reader.elements for name in attrs)
    shown = clean(" ".join(reader.text))
    assert shown.count(clean(text)) >= 40
    assert reader.data["clips"][0]["name"] == text and reader.data["matrices"][0]["names"][0] == text


@pytest.mark.parametrize("text", HOSTILE)
def test_a_page_can_be_written_whatever_its_names_are(text, tmp_path):
    page_of(text).write(tmp_path / "a.html")
    assert (tmp_path / "a.html").read_bytes().decode("utf-8").startswith("<!DOCTYPE html>")
    assert [file.name for file in tmp_path.iterdir()] == ["a.html"]


def test_equal_sections_make_equal_bytes():
    assert page_of("a").render() == page_of("a").render()


def test_nothing_is_asked_of_anybody():
    page = page_of("a").render()
    for tag, attrs in Reader(page).elements:
        for name in ("src", "href", "xlink:href", "srcset", "poster", "action", "data", "background"):
            value = attrs.get(name)
            beside = tag == "video" and value == "a"
            assert value is None or value.startswith(("#", "data:,")) or beside, (tag, name, value)
    assert not re.search(r"@import|url\((?!#)", page)
    assert set(re.findall(r"https?://[^\s\"'<]+", page)) <= {"http://www.w3.org/1999/xlink"}  # a name, not an address


def test_the_policy_admits_the_scripts_of_the_page_alone():
    meta = [attrs["content"] for tag, attrs in Reader(page_of("a").render()).elements if "http-equiv" in attrs]
    assert len(meta) == 1 and meta[0].startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in meta[0].split("style-src")[0] and "media-src" in meta[0]
    assert "media-src" not in Page("a", "report").render()


def test_identifiers_are_unique():
    ids = [attrs["id"] for _, attrs in Reader(page_of("a").render()).elements if "id" in attrs]
    assert len(ids) == len(set(ids)) > 15


def test_clips_beyond_the_budget_are_named_and_counted():
    clips = [Clip(f"clip {i}", swinging()) for i in range(8)]
    page = Page("a", "inspect", load_skeleton("nw-ucla"), 3, budget=15_000)
    page.add(Clips("some", clips))
    page.add(Table("more", ["clips"], [[clips[6:]]]))
    reader = Reader(page.render())
    kept = len(reader.data["clips"])
    assert 0 < kept < 6 and [clip["name"] for clip in reader.data["clips"]] == [f"clip {i}" for i in range(kept)]
    text = clean(" ".join(reader.text))
    assert all(f"clip {i}" in text for i in range(8))
    assert f"{8 - kept} of the clips here are only named: moving skeletons have 0.015 MB of a page." in text
    opener = next(attrs for _, attrs in reader.elements if "data-names" in attrs)
    assert opener["data-clips"] == "" and json.loads(opener["data-names"]) == ["clip 6", "clip 7"]


def test_a_page_of_very_many_clips_stays_below_10_mb(tmp_path):
    noise = np.random.default_rng(0).normal(size=(3, 60, 25, 2)).astype(np.float32)
    clips = [Clip(f"S001C001P001R001A{i:06}", noise, details=[("class", "drink water")]) for i in range(3000)]
    page = Page("many", "inspect", load_skeleton("ntu-rgb+d"), 3)
    page.add(Clips("all", clips, total=100_000))
    K = 400
    counts = 200 * np.eye(K, dtype=int)
    counts[:, ::4] += 1  # 40,000 cells
    cells = {(i, j): ([f"a name of a clip of a large set {i} {j} {n}" for n in range(counts[i, j])], []) for i in range(K)
             for j in range(0, K, 4)}  # fmt: skip
    page.add(Matrix("matrix", [f"class {i}" for i in range(K)], counts, cells))
    page.write(tmp_path / "a.html")
    assert BUDGET - 20_000 < (tmp_path / "a.html").stat().st_size < 10_000_000


def test_numbers_are_formatted_aligned_and_sorted_by_their_value():
    page = Page("a", "report")
    rows = [("x", 0.25, np.int64(1200), None), ("y", np.float32(0.5), np.nan, True)]
    page.add(Table("t", ["name", "share", "count", "more"], rows, formats=["", ".1%", ",", ""]))
    html = page.render()
    cells = re.findall(r'<td class="number" data-value="([^"]*)">([^<]*)</td>', html)
    assert cells == [("0.25", "25.0%"), ("1200.0", "1,200"), ("0.5", "50.0%")]
    assert "<td>–</td><td>True</td>" in html and "<td></td>" in html


def test_a_matrix_names_its_clips_where_they_do_not_move():
    moving = Clip("moves", swinging())
    counts = np.array([[5, 3], [0, 0]])
    page = Page("a", "report", load_skeleton("nw-ucla"), 3)
    page.add(Matrix("m", ["x", "y"], counts, {(0, 1): (["moves", "still"], [moving])}))
    cells = Reader(page.render()).data["matrices"][0]["cells"]
    assert cells == [[0, 0, 5], [0, 1, 3, [0], ["still"]]]


def test_a_large_matrix_costs_its_non_empty_cells_alone():
    K = 400
    counts = np.diag(np.full(K, 20))
    page = Page("a", "report")
    page.add(Matrix("m", [f"class {i}" for i in range(K)], counts, {}))
    empty = Page("a", "report")
    empty.add(Facts("m", []))
    assert len(page.render()) - len(empty.render()) < 40_000


def test_contents_come_with_more_than_four_sections():
    page = Page("a", "report")
    for i in range(4):
        page.add(Text(f"part {i}", "x"))
    assert "<nav" not in page.render()
    page.add(Group("group", [Text("within", "y")], level="error"))
    html = page.render()
    links = re.findall(r'<a href="#(part\d+)">([^<]*)</a>', html)
    assert links == [
        ("part0", "part 0"),
        ("part1", "part 1"),
        ("part2", "part 2"),
        ("part3", "part 3"),
        ("part4", "group"),
    ]
    assert all(f'id="{anchor}"' in html for anchor, _ in links)


def test_a_level_is_a_word_too():
    page = Page("a", "report")
    page.add(Facts("f", [("x", "y")], level="error"))
    assert '<span class="badge error">error</span>' in page.render()


def test_bars_of_a_timeline_lie_where_their_seconds_are():
    page = Page("a", "demo")
    page.add(Timeline("t", "a b#1.mp4", 80, [("p", [(20, 60, "x", 0.5), (60, 200, "y", 1)])], []))
    html = page.render()
    assert re.findall(r'style="left:([\d.]+)%;width:([\d.]+)%"', html) == [("25.000", "50.000"), ("75.000", "25.000")]
    assert 'src="a%20b%231.mp4"' in html and 'title="x, 50%, 0:20 to 1:00"' in html
