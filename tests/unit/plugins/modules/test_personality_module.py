from __future__ import annotations

import io
import json
import os
import stat
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from plugins.module_utils import _personality, _served
from plugins.modules import personality

BOTH_MODES = pytest.mark.parametrize("check_mode", [True, False], ids=["check", "real"])
PATH = "/personality/10.0.0.2.tar"
PRIVATE = "0123456789abcdef secret"
OUTSIDE = "which may lie outside the root"
NO_FILE = "which is neither a regular file nor a directory"
FILES = {
    "etc/hosts": (0o644, "10.0.0.2 sn1\n"),
    "etc/drbd.d/half0.res": (0o644, "resource half0 {}\n"),
    "etc/corosync/authkey": (0o400, PRIVATE),
    "etc/ssh/ssh_host_ed25519_key": (0o600, PRIVATE),
    "root/.ssh/authorized_keys": (0o600, "ssh-ed25519 A\n"),
}


class ConfigNode:
    """Serves one node's personality, over HTTP on this machine."""

    def __init__(self):
        self.files = {}
        self.asked = []
        config_node = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                config_node.asked.append(self.path)
                data = config_node.files.get(self.path)
                self.send_response(404 if data is None else 200)
                self.send_header("Content-Length", str(config_node.announced or len(data or b"")))
                self.end_headers()
                self.wfile.write(data or b"")

            def log_message(self, *_arguments):
                pass

        self.announced = 0
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def publish(self, files):
        self.files[PATH] = _personality.pack(files)


class Node:
    """A running node, whose root is a directory."""

    def __init__(self, base, config_node, run_module, commands):
        self.root = base / "root"
        self.facts = base / "node.json"
        self.config_node = config_node
        self.commands = commands
        self._run_module = run_module
        self.root.mkdir()
        self.facts.write_text(json.dumps({"address": "10.0.0.2/24", "config_node": config_node.address}))

    def run(self, check_mode=False, **options):
        result = self._run_module(personality, {"root": str(self.root), **options}, check_mode=check_mode, diff=True)
        assert PRIVATE not in json.dumps(result)
        assert self.commands.calls == []
        return result

    def put(self, name, text="", mode=0o644):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def paths(self, *names):
        return [str(self.root / name) for name in sorted(names)]

    def contents(self):
        """Return {path: (permissions, text)} of all files."""
        files = [path for path in self.root.rglob("*") if path.is_file() and not path.is_symlink()]
        return {str(path.relative_to(self.root)): (mode(path), path.read_text()) for path in files}


