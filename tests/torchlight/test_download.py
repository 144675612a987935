"""download() against a server of our own that can break off, continue, change its file, and say nothing."""

import http.server
import threading
from contextlib import suppress

import pytest

from torchlight.download import TooLargeError, download

CONTENT = bytes(range(256)) * 1000


class Server:
    """Serves `content` under any path, in the ways that servers have.

    Attributes:
        etag: of the content, if it has one.
        ranges: whether it can continue.
        most: bytes after which it hangs up.
        length: whether it says how much there is.
        asked: the Range headers.
    """

    def __init__(self, content=CONTENT):
        self.content, self.etag, self.ranges, self.most, self.length, self.asked = content, '"1"', True, None, True, []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.answer(self)

            def log_message(self, *_):
                pass

        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.httpd.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.httpd.server_port}"

    def answer(self, request):
        wanted = request.headers["Range"]
        self.asked.append(wanted)
        begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if request.headers["If-Range"] not in (None, self.etag) or not self.ranges:
            begin = 0
        if begin and begin >= len(self.content):
            request.send_error(416)
            return
        body = self.content[begin:]
        request.send_response(206 if begin else 200)
        if self.etag:
            request.send_header("ETag", self.etag)
        if self.length:
            request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        with suppress(ConnectionError):  # who has seen enough hangs up
            request.wfile.write(body[: self.most])
        request.close_connection = True


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    yield server
    server.httpd.shutdown()
    server.httpd.server_close()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def is_content(path):
    return path.exists() and path.read_bytes() == CONTENT


@pytest.mark.parametrize("is_right", [None, is_content])
def test_what_broke_off_is_continued_where_it_ended(server, tmp_path, is_right):
    path, server.most = tmp_path / "a", 100_000
    with pytest.raises(OSError, match="cut off after 100,000 of 256,000 bytes"):
        download(f"{server.url}/a", path, is_right)
    assert names(tmp_path) == ["a.part", "a.part.tag"]
    server.most = None
    assert download(f"{server.url}/a", path, is_right)
    assert server.asked == [None, "bytes=100000-"]
    assert path.read_bytes() == CONTENT and names(tmp_path) == ["a"]


def test_a_part_of_a_file_that_has_changed_meanwhile_is_not_continued(server, tmp_path):
    server.most = 100_000
    with pytest.raises(OSError, match="cut off"):
        download(f"{server.url}/a", tmp_path / "a")
    server.content, server.etag, server.most = CONTENT[::-1], '"2"', None
    assert download(f"{server.url}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT[::-1] and names(tmp_path) == ["a"]


def test_without_a_hash_nothing_is_continued_that_the_server_cannot_name(server, tmp_path):
    server.etag, server.most = None, 100_000
    with pytest.raises(OSError, match="cut off"):
        download(f"{server.url}/a", tmp_path / "a")
    server.content, server.most = CONTENT[::-1], None
    assert download(f"{server.url}/a", tmp_path / "a")
    assert server.asked == [None, None] and (tmp_path / "a").read_bytes() == CONTENT[::-1]


def test_a_weak_etag_names_nothing(server, tmp_path):
    server.etag, server.most = 'W/"1"', 100_000
    with pytest.raises(OSError, match="cut off"):
        download(f"{server.url}/a", tmp_path / "a")
    assert names(tmp_path) == ["a.part"]


def test_a_whole_part_is_taken_from_the_beginning_again(server, tmp_path):
    """Killed between the last byte and the renaming: the server has nothing to add (416)."""
    (tmp_path / "a.part").write_bytes(CONTENT)
    (tmp_path / "a.part.tag").write_text('"1"')
    assert download(f"{server.url}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT and names(tmp_path) == ["a"]


@pytest.mark.parametrize("length", [True, False])
def test_more_than_the_limit_is_refused_and_nothing_is_kept(server, tmp_path, length):
    server.length = length
    with pytest.raises(TooLargeError, match=r"more than 0 MB"):
        download(f"{server.url}/a", tmp_path / "a", limit=200_000)
    assert names(tmp_path) == []
    assert download(f"{server.url}/a", tmp_path / "a", limit=256_000)


def test_another_content_than_the_right_one_is_not_kept(server, tmp_path):
    server.content = b"<html>"
    assert not download(f"{server.url}/a", tmp_path / "a", is_content)
    assert names(tmp_path) == []
