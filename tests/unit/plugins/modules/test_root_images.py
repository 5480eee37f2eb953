from __future__ import annotations

import hashlib
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from plugins.module_utils import _served
from plugins.modules import root_images

BOTH_MODES = pytest.mark.parametrize("check_mode", [True, False], ids=["check", "real"])
XEN = "xen-0123456789abcdef"
NEWER = "xen-fedcba9876543210"
INDEX = "/boot/root-images.json"


class ConfigNode:
    """What a ConfigNode serves, over HTTP on this machine."""

    def __init__(self):
        self.files = {INDEX: b"{}\n"}
        self.asked = []
        config_node = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                config_node.asked.append(self.path)
                data = config_node.files.get(self.path)
                self.send_response(404 if data is None else 200)
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                self.wfile.write(data or b"")

            def log_message(self, *_arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def publish(self, *names):
        """Serve these images and no others, the first at 1000.0."""
        entries = {}
        for number, name in enumerate(names):
            data = f"root of {name}".encode()
            self.files[f"/images/{name}/root.squashfs"] = data
            entries[name] = {"aoe": f"1000.{number}", "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        self.files[INDEX] = json.dumps(entries).encode()


class StorageNode:
    """A machine with a mounted file system for images.

    Units start where what they export is there, and serve what was there when they started. They are stopped for nothing but a
    fetched image that is whole.
    """

    def __init__(self, directory, config_node, run_module, commands):
        self.directory = directory
        self.config_node = config_node
        self.serving = {}
        self.commands = commands
        self._run_module = run_module
        directory.mkdir()
        commands.answer("systemctl", with_=self._systemctl)

    def _systemctl(self, argv):
        _program, verb, *units = argv
        names = [unit.removeprefix("bareroot-aoe@image-").removesuffix(".service") for unit in units]
        if verb == "is-active":
            return (0, "active\n", "") if names[0] in self.serving else (3, "inactive\n", "")
        if verb == "stop":
            (name,) = names
            assert (self.directory / name / ".part").read_bytes() == f"root of {name}".encode()
            self.serving.pop(name, None)
            return 0, "", ""
        assert verb == "start"
        for name in names:
            assert (self.directory / name / "root.squashfs").read_bytes() == f"root of {name}".encode()
            now = (self.directory / name / "aoe").read_text()
            assert now.startswith("1000.")
            self.serving.setdefault(name, now)
        return 0, "", ""

    def run(self, check_mode=False, **options):
        self.commands.calls.clear()
        self.config_node.asked.clear()
        params = {"server": self.config_node.address, "directory": str(self.directory), **options}
        return self._run_module(root_images, params, check_mode=check_mode, diff=True)

    def contents(self):
        return {str(path.relative_to(self.directory)): path.read_bytes() for path in self.directory.rglob("*") if path.is_file()}

    @property
    def orders(self):
        return [call.argv[1:] for call in self.commands.calls if call.argv[1] != "is-active"]


@pytest.fixture
def config_node(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    server = ConfigNode()
    yield server
    server.close()


@pytest.fixture
def node(tmp_path, config_node, run_module, commands, monkeypatch):
    directory = tmp_path / "images"
    monkeypatch.setattr(os.path, "ismount", lambda path: path == str(directory))
    return StorageNode(directory, config_node, run_module, commands)


def unit(name):
    return f"bareroot-aoe@image-{name}.service"


def image(name, number):
    return {f"{name}/root.squashfs": f"root of {name}".encode(), f"{name}/aoe": f"1000.{number}\n".encode()}


def test_check_mode_says_what_would_be_fetched_and_exported_and_does_neither(node, config_node):
    config_node.publish(XEN, NEWER)
    result = node.run(check_mode=True)
    assert result == {
        "changed": True,
        "fetched": [XEN, NEWER],
        "exported": [XEN, NEWER],
        "diff": {"before": "", "after": f"{XEN}\n{NEWER}\n"},
    }
    assert list(node.directory.iterdir()) == []
    assert config_node.asked == [INDEX]
    assert node.orders == []


def test_check_mode_works_before_the_disks_are_laid_out(node, config_node, monkeypatch):
    config_node.publish(XEN)
    monkeypatch.setattr(os.path, "ismount", lambda _path: False)
    node.directory.rmdir()
    assert node.run(check_mode=True)["fetched"] == [XEN]
    assert not node.directory.exists()


def test_what_was_announced_is_fetched_and_exported(node, config_node):
    config_node.publish(XEN, NEWER)
    announced = node.run(check_mode=True)
    assert node.run() == announced
    assert node.contents() == {**image(XEN, 0), **image(NEWER, 1)}
    assert node.orders == [["stop", unit(XEN)], ["stop", unit(NEWER)], ["start", unit(XEN), unit(NEWER)]]


def test_the_server_is_by_default_the_one_that_this_node_booted_from(node, config_node, tmp_path, monkeypatch):
    config_node.publish(XEN)
    (tmp_path / "node.json").write_text(json.dumps({"name": "sn1", "config_node": config_node.address}))
    monkeypatch.setattr(_served, "NODE_FACTS", str(tmp_path / "node.json"))
    assert node.run(server=None)["fetched"] == [XEN]


@BOTH_MODES
def test_a_second_run_changes_nothing_and_fetches_nothing(node, config_node, check_mode):
    config_node.publish(XEN, NEWER)
    node.run()
    before = node.contents()
    result = node.run(check_mode=check_mode)
    assert result == {
        "changed": False,
        "fetched": [],
        "exported": [],
        "diff": {"before": f"{XEN}\n{NEWER}\n", "after": f"{XEN}\n{NEWER}\n"},
    }
    assert node.contents() == before
    assert config_node.asked == [INDEX]
    assert node.orders == []


@BOTH_MODES
def test_nothing_in_use_is_nothing_to_do(node, check_mode):
    result = node.run(check_mode=check_mode)
    assert not result["changed"]
    assert node.commands.calls == []


def test_another_image_leaves_the_first_as_it_is(node, config_node):
    config_node.publish(XEN)
    node.run()
    config_node.publish(XEN, NEWER)
    result = node.run()
    assert (result["fetched"], result["exported"]) == ([NEWER], [NEWER])
    assert config_node.asked == [INDEX, f"/images/{NEWER}/root.squashfs"]
    assert node.orders == [["stop", unit(NEWER)], ["start", unit(NEWER)]]


def test_an_image_that_is_no_longer_in_use_stays_exported(node, config_node):
    config_node.publish(XEN)
    node.run()
    config_node.publish()
    assert not node.run()["changed"]
    assert node.contents() == image(XEN, 0)
    assert node.serving == {XEN: "1000.0\n"}


def test_an_image_that_gets_another_address_is_served_there(node, config_node):
    config_node.publish(XEN)
    node.run()
    config_node.publish(NEWER, XEN)
    result = node.run()
    assert (result["fetched"], result["exported"]) == ([NEWER, XEN], [NEWER, XEN])
    assert node.serving == {NEWER: "1000.0\n", XEN: "1000.1\n"}


def test_an_image_that_a_failed_run_fetched_is_served_after_the_next(node, config_node):
    config_node.publish(XEN, NEWER)
    node.run()
    config_node.publish(NEWER, XEN)
    config_node.files[f"/images/{XEN}/root.squashfs"] = b"damaged"
    assert node.run()["failed"]
    assert node.serving == {XEN: "1000.0\n"}
    config_node.publish(NEWER, XEN)
    result = node.run()
    assert (result["fetched"], result["exported"]) == ([XEN], [NEWER, XEN])
    assert node.serving == {NEWER: "1000.0\n", XEN: "1000.1\n"}


@BOTH_MODES
def test_an_export_that_stopped_is_started_again(node, config_node, check_mode):
    config_node.publish(XEN, NEWER)
    node.run()
    del node.serving[XEN]
    result = node.run(check_mode=check_mode)
    assert result["changed"]
    assert (result["fetched"], result["exported"]) == ([], [XEN])
    assert result["diff"]["before"] == f"{NEWER}\n"
    assert config_node.asked == [INDEX]
    assert node.orders == ([] if check_mode else [["start", unit(XEN)]])


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param({"aoe": None}, id="interrupted-before-the-last-file"),
        pytest.param({"aoe": None, "root.squashfs": None, ".part": "root o"}, id="interrupted-while-fetching"),
        pytest.param({"aoe": ""}, id="empty-address"),
        pytest.param({"aoe": "1000.9\n"}, id="another-address"),
        pytest.param({"root.squashfs": None}, id="no-root"),
        pytest.param({"root.squashfs": "root"}, id="root-cut-off"),
    ],
)
@pytest.mark.parametrize("is_up", [True, False], ids=["up", "down"])
def test_what_is_not_whole_is_fetched_again_and_exported_anew(node, config_node, damage, is_up):
    config_node.publish(XEN)
    node.run()
    for name, text in damage.items():
        path = node.directory / XEN / name
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)
    node.serving = {XEN: "what was there before"} if is_up else {}
    announced = node.run(check_mode=True)
    assert (announced["fetched"], announced["exported"], announced["diff"]["before"]) == ([XEN], [XEN], "")
    assert node.run() == announced
    assert node.contents() == image(XEN, 0)
    assert node.serving == {XEN: "1000.0\n"}