def mode(path):
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def config_node(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    server = ConfigNode()
    yield server
    server.close()


@pytest.fixture
def node(tmp_path, config_node, run_module, commands, monkeypatch):
    monkeypatch.setattr(_served, "NODE_FACTS", str(tmp_path / "node.json"))
    config_node.publish(FILES)
    return Node(tmp_path, config_node, run_module, commands)


def shown(result):
    """Return a result's diff by file name, as (before, after)."""
    return {os.path.basename(entry["before_header"].split(" ")[0]): (entry["before"], entry["after"]) for entry in result["diff"]}


def packed(*entries):
    """Return a tar of entries that pack() would never make, each (name, type)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, kind in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "/etc/shadow"
            tar.addfile(entry, io.BytesIO(b""))
    return buffer.getvalue()


def test_check_mode_says_what_would_be_written_and_removed_and_does_neither(node, config_node):
    node.put("etc/hosts", "127.0.0.1 localhost\n")
    node.put("etc/drbd.d/half1.res", "old\n")
    before = node.contents()
    result = node.run(check_mode=True)
    assert result["changed"]
    assert result["files"] == node.paths(*FILES)
    assert result["removed"] == node.paths("etc/drbd.d/half1.res")
    assert node.contents() == before
    assert not (node.root / "root").exists()
    assert config_node.asked == [PATH]


def test_what_was_announced_is_what_is_done(node):
    node.put("etc/hosts", "127.0.0.1 localhost\n")
    node.put("etc/drbd.d/half1.res", "old\n")
    announced = node.run(check_mode=True)
    assert node.run() == announced
    assert node.contents() == FILES


@BOTH_MODES
def test_a_second_run_changes_nothing(node, check_mode):
    node.run()
    assert node.run(check_mode=check_mode) == {"changed": False, "files": [], "removed": [], "diff": []}
    assert node.contents() == FILES


@pytest.mark.parametrize("name", FILES)
def test_only_what_differs_is_written(node, config_node, name):
    node.run()
    others = {other: (node.root / other).stat().st_ino for other in FILES if other != name}
    permissions, text = FILES[name]
    config_node.publish({**FILES, name: (permissions, f"{text} changed")})
    assert node.run()["files"] == node.paths(name)
    assert (node.root / name).read_text() == f"{text} changed"
    assert {other: (node.root / other).stat().st_ino for other in others} == others


@BOTH_MODES
def test_other_permissions_are_a_difference(node, check_mode):
    node.run()
    (node.root / "etc/ssh/ssh_host_ed25519_key").chmod(0o644)
    result = node.run(check_mode=check_mode)
    assert result["files"] == node.paths("etc/ssh/ssh_host_ed25519_key")
    (diff,) = result["diff"]
    path = str(node.root / "etc/ssh/ssh_host_ed25519_key")
    assert (diff["before_header"], diff["after_header"]) == (f"{path} 0644", f"{path} 0600")
    assert mode(node.root / "etc/ssh/ssh_host_ed25519_key") == (0o644 if check_mode else 0o600)


def test_a_link_gives_way_to_a_file_and_what_it_leads_to_stays(node, tmp_path):
    (tmp_path / "elsewhere").write_text(FILES["etc/hosts"][1])
    (node.root / "etc").mkdir()
    (node.root / "etc/hosts").symlink_to(tmp_path / "elsewhere")
    result = node.run()
    assert str(node.root / "etc/hosts") in result["files"]
    assert shown(result)["hosts"][0] == f"-> {tmp_path}/elsewhere\n"
    assert not (node.root / "etc/hosts").is_symlink()
    assert (tmp_path / "elsewhere").read_text() == FILES["etc/hosts"][1]


def test_who_reads_a_file_meanwhile_reads_the_old_one(node):
    with node.put("etc/hosts", "old\n").open() as stream:
        node.run()
        assert stream.read() == "old\n"
    assert not list(node.root.rglob(".new-*"))


def test_directories_are_for_everybody_but_those_of_root(node):
    before = os.umask(0o077)
    try:
        node.run()
    finally:
        os.umask(before)
    made = {str(path.relative_to(node.root)): mode(path) for path in node.root.rglob("*") if path.is_dir()}
    assert made == {
        "etc": 0o755,
        "etc/corosync": 0o755,
        "etc/drbd.d": 0o755,
        "etc/ssh": 0o755,
        "root": 0o700,
        "root/.ssh": 0o700,
    }


def test_a_directory_that_is_there_stays_as_it_is(node):
    (node.root / "etc").mkdir(mode=0o711)
    node.run()
    assert mode(node.root / "etc") == 0o711


@BOTH_MODES
@pytest.mark.parametrize("name", ["etc/hostname", "etc/machine-id", "etc/bareroot/network", "etc/bareroot/node.json"])
@pytest.mark.parametrize("spelled", ["{}", "./{}"])
def test_what_counts_from_the_next_boot_is_left_alone(node, config_node, name, spelled, check_mode):
    node.run()
    config_node.publish({**FILES, spelled.format(name): (0o644, "new\n")})
    assert not node.run(check_mode=check_mode)["changed"]
    node.put(name, "old\n")
    assert not node.run(check_mode=check_mode)["changed"]
    assert (node.root / name).read_text() == "old\n"


@BOTH_MODES
@pytest.mark.parametrize("name", ["etc/drbd.d/half1.res", "etc/bareroot/half0.mac"])
@pytest.mark.parametrize("dangling", [True, False], ids=["link", "file"])
def test_our_files_that_are_no_longer_part_of_it_are_removed(node, name, dangling, check_mode):
    node.run()
    if dangling:
        (node.root / name).parent.mkdir(exist_ok=True)
        (node.root / name).symlink_to("nowhere")
    else:
        node.put(name, "old\n")
    result = node.run(check_mode=check_mode)
    assert (result["changed"], result["files"], result["removed"]) == (True, [], node.paths(name))
    assert shown(result)[os.path.basename(name)] == ("-> nowhere\n" if dangling else "old\n", "")
    assert os.path.lexists(node.root / name) is check_mode
    assert node.run()["changed"] is check_mode


@pytest.mark.parametrize(
    "name",
    [
        "etc/drbd.d/global_common.conf",
        "etc/drbd.d/other.res",
        "etc/drbd.conf",
        "etc/bareroot/another",
        "etc/corosync/corosync.conf",
        "etc/corosync/uidgid.d/bareroot",
        "etc/ssh/ssh_host_rsa_key",
        "etc/exports.d/site.exports",
        "root/.ssh/id_ed25519",
    ],
)
def test_files_of_others_are_left_alone(node, name):
    node.put(name, "mine\n")
    assert node.run()["removed"] == []
    assert (node.root / name).read_text() == "mine\n"


def test_the_diff_shows_what_everybody_may_read_and_a_digest_of_the_rest(node):
    node.put("etc/hosts", "old\n")
    node.put("etc/corosync/authkey", "old", 0o400)
    assert shown(node.run()) == {
        "hosts": ("old\n", FILES["etc/hosts"][1]),
        "half0.res": ("", FILES["etc/drbd.d/half0.res"][1]),
        "authkey": (f"{_personality.digest(b'old')}\n", f"{_personality.digest(PRIVATE.encode())}\n"),
        "ssh_host_ed25519_key": ("", f"{_personality.digest(PRIVATE.encode())}\n"),
        "authorized_keys": ("", f"{_personality.digest(FILES['root/.ssh/authorized_keys'][1].encode())}\n"),
    }


@pytest.mark.parametrize(("before", "after"), [(0o644, 0o600), (0o600, 0o644), (0o640, 0o640)])
def test_a_secret_on_either_side_is_never_shown(node, config_node, before, after):
    node.put("etc/corosync/authkey", PRIVATE, before)
    config_node.publish({"etc/corosync/authkey": (after, f"{PRIVATE} changed")})
    # run() looks for the secret in the result.
    assert shown(node.run()) == {
        "authkey": (f"{_personality.digest(PRIVATE.encode())}\n", f"{_personality.digest(f'{PRIVATE} changed'.encode())}\n")
    }


def test_a_secret_that_is_removed_is_not_shown(node, config_node):
    node.run()
    config_node.publish({name: file for name, file in FILES.items() if name != "etc/corosync/authkey"})
    result = node.run()
    assert result["removed"] == node.paths("etc/corosync/authkey")
    assert shown(result) == {"authkey": (f"{_personality.digest(PRIVATE.encode())}\n", "")}


def test_another_server_can_be_named(node, config_node):
    node.facts.write_text(json.dumps({"address": "10.0.0.2/24", "config_node": "127.0.0.1:9"}))
    assert node.run(server=config_node.address)["files"] == node.paths(*FILES)


@BOTH_MODES
@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (("/etc/hosts", tarfile.REGTYPE), OUTSIDE),
        (("../hosts", tarfile.REGTYPE), OUTSIDE),
        (("etc/../../hosts", tarfile.REGTYPE), OUTSIDE),
        (("etc/..", tarfile.DIRTYPE), OUTSIDE),
        (("etc/hosts", tarfile.SYMTYPE), NO_FILE),
        (("etc/hosts", tarfile.LNKTYPE), NO_FILE),
        (("etc/sda", tarfile.BLKTYPE), NO_FILE),
        (("etc/fifo", tarfile.FIFOTYPE), NO_FILE),
    ],
)
def test_an_entry_that_belongs_nowhere_below_the_root_is_refused_with_all_others(node, config_node, entry, reason, check_mode):
    node.put("etc/drbd.d/half1.res")
    before = node.contents()
    config_node.files[PATH] = packed(("etc/first", tarfile.REGTYPE), entry)
    result = node.run(check_mode=check_mode)
    assert result.get("failed")
    assert result["msg"] == f"cannot bring this node its personality: http://{config_node.address}{PATH}: it holds {entry[0]!r}, {reason}"
    assert node.contents() == before


@BOTH_MODES
@pytest.mark.parametrize(
    "damage",
    [lambda _data: b"", lambda data: data[:700], lambda data: b"\xff" * len(data), lambda _data: bytes(10240)],
    ids=["empty", "cut-off", "no-tar", "without-files"],
)
def test_a_damaged_personality_changes_nothing(node, config_node, damage, check_mode):
    node.run()
    node.put("etc/drbd.d/half1.res")
    before = node.contents()
    config_node.files[PATH] = damage(config_node.files[PATH])
    result = node.run(check_mode=check_mode)
    assert result["failed"]
    assert result["msg"].startswith(f"cannot bring this node its personality: http://{config_node.address}{PATH} is damaged: ")
    assert result["msg"].endswith("; run playbooks/boot_tree.yml")
    assert node.contents() == before


def test_an_answer_that_ends_early_changes_nothing(node, config_node):
    config_node.announced = len(config_node.files[PATH]) + 1
    result = node.run()
    assert result["failed"]
    assert result["msg"].startswith(f"cannot bring this node its personality: http://{config_node.address}{PATH}: IncompleteRead")
    assert node.contents() == {}


@BOTH_MODES
def test_a_personality_that_is_not_served_is_named_with_what_to_do(node, config_node, check_mode):
    config_node.files.clear()
    result = node.run(check_mode=check_mode)
    assert result["failed"]
    assert result["msg"] == (
        f"cannot bring this node its personality: http://{config_node.address}{PATH}: HTTP Error 404: Not Found; "
        "is this node in the inventory, has playbooks/boot_tree.yml been run?"
    )


def test_a_server_that_does_not_answer_is_named(node):
    result = node.run(server="127.0.0.1:9")
    assert result["failed"]
    assert result["msg"].startswith(f"cannot bring this node its personality: http://127.0.0.1:9{PATH}: ")
    assert "Connection refused" in result["msg"]


@BOTH_MODES
@pytest.mark.parametrize("facts", [None, "", "{}", "[]", '{"address": "sn1"}'], ids=["missing", "empty", "without", "list", "no-address"])
def test_a_machine_that_does_not_know_its_address_asks_for_nothing(node, config_node, facts, check_mode):
    if facts is None:
        node.facts.unlink()
    else:
        node.facts.write_text(facts)
    result = node.run(check_mode=check_mode)
    assert result["failed"]
    assert str(node.facts) in result["msg"]
    assert config_node.asked == []


@BOTH_MODES
def test_a_directory_in_a_files_place_is_an_error_before_anything_is_written(node, check_mode):
    (node.root / "root/.ssh/authorized_keys").mkdir(parents=True)
    result = node.run(check_mode=check_mode)
    assert result["failed"]
    assert str(node.root / "root/.ssh/authorized_keys") in result["msg"]
    assert node.contents() == {}
