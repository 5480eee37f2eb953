from __future__ import annotations

import hashlib
import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from plugins.module_utils import _served


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments):
        pass


@pytest.fixture
def served(tmp_path):
    """Serve a directory on loopback; return it and its address."""
    directory = tmp_path / "srv"
    directory.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(directory))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield directory, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_node_knows_where_it_booted_from(tmp_path, monkeypatch):
    (tmp_path / "node.json").write_text(json.dumps({"config_node": "10.0.0.1"}))
    monkeypatch.setattr(_served, "NODE_FACTS", str(tmp_path / "node.json"))
    assert _served.booted_from() == "10.0.0.1"


def test_what_is_served_is_read_whatever_proxy_the_environment_names(served, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    directory, base = served
    (directory / "current.json").write_text("{}")
    with _served.open_path(base, "current.json") as answer:
        assert answer.read() == b"{}"


def test_what_is_not_served_is_an_error(served):
    with pytest.raises(OSError, match="404"):
        _served.open_path(served[1], "current.json")


def test_an_image_file_is_fetched(served, tmp_path):
    directory, base = served
    content = bytes(range(256)) * 8192  # more than a block
    (directory / "root.squashfs").write_bytes(content)
    _served.fetch_image_file(base, "root.squashfs", str(tmp_path / "target"), "xen-1", hashlib.sha256(content).hexdigest())
    assert (tmp_path / "target").read_bytes() == content


def test_a_damaged_image_file_is_an_error_and_is_not_kept(served, tmp_path):
    directory, base = served
    (directory / "root.squashfs").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"^xen-1 has the digest [0-9a-f]{64} instead of 0{64}: is it damaged on the ConfigNode\?$"):
        _served.fetch_image_file(base, "root.squashfs", str(tmp_path / "target"), "xen-1", "0" * 64)
    assert not (tmp_path / "target").exists()
