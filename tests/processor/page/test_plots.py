import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from feeder.skeleton import load_skeleton
from processor.page import plots
from tests.processor.page.conftest import swinging
from tests.processor.page.test_page import HOSTILE

SVG = "{http://www.w3.org/2000/svg}"
POSE = swinging(1)[:, 0, :, 0].T  # (V, 3)
MADE = {
    "curves": lambda: plots.curves(
        {"train": (range(5000), rng0().random(5000)), "val": ([0, 9], [1, 0])}, "epoch", "loss"
    ),
    "few bars": lambda: plots.bars(["a", "b"], [1, 2], "clips", errors=[0.1, 0.2]),
    "long bars": lambda: plots.bars([f"class number {i}" for i in range(60)], range(60), "clips", np.ones((2, 60))),
    "very many bars": lambda: plots.bars([f"class {i}" for i in range(400)], rng0().random(400), "clips"),
    "histogram": lambda: plots.histogram(rng0().normal(size=500), 40, "score"),
    "reliability": lambda: plots.reliability(rng0().random(500), rng0().random(500) < 0.5),
    "body": lambda: plots.body(load_skeleton("nw-ucla"), np.linspace(0, 1, 20), POSE),
}


def rng0():
    return np.random.default_rng(0)


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


def texts(svg: str) -> list[str]:
    return ["".join(each.itertext()) for each in parsed(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("kind", MADE)
def test_a_plot_is_one_small_element_without_colours_dates_and_styles_of_its_own(kind):
    svg = MADE[kind]()
    assert svg.startswith("<svg ") and svg.rstrip().endswith("</svg>") and len(svg) < 25_000
    assert not re.search(r"#[0-9a-fA-F]{6}|<style|<metadata|<!--|<\?xml|<!DOCTYPE|font-family|NaN|nan", svg)
    assert set(re.findall(r"var\(--([\w-]+)\)", svg)) <= set(plots.VARIABLES.values())
    parsed(svg)


@pytest.mark.parametrize("kind", MADE)
def test_equal_input_gives_equal_bytes(kind):
    assert MADE[kind]() == MADE[kind]()


def test_identifiers_are_all_used_and_those_of_two_plots_differ():
    made = [MADE[kind]() for kind in MADE]
    ids = [re.findall(r' id="([^"]*)"', svg) for svg in made]
    for svg, own in zip(made, ids):
        assert set(own) == set(re.findall(r'(?:href="|url\()#([^")]*)', svg))
    flat = [each for own in ids for each in own]
    assert len(flat) == len(set(flat)) > 5


@pytest.mark.parametrize("text", HOSTILE)
def test_names_are_text_in_plots(text):
    for svg in (plots.bars([text, "b"], [1, 2], text), plots.curves({text: ([1], [2]), "b": ([1], [3])}, text, text)):
        root = parsed(svg)
        assert {each.tag.removeprefix(SVG) for each in root.iter()} <= {
            "svg",
            "g",
            "path",
            "text",
            "use",
            "defs",
            "rect",
            "clipPath",
        }
        shown = [re.sub(r"\s+", " ", each).strip()[:10] for each in texts(svg)]
        assert re.sub(r"[\x00-\x1f\u2028\u2029\ud800-\udfff\s]+", " ", text).strip()[:10] in shown


def test_bars_are_as_long_as_their_values():
    svg = plots.bars(["a", "b", "c"], [1, 2, 4], "clips")
    paths = [each.get("d") for each in parsed(svg).iter(f"{SVG}path") if "series-1" in (each.get("style") or "")]
    heights = [np.ptp([float(y) for y in re.findall(r"[ML] \S+ (\S+)", d)]) for d in paths]
    assert np.array(heights) / heights[0] == pytest.approx([1, 2, 4], rel=0.01)


def test_a_long_curve_keeps_its_peaks():
    y = np.zeros(10_000)
    y[1234], y[7777] = 5, -3
    x, thin = plots._thinned(np.arange(10_000), y)
    assert len(x) <= 300 and thin.max() == 5 and thin.min() == -3
    assert (np.diff(x) > 0).all() and (y[x] == thin).all()


def test_a_gap_stays_a_gap():
    svg = plots.curves({"a": (range(6), [1, 2, np.nan, 4, 5, 6])}, "x", "y")
    line = next(each.get("d") for each in parsed(svg).iter(f"{SVG}path") if "series-1" in (each.get("style") or ""))
    assert line.count("M") == 2


def test_the_histogram_leaves_out_what_is_not_finite():
    assert plots.histogram([1, 2, 2, np.nan, np.inf], 2, "x") == plots.histogram([1, 2, 2], 2, "x")


def test_a_body_is_upright_and_tells_its_largest_shares():
    values = np.zeros(20)
    values[3], values[15] = 0.42, 0.055  # head, left foot
    svg = plots.body(load_skeleton("nw-ucla"), values, POSE)
    words = {"".join(each.itertext()): float(each.get("y")) for each in parsed(svg).iter(f"{SVG}text")}
    assert set(words) == {"42%", "5.5%"} and words["42%"] < words["5.5%"]
