"""What the demo writes plays in a browser: Chromium without a window, where it is installed."""

import html
import re
import shutil
import subprocess

import pytest

from tests.feeder.video.test_decode import copy, make, make_with_sound, noise

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PAGE = """<title>waiting</title><video src="result.mp4" muted preload="auto"></video><script>
const video = document.querySelector("video")
video.onloadeddata = () => document.title = [video.readyState, video.videoWidth, video.videoHeight, video.duration]
video.onerror = () => document.title = "error: " + video.error.message
</script>"""


def look(folder) -> list[float]:
    """readyState, width, height and seconds of folder/result.mp4, as a page has them."""
    (folder / "page.html").write_text(PAGE)
    alone = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    argv = [CHROMIUM, *alone, "--virtual-time-budget=20000", "--dump-dom", (folder / "page.html").as_uri()]
    run = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    title = re.search("<title>(.*)</title>", run.stdout)
    assert title, run.stderr
    return [float(number) for number in html.unescape(title[1]).split(",")]


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize("kind", ["with sound", "odd sides", "one frame"])
def test_a_result_plays_in_chromium(tmp_path, kind):
    if kind == "with sound":
        source, shape, seconds = make_with_sound(tmp_path / "a.mkv", 2, audio="libopus"), (64, 48), 2
    elif kind == "odd sides":
        images = [noise(i)[:47, :63] for i in range(20)]
        source, shape, seconds = make(tmp_path / "a.avi", images, codec="ffv1", pix_fmt="yuv444p"), (64, 48), 2
    else:
        source, shape, seconds = make(tmp_path / "a.mp4", [noise(0)]), (64, 48), 0.1
    copy(source, tmp_path / "result.mp4")
    state, width, height, duration = look(tmp_path)
    assert state >= 2 and (width, height) == shape and duration == pytest.approx(seconds, abs=0.1)