@pytest.mark.parametrize("served", [b"", b"root of", b"ROOT OF " + XEN.encode()], ids=["empty", "cut-off", "changed"])
def test_an_image_with_another_digest_is_not_kept_and_nothing_is_exported(node, config_node, served):
    config_node.publish(NEWER, XEN)
    config_node.files[f"/images/{XEN}/root.squashfs"] = served
    result = node.run()
    assert result["failed"]
    expected = hashlib.sha256(f"root of {XEN}".encode()).hexdigest()
    found = hashlib.sha256(served).hexdigest()
    assert f"{XEN} has the digest {found} instead of {expected}: is it damaged on the ConfigNode?" in result["msg"]
    assert node.contents() == image(NEWER, 0)
    assert node.orders == [["stop", unit(NEWER)]]
    assert node.serving == {}
    config_node.publish(NEWER, XEN)
    assert node.run()["fetched"] == [XEN]
    assert node.contents() == {**image(NEWER, 0), **image(XEN, 1)}
    assert node.serving == {NEWER: "1000.0\n", XEN: "1000.1\n"}


@pytest.mark.parametrize("name", ["../xen", "xen-0123", "/etc/passwd", f"{XEN}\n", f"{XEN}/..", "", "Xen-0123456789abcdef", f"{XEN} x"])
@BOTH_MODES
def test_a_name_that_is_no_images_name_is_refused(node, config_node, name, check_mode):
    config_node.publish(NEWER, name)
    result = node.run(check_mode=check_mode)
    assert result["failed"]
    assert f"http://{config_node.address} lists an image called {name!r}, which is no image's name" in result["msg"]
    assert list(node.directory.iterdir()) == []
    assert config_node.asked == [INDEX]
    assert node.commands.calls == []


