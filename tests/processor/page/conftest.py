"""Pages for tests, and a headless Chromium, where it is installed, that opens them."""

import json
import shutil

import numpy as np
import pytest

from feeder.skeleton import load_skeleton
from processor.page import plots
from processor.page.page import Clip, Clips, Facts, Group, Matrix, Page, Plots, Table, Text, Timeline

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
ALONE = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage")  # fmt: skip


def swinging(T=40, M=1, C=3, skeleton=None) -> np.ndarray:
    """(C, T, V, M): a body that stands, y up, and swings an arm."""
    skeleton = skeleton or load_skeleton("nw-ucla")
    V, t = skeleton.num_joint, np.arange(T)
    keypoints = np.zeros((C, T, V, M), np.float32)
    height = [1.7 if "head" in name else 0.05 if "foot" in name or "ankle" in name else 1.0 for name in skeleton.joints]
    keypoints[0] = np.linspace(-0.4, 0.4, V)[None, :, None] + 0.6 * np.arange(M)
    keypoints[1] = np.array(height)[None, :, None]
    if C > 2:
        keypoints[2] = 3
    keypoints[1, :, skeleton.joints.index("right_hand")] += 0.5 * np.sin(t / 3)[:, None]
    return keypoints


def page_of(text: str, dimension: int = 3) -> Page:
    """A page of every kind of section, in which every text is that text."""
    clips = [Clip(text, swinging(M=1 + i), text, [(text, text)], marks=[(3, 9)], level="warning") for i in range(4)]
    clips[1].attention = np.linspace(0, 1, 200).reshape(10, 20)
    counts = np.array([[3, 1, 0], [0, 2, 0], [0, 0, 0]])
    page = Page(text, text, load_skeleton("nw-ucla"), dimension, text)
    page.add(Facts(text, [(text, text), (text, text, text)], tiles=True, text=text, level="error"))
    page.add(Facts(text, [(text, text, text)], level=text))
    page.add(Table(text, [text, "number", "clips"], [(text, 2, clips[:2]), (text, 10, clips[2]), ("a", None, [])]))
    page.add(
        Plots(text, [(text, plots.bars([text, "b"], [1, 2], text)), (text, plots.bars([text, "b"], [1, 2], text))])
    )
    page.add(Plots(text, [(text, plots.curves({text: ([1, 2], [3, 4]), f"_{text}": ([1], [2])}, text, text))]))
    page.add(Group(text, [Clips(text, clips[:3], text=text, total=7), Clips(text, clips[3:])]))
    page.add(Matrix(text, [text, "stand", "sit"], counts, {(0, 1): ([text], clips[:1]), (0, 0): ([text] * 3, [])}))
    large = np.eye(70, dtype=int)
    large[2, 5] = 2
    page.add(Matrix(text, [text] * 70, large, {(2, 5): ([text, text], clips[:1])}))
    page.add(Text(text, text, text=text))
    page.add(
        Timeline(
            text, text, 8, [(text, [(0, 3, text, 0.9), (3, 8, "b", 0.5)])], [(0, [(text, 0.9)]), (4, [("b", 0.5)])]
        )
    )
    return page


@pytest.fixture(scope="session")
def browser():
    """A Chromium without a window, with its console and its network in its logs; see console, requested and visit."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("Chromium and its driver are not installed (Debian: apt install chromium chromium-driver)")
    webdriver = pytest.importorskip(
        "selenium.webdriver", reason="selenium is not installed: tests/requirements.txt has it"
    )
    import tempfile

    from selenium.webdriver.chrome.service import Service

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for each in (*ALONE, f"--user-data-dir={profile}", "--window-size=1000,800"):
            options.add_argument(each)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        yield driver
        driver.quit()


def visit(browser, path, width=1000, height=800, **features) -> None:
    """Open a file in a window of that size; features of media, e.g. prefers_color_scheme="dark"."""
    console(browser), requested(browser)
    features = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(path.as_uri())


def console(browser) -> list[str]:
    """What the console said since the last time."""
    return [entry["message"] for entry in browser.get_log("browser")]


def requested(browser) -> list[str]:
    """The addresses that were asked for since the last time, without those of the browser's own first page."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return [url for url in asked if not url.startswith("chrome:")]
