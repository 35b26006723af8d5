import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from calibration.weights import load_deeplight
from calibration.weights.download import download, obtain
from rtdecode.errors import ConfigError


@dataclass
class Shelf:
    """What the server has, how it behaves, and what it was asked for."""

    url: str
    content: bytes = b""
    ranges: bool = True
    cut_after: int | None = None
    status: int | None = None
    asked: list[str | None] = field(default_factory=list)


@pytest.fixture
def shelf(monkeypatch) -> Iterator[Shelf]:
    """Serve files on a free port of this machine."""
    monkeypatch.setenv("no_proxy", "*")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers["Range"]
            shelf.asked.append(wanted)
            if shelf.status:
                self.send_error(shelf.status)
                return
            start = int(wanted.split("=")[1].rstrip("-")) if wanted and shelf.ranges else 0
            body = shelf.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: shelf.cut_after])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    shelf = Shelf(f"http://127.0.0.1:{server.server_port}/model.npy")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield shelf
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def entry(shelf, twin):
    """Return the register's entry of what the shelf serves."""
    shelf.content = twin.content
    return replace(twin.entry, url=shelf.url)


def test_fetched_weights_are_ready(entry, tmp_path, capsys, shelf) -> None:
    """A fetch leaves safetensors and nothing else, shows the licence, and is not repeated."""
    path = obtain(entry, tmp_path / "cache")
    assert [p.name for p in path.parent.iterdir()] == ["twin.safetensors"]
    assert load_deeplight(path).grid_shape == (10, 8, 5)
    assert "no licence" in capsys.readouterr().err
    assert obtain(entry, tmp_path / "cache") == path
    assert shelf.asked == [None]


def test_interrupted_download_goes_on(entry, tmp_path, shelf) -> None:
    """A connection that ends early keeps what came, and the next attempt asks for the rest."""
    shelf.cut_after = 1000
    with pytest.raises(ConfigError, match=r"ended early.*rtdecode weights import"):
        obtain(entry, tmp_path)
    shelf.cut_after = None
    assert obtain(entry, tmp_path).is_file()
    assert shelf.asked == [None, "bytes=1000-"]


def test_server_without_ranges_starts_again(entry, tmp_path, shelf) -> None:
    """A server that ignores the range sends all, and all is taken from its start."""
    shelf.ranges = False
    (tmp_path / "twin.part").write_bytes(b"x" * 1000)
    seen = []
    part = download(entry, tmp_path, seen.append)
    assert part.read_bytes() == shelf.content
    assert seen[-1] == len(shelf.content)


def test_complete_part_needs_no_connection(entry, tmp_path, shelf) -> None:
    """A part that was whole already is only checked."""
    (tmp_path / "twin.part").write_bytes(shelf.content)
    assert download(entry, tmp_path, int).is_file()
    assert shelf.asked == []


@pytest.mark.parametrize("length", [0, 1000, 10**6])
def test_other_content_is_refused_and_removed(entry, tmp_path, shelf, length) -> None:
    """Wrong bytes, from the server or left behind, never become weights and never stay."""
    shelf.content = b"x" * (entry.size_bytes + 10**6)
    (tmp_path / "twin.part").write_bytes(b"y" * length)
    with pytest.raises(ConfigError, match=entry.sha256):
        obtain(entry, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_endless_answer_is_cut(entry, tmp_path, shelf) -> None:
    """No more than a little over the expected size is ever written."""
    shelf.content = b"x" * (entry.size_bytes + 10**7)
    seen = []
    with pytest.raises(ConfigError):
        download(entry, tmp_path, seen.append)
    assert max(seen) < entry.size_bytes + 10**6


def test_no_connection_says_what_to_do_by_hand(entry, tmp_path) -> None:
    """Without a server the message names the address and the import command."""
    closed = replace(entry, url="http://127.0.0.1:9/model.npy")
    with pytest.raises(ConfigError) as caught:
        obtain(closed, tmp_path)
    assert closed.url in str(caught.value)
    assert "rtdecode weights import" in str(caught.value)


def test_refusing_server_says_what_to_do_by_hand(entry, tmp_path, shelf) -> None:
    """A server's refusal is quoted and the way by hand is shown."""
    shelf.status = 404
    with pytest.raises(ConfigError, match=r"404.*rtdecode weights import"):
        obtain(entry, tmp_path)