def test_a_directory_that_is_not_mounted_is_refused_and_nothing_is_put_below_it(node, config_node, monkeypatch):
    config_node.publish(XEN)
    monkeypatch.setattr(os.path, "ismount", lambda _path: False)
    result = node.run()
    assert result["failed"]
    assert f"{node.directory} is not mounted: is bareroot-storage.service running?" in result["msg"]
    assert list(node.directory.iterdir()) == []
    assert node.commands.calls == []


@pytest.mark.parametrize(
    ("path", "data", "message"),
    [
        pytest.param(INDEX, None, "HTTP Error 404", id="no-index"),
        pytest.param(INDEX, b'{"xen', "Unterminated string", id="index-cut-off"),
        pytest.param(INDEX, b"\xff\xfe\xff", "codec can't decode", id="index-binary"),
        pytest.param(f"/images/{XEN}/root.squashfs", None, "HTTP Error 404", id="no-image"),
    ],
)
def test_what_the_server_does_not_have_is_an_error_and_nothing_is_exported(node, config_node, path, data, message):
    config_node.publish(XEN)
    config_node.files[path] = data
    result = node.run()
    assert result["failed"]
    assert result["msg"].startswith("cannot export the root images: ")
    assert message in result["msg"]
    assert node.contents() == {}
    assert node.orders == []


