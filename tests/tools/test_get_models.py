"""tools/get_models.sh and .py against a small server of our own, with a list of our own."""

import functools
import hashlib
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
MODELS = {f"model{i}.pt": bytes([i]) * 50_000 + b"end" for i in range(3)}


def blob(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@pytest.fixture
def place(tmp_path):
    """A checkout with the script and a list of three small models, and the folder that they are served from."""
    for folder in ("home/tools", "home/resource", "served"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("__init__.py", "command.py", "get_models.py", "get_models.sh", "published_models.py"):
        shutil.copy(ROOT / "tools" / file, tmp_path / "home/tools")
    for folder in ("torchlight", "feeder"):
        shutil.copytree(ROOT / folder, tmp_path / "home" / folder, ignore=shutil.ignore_patterns("__pycache__"))
    lines = [f"{name} remote-{name} {blob(content)}" for name, content in MODELS.items()]
    (tmp_path / "home/resource/reference_model.txt").write_text("\n".join(lines) + "\n")
    shutil.copy(ROOT / "resource/published_models.yaml", tmp_path / "home/resource")
    for name, content in MODELS.items():
        (tmp_path / "served" / f"remote-{name}").write_bytes(content)
    return tmp_path


@pytest.fixture
def server(place):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(place / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


def get(place, url):
    env = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
    env |= {"ST_GCN_MODELS_URL": url, "PYTHON": sys.executable}
    command = [shutil.which("sh"), str(place / "home/tools/get_models.sh")]
    return subprocess.run(command, env=env, cwd=place, capture_output=True, text=True, timeout=60)


def fetched(place):
    return {file.name: file.read_bytes() for file in sorted((place / "home/models").iterdir())}


def test_the_list_names_the_three_models_of_the_original():
    lines = (ROOT / "resource/reference_model.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["st_gcn.kinetics.pt", "st_gcn.ntu-xsub.pt", "st_gcn.ntu-xview.pt"]
    assert all(re.fullmatch(r"\S+ st_gcn\.\S+-[0-9a-f]{8}\.pth [0-9a-f]{40}", line) for line in lines)


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_fetches_what_is_missing_and_keeps_what_is_right(place, server, scheme):
    url = server if scheme == "http" else (place / "served").as_uri()
    done = get(place, url)
    assert done.returncode == 0, done.stderr
    assert fetched(place) == MODELS
    shutil.rmtree(place / "served")
    again = get(place, url)
    assert again.returncode == 0
    assert again.stdout.count("is there") == 3


def test_goes_on_with_a_file_that_broke_off(place, server):
    (place / "home/models").mkdir()
    (place / "home/models/model0.pt.part").write_bytes(MODELS["model0.pt"][:20_000])
    (place / "home/models/model1.pt.part").write_bytes(b"of something else")
    (place / "home/models/model2.pt.part").write_bytes(MODELS["model2.pt"])
    done = get(place, server)
    assert done.returncode == 0, done.stderr
    assert fetched(place) == MODELS


def test_a_download_is_continued_where_it_ended(place):
    """The server is asked for the rest alone."""
    asked = []

    class Ranges(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            content = (place / "served" / self.path.strip("/")).read_bytes()
            begin = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").rstrip("-"))
            asked.append(begin)
            self.send_response(206 if begin else 200)
            self.send_header("Content-Length", str(len(content) - begin))
            self.end_headers()
            self.wfile.write(content[begin:])

        def log_message(self, *_):
            pass

    (place / "home/models").mkdir()
    (place / "home/models/model0.pt.part").write_bytes(MODELS["model0.pt"][:20_000])
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ranges) as httpd:
        threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True).start()
        done = get(place, f"http://127.0.0.1:{httpd.server_port}")
        httpd.shutdown()
    assert done.returncode == 0, done.stderr
    assert fetched(place) == MODELS and asked == [20_000, 0, 0]


def test_a_server_that_cannot_go_on_is_asked_from_the_beginning(place, server):
    (place / "home/models").mkdir()
    (place / "home/models/model0.pt.part").write_bytes(MODELS["model0.pt"][:20_000])
    done = get(place, server)
    assert done.returncode == 0, done.stderr
    assert fetched(place) == MODELS


def test_a_dead_link_says_which_file_and_where_else_to_look(place, server):
    (place / "served/remote-model1.pt").unlink()
    done = get(place, server)
    assert done.returncode == 2
    assert sum(line.startswith("error: ") for line in done.stderr.splitlines()) == 1
    assert "cannot fetch model1.pt" in done.stderr
    assert "drive.google.com" in done.stderr
    assert "MODEL_ZOO" in done.stderr
    assert str(place / "home/models/model1.pt") in done.stderr
    assert fetched(place) == {"model0.pt": MODELS["model0.pt"]}


def test_a_dead_server_leaves_what_had_come(place):
    (place / "home/models").mkdir()
    (place / "home/models/model0.pt.part").write_bytes(MODELS["model0.pt"][:20_000])
    done = get(place, "http://127.0.0.1:9")
    assert done.returncode == 2
    assert fetched(place) == {"model0.pt.part": MODELS["model0.pt"][:20_000]}


def test_a_wrong_file_is_thrown_away(place, server):
    (place / "served/remote-model0.pt").write_bytes(b"<html>moved</html>")
    done = get(place, server)
    assert done.returncode == 2
    assert "its hash differs" in done.stderr
    assert fetched(place) == {}


def test_a_file_of_the_user_is_never_overwritten(place, server):
    (place / "home/models").mkdir()
    (place / "home/models/model0.pt").write_bytes(b"mine")
    done = get(place, server)
    assert done.returncode == 2
    assert "not the published model" in done.stderr
    assert fetched(place) == {"model0.pt": b"mine"}


def test_the_python_command_lists_what_it_can_fetch(tmp_path):
    command = [sys.executable, str(ROOT / "tools/get_models.py")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "movenet" in done.stdout and "9.6 MB" in done.stdout and "st_gcn.kinetics.pt" in done.stdout
