"""The pages of inspect and compare in Chromium: nothing is asked of anybody, and nothing goes wrong."""

import json

import pytest

from main import main
from tests.processor.page.conftest import console, requested, visit


@pytest.fixture(scope="module")
def runs(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name, epochs in (("a", 1), ("b", 3)):
        config = ["-c", str(small / "config.yaml"), "-w", str(folder / name), "--num_epoch", str(epochs)]
        assert main(["recognition", *config]) == 0
    return folder


def test_inspect(browser, small, tmp_path):
    assert main(["inspect", "-c", str(small / "config.yaml"), "--work_dir", str(tmp_path)]) == 0
    visit(browser, tmp_path / "inspect.html")
    assert not console(browser)
    assert [url for url in requested(browser) if not url.startswith("data:")] == [(tmp_path / "inspect.html").as_uri()]
    assert str(len(json.loads((tmp_path / "inspect.json").read_text())["parts"])) == "2"
    assert browser.find_elements("css selector", "canvas") and "What is there" in browser.page_source


def test_compare(browser, runs, tmp_path):
    page = tmp_path / "compare.html"
    assert main(["compare", str(runs / "a"), str(runs / "b"), "--html", str(page)]) == 0
    visit(browser, page)
    assert not console(browser)
    assert [url for url in requested(browser) if not url.startswith("data:")] == [page.as_uri()]
    assert browser.find_elements("css selector", "canvas")  # the clips that changed, as the runs' feeder recorded them