ENTRY = {"aoe": "1000.0", "sha256": "0" * 64, "size": 1}


@pytest.mark.parametrize(
    "index",
    [
        pytest.param([], id="list"),
        pytest.param([XEN], id="list-of-names"),
        pytest.param(None, id="null"),
        pytest.param("xen", id="text"),
        pytest.param({XEN: {}}, id="empty-entry"),
        pytest.param({NEWER: ENTRY, XEN: {key: value for key, value in ENTRY.items() if key != "aoe"}}, id="no-aoe"),
        pytest.param({XEN: {key: value for key, value in ENTRY.items() if key != "sha256"}}, id="no-sha256"),
        pytest.param({XEN: {key: value for key, value in ENTRY.items() if key != "size"}}, id="no-size"),
        pytest.param({XEN: "aoe"}, id="entry-text"),
        pytest.param({XEN: 5}, id="entry-number"),
        pytest.param({XEN: None}, id="entry-null"),
        pytest.param({XEN: ["aoe", "sha256", "size"]}, id="entry-list"),
    ],
)
@BOTH_MODES
def test_a_list_that_boot_tree_did_not_write_is_an_error(node, config_node, index, check_mode):
    config_node.files[INDEX] = json.dumps(index).encode()
    (node.directory / XEN).mkdir()
    (node.directory / XEN / "aoe").write_text("1000.0\n")
    result = node.run(check_mode=check_mode)
    assert result["failed"]
    expected = f"http://{config_node.address}{INDEX} is not what boot_tree writes: run playbooks/boot_tree.yml"
    assert result["msg"] == f"cannot export the root images: {expected}"
    assert node.commands.calls == []


@pytest.mark.parametrize("server", ["127.0.0.1:port", "127.0.0.1 ", "127.0.0.1\n", "[127.0.0.1", "127.0.0.1:99999", "127.0.0.1:-1"])
@BOTH_MODES
def test_a_server_that_cannot_be_is_an_error(node, server, check_mode):
    result = node.run(server=server, check_mode=check_mode)
    assert result["failed"]
    assert result["msg"].startswith("cannot export the root images: ")
    assert node.commands.calls == []


def test_a_server_that_does_not_answer_is_an_error(node):
    result = node.run(server="127.0.0.1:1")
    assert result["failed"]
    assert result["msg"].startswith("cannot export the root images: ")
    assert "refused" in result["msg"]


def test_a_machine_that_no_config_node_booted_needs_a_server(node, tmp_path, monkeypatch):
    monkeypatch.setattr(_served, "NODE_FACTS", str(tmp_path / "node.json"))
    result = node.run(server=None)
    assert result["failed"]
    assert str(tmp_path / "node.json") in result["msg"]


@pytest.mark.parametrize("verb", ["is-active", "stop", "start"])
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param((1, "", "Job failed.\nSee journalctl -xe\n"), "exit code 1: See journalctl -xe", id="fails"),
        pytest.param((127, "", "timeout: failed to run command"), "exit code 127: timeout: failed to run command", id="missing"),
        pytest.param((124, "", ""), "not finished after 60 s, or killed", id="too-long"),
    ],
)
def test_a_systemctl_that_fails_is_named_and_made_up_for(node, config_node, verb, answer, reason):
    config_node.publish(XEN)
    if verb == "is-active":
        # Only what need not be fetched is asked for.
        node.run()
        node.serving.clear()
    node.commands.answer("systemctl", verb, with_=answer)
    result = node.run()
    assert result["failed"]
    assert result["msg"] == f"cannot export the root images: systemctl {verb} {unit(XEN)}: {reason}"
    assert (result["rc"], result["stderr"]) == (answer[0], answer[2])
    node.commands.answer("systemctl", verb, with_=node._systemctl)
    assert node.run()["exported"] == [XEN]
    assert node.serving == {XEN: "1000.0\n"}
