from __future__ import annotations

import hashlib
import json
import os
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from plugins.module_utils import _served
from plugins.modules import template_volumes

BOTH_MODES = pytest.mark.parametrize("check_mode", [True, False], ids=["check", "real"])
DEBIAN = "debian-0123456789abcdef"
NEWER = "debian-fedcba9876543210"
OTHER = "other-0123456789abcdef"
NOT_PUBLISHED = "debian-0000000000000000"
CURRENT = "/images/current.json"
UNFINISHED = "bareroot.unfinished"
MIB = 1 << 20
POOL_SIZE = 40 << 30
STEPS = ["lvcreate", "zstd", "blockdev", "lvchange"]


class ConfigNode:
    """What a ConfigNode serves, over HTTP on this machine. A number in place of data is an answer with that status."""

    def __init__(self):
        self.files = {}
        self.asked = []
        config_node = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                config_node.asked.append(self.path)
                found = config_node.files.get(self.path, 404)
                status, data = (found, b"") if isinstance(found, int) else (200, found)
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

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
        """Serve these images too, each the newest of its kind."""
        current = json.loads(self.files.get(CURRENT, b"{}"))
        for name in names:
            data = packed(name)
            manifest = {"files": {"disk.zst": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}}, "disk_size": 64 * MIB}
            self.files[f"/images/{name}/disk.zst"] = data
            self.files[f"/images/{name}/manifest.json"] = json.dumps({"name": name, **manifest}).encode()
            current[name.partition("-")[0]] = name
        self.files[CURRENT] = json.dumps(current).encode()


def packed(name):
    return f"packed {name}".encode()


@dataclass
class Lv:
    """A thin volume as LVM has it, and what was written to it; safe once that is on the disk."""

    group: str = "bareroot_half0"
    size: int = 64 * MIB
    tags: set[str] = field(default_factory=set)
    data: bytes = b""
    safe: bool = False


class StorageNode:
    """A machine with two halves and a directory on a disk. A volume that is not tagged as unfinished is whole, at every moment."""

    def __init__(self, directory, config_node, run_module, commands):
        self.directory = directory
        self.config_node = config_node
        self.used = {"bareroot_half0": 10.0, "bareroot_half1": 20.0}
        self.lvs = {"web1-root": Lv(data=b"of an instance")}
        self.fail_at = None
        self.commands = commands
        self._run_module = run_module
        directory.mkdir()
        commands.answer("lvs", with_=self._report)
        for program, run in (
            ("lvcreate", self._create),
            ("zstd", self._unpack),
            ("blockdev", self._flush),
            ("lvchange", self._untag),
            ("lvremove", self._remove),
        ):
            commands.answer(program, with_=self._or_interrupted(run))

    def _or_interrupted(self, program):
        def answer(argv):
            number, when = self.fail_at or (None, "")
            now = len(self.done) - 1 == number
            if now and when == "before":
                return 5, "", f"{argv[0]} was interrupted"
            answered = program(argv)
            self.check()
            return (137, "", "") if now else answered

        return answer

    def check(self):
        for name, lv in self.lvs.items():
            whole = f"unpacked {name.partition('@')[0]}".encode()
            assert UNFINISHED in lv.tags or name == "web1-root" or (lv.data, lv.safe) == (whole, True)

    def _report(self, argv):
        asked = argv[argv.index("--options") + 1].split(",")
        there = [(key.partition("@")[0], lv) for key, lv in self.lvs.items()]
        rows = [(name, lv.group, lv.size, "pool", "3.00", "", ",".join(sorted(lv.tags))) for name, lv in there]
        rows += [("pool", group, POOL_SIZE, "", f"{percent:.2f}", "3.70", "") for group, percent in self.used.items()]
        names = ("lv_name", "vg_name", "lv_size", "pool_lv", "data_percent", "metadata_percent", "lv_tags")
        found = [{"origin": "", **dict(zip(names, map(str, row), strict=True))} for row in rows]
        return 0, json.dumps({"report": [{"lv": [{key: row[key] for key in asked} for row in found]}], "log": []}), ""

    def _create(self, argv):
        option = {word: argv[index + 1] for index, word in enumerate(argv[:-1]) if word.startswith("--")}
        group, _slash, pool = argv[-1].partition("/")
        assert ("--thin" in argv, pool, group in self.used) == (True, "pool", True)
        name = option["--name"]
        assert group not in [lv.group for key, lv in self.lvs.items() if key.partition("@")[0] == name]
        # The second of a name has its half behind it.
        key = f"{name}@{group.removeprefix('bareroot_')}" if name in self.lvs else name
        assert option["--virtualsize"].endswith("b")
        self.lvs[key] = Lv(group, int(option["--virtualsize"].removesuffix("b")), {option["--addtag"], "of.someone.else"})
        return 0, "", ""

    def _key(self, full_name):
        group, name = full_name.split("/")
        (key,) = [key for key, lv in self.lvs.items() if (key.partition("@")[0], lv.group) == (name, group)]
        return key

    def _lv(self, device):
        assert device.startswith("/dev/")
        return self.lvs[self._key(device.removeprefix("/dev/"))]

    def _unpack(self, argv):
        assert {"--decompress", "--force"} <= set(argv)
        lv = self._lv(argv[argv.index("-o") + 1])
        lv.data, lv.safe = Path(argv[argv.index("-o") - 1]).read_bytes().replace(b"packed", b"unpacked"), False
        return 0, "", ""

    def _flush(self, argv):
        assert argv[:2] == ["blockdev", "--flushbufs"]
        self._lv(argv[2]).safe = True
        return 0, "", ""

    def _untag(self, argv):
        _program, verb, tag, full_name = argv
        assert verb == "--deltag"
        self._lv(f"/dev/{full_name}").tags.remove(tag)
        return 0, "", ""

    def _remove(self, argv):
        assert UNFINISHED in self._lv(f"/dev/{argv[-1]}").tags
        del self.lvs[self._key(argv[-1])]
        return 0, "", ""

    def run(self, *templates, check_mode=False, **options):
        self.commands.calls.clear()
        self.config_node.asked.clear()
        asked = [{"template": item} if isinstance(item, str) else item for item in templates]
        params = {"templates": asked, "server": self.config_node.address, "directory": str(self.directory), **options}
        result = self._run_module(template_volumes, params, check_mode=check_mode, diff=True)
        self.check()
        # Whatever happened, what was fetched takes no room any more.
        assert list(self.directory.glob("*")) == list(self.directory.glob(".*")) == []
        return result

    @property
    def done(self):
        return [program for program in self.commands.programs if program != "lvs"]

    @property
    def templates(self):
        """Return the names of the volumes that are whole."""
        return {name for name, lv in self.lvs.items() if UNFINISHED not in lv.tags and name != "web1-root"}


@pytest.fixture
def config_node(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    server = ConfigNode()
    yield server
    server.close()


@pytest.fixture
def node(tmp_path, config_node, run_module, commands, monkeypatch):
    monkeypatch.setattr(os.path, "ismount", lambda path: path == str(tmp_path / "images"))
    return StorageNode(tmp_path / "images", config_node, run_module, commands)


def asked_for(*names):
    return [f"/images/{name}/{file}" for name in names for file in ("manifest.json", "disk.zst")]


@pytest.mark.parametrize(
    ("template", "current", "name"),
    [
        pytest.param("debian", {"debian": DEBIAN, "other": OTHER}, DEBIAN, id="kind"),
        pytest.param(NEWER, {"debian": DEBIAN}, NEWER, id="image"),
        pytest.param(DEBIAN, {}, DEBIAN, id="image-and-nothing-published"),
    ],
)
@BOTH_MODES
def test_a_template_means_an_image(template, current, name, check_mode):
    assert template_volumes.resolve(template, current, check_mode) == name


@pytest.mark.parametrize(("current", "there"), [({}, "none"), ({"xen": "x", "other": "o"}, "other, xen")], ids=["nothing", "others"])
def test_a_kind_that_is_not_published_is_an_error_but_in_check_mode(current, there):
    assert template_volumes.resolve("debian", current, check_mode=True) == NOT_PUBLISHED
    with pytest.raises(ValueError, match=f"^there is no template debian; there is: {there}. Run playbooks/images.yml$"):
        template_volumes.resolve("debian", current, check_mode=False)


@pytest.mark.parametrize("template", ["", "Debian", "debian-12", "debian\n", f"{DEBIAN}\n", f"../{DEBIAN}", "debian/..", "-f", "debian "])
@BOTH_MODES
def test_what_is_neither_a_kind_nor_an_image_is_refused(template, check_mode):
    with pytest.raises(ValueError, match="use a kind such as debian, or an image's name such as debian-0123456789abcdef") as refused:
        template_volumes.resolve(template, {template: DEBIAN}, check_mode)
    assert str(refused.value).startswith(f"template {template!r}: ")


def test_check_mode_says_what_would_be_fetched_and_only_reads(node, config_node):
    config_node.publish(DEBIAN, OTHER)
    result = node.run("debian", "other", check_mode=True)
    assert result == {
        "changed": True,
        "templates": {"debian": DEBIAN, "other": OTHER},
        "fetched": [DEBIAN, OTHER],
        "diff": {"before": "", "after": f"half0/{DEBIAN}\nhalf0/{OTHER}\n"},
    }
    assert config_node.asked == [CURRENT]
    assert node.done == []


def test_check_mode_works_before_anything_is_published(node, config_node):
    result = node.run("debian", check_mode=True)
    assert (result["changed"], result["templates"], result["fetched"]) == (True, {"debian": NOT_PUBLISHED}, [NOT_PUBLISHED])
    assert config_node.asked == [CURRENT]
    assert node.done == []


def test_what_was_announced_is_fetched(node, config_node):
    config_node.publish(DEBIAN, OTHER)
    announced = node.run("debian", "other", check_mode=True)
    assert node.run("debian", "other") == announced
    assert node.done == STEPS * 2
    assert config_node.asked == [CURRENT, *asked_for(DEBIAN, OTHER)]
    assert node.templates == {DEBIAN, OTHER}
    assert node.lvs[DEBIAN] == Lv(size=64 * MIB, tags={"of.someone.else"}, data=f"unpacked {DEBIAN}".encode(), safe=True)
    assert node.lvs["web1-root"] == Lv(data=b"of an instance")


def test_a_template_goes_to_the_half_with_most_room(node, config_node):
    config_node.publish(DEBIAN)
    node.used["bareroot_half0"] = 20.01
    node.run("debian")
    assert node.lvs[DEBIAN].group == "bareroot_half1"


def in_half(half, template="debian"):
    return {"template": template, "half": half}


BOTH = [in_half("half0"), in_half("half1")]
AFTER_BOTH = f"half0/{DEBIAN}\nhalf1/{DEBIAN}\n"


def halves(node, name=DEBIAN):
    """Return the halves that have all of a template."""
    found = [lv.group for key, lv in node.lvs.items() if key.partition("@")[0] == name and UNFINISHED not in lv.tags]
    return sorted(group.removeprefix("bareroot_") for group in found)


def test_a_template_goes_to_the_half_that_is_given(node, config_node):
    config_node.publish(DEBIAN)
    announced = node.run(in_half("half1"), check_mode=True)
    assert announced["diff"] == {"before": "", "after": f"half1/{DEBIAN}\n"}
    assert node.run(in_half("half1")) == announced
    assert halves(node) == ["half1"]
    # It is there, whatever half has the most room.
    assert not node.run("debian")["changed"]


def test_an_image_is_fetched_once_for_both_halves(node, config_node):
    config_node.publish(DEBIAN)
    announced = node.run(*BOTH, check_mode=True)
    assert announced == {
        "changed": True,
        "templates": {"debian": DEBIAN},
        "fetched": [DEBIAN],
        "diff": {"before": "", "after": AFTER_BOTH},
    }
    assert node.run(*BOTH) == announced
    assert config_node.asked == [CURRENT, *asked_for(DEBIAN)]
    assert node.done == STEPS * 2
    assert halves(node) == ["half0", "half1"]
    assert not node.run(*BOTH)["changed"]
    assert node.commands.programs == ["lvs"]


def test_a_second_half_gets_its_copy_and_the_first_is_left_alone(node, config_node):
    config_node.publish(DEBIAN)
    node.run("debian")
    result = node.run(*BOTH)
    assert (result["fetched"], result["diff"]) == ([DEBIAN], {"before": f"half0/{DEBIAN}\n", "after": AFTER_BOTH})
    assert node.done == STEPS
    assert halves(node) == ["half0", "half1"]


def test_any_half_is_no_further_half(node, config_node):
    config_node.publish(DEBIAN)
    node.run("debian", in_half("half1", DEBIAN))
    assert halves(node) == ["half1"]


@pytest.mark.parametrize("number", range(2 * len(STEPS)))
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interrupted_run_for_both_halves_is_made_up_for_by_the_next(node, config_node, number, when):
    config_node.publish(DEBIAN)
    node.fail_at = (number, when)
    assert node.run(*BOTH)["failed"]
    whole = (number + (when == "after")) // len(STEPS)
    assert halves(node) == ["half0", "half1"][:whole]
    node.fail_at = None
    node.run(*BOTH)
    assert node.done.count("zstd") == 2 - whole
    assert halves(node) == ["half0", "half1"]
    assert not node.run(*BOTH)["changed"]


@pytest.mark.parametrize("asked", [[in_half("half0")], ["debian"]], ids=["half0", "any"])
def test_an_unfinished_copy_in_one_half_is_none_and_the_whole_one_in_the_other_counts(node, config_node, asked):
    config_node.publish(DEBIAN)
    node.run(in_half("half0"))
    node.lvs[f"{DEBIAN}@half1"] = Lv("bareroot_half1", tags={UNFINISHED}, data=b"unpa")
    assert not node.run(*asked)["changed"]
    assert node.run(in_half("half1"))["fetched"] == [DEBIAN]
    assert node.done == ["lvremove", *STEPS]
    assert halves(node) == ["half0", "half1"]


@BOTH_MODES
def test_a_half_that_is_elsewhere_is_refused_before_anything_is_fetched(node, config_node, check_mode):
    config_node.publish(DEBIAN)
    del node.used["bareroot_half1"]
    result = node.run(*BOTH, check_mode=check_mode)
    assert result["failed"]
    assert result["msg"] == "cannot have the templates here: half1 is not active here; active are: half0"
    assert (config_node.asked, node.done) == ([CURRENT], [])


@BOTH_MODES
def test_a_half_that_is_nearly_full_is_refused_before_anything_is_fetched(node, config_node, check_mode):
    config_node.publish(DEBIAN, OTHER)
    node.run(OTHER)
    node.used["bareroot_half0"] = 96.0
    result = node.run(in_half("half0"), check_mode=check_mode)
    assert result["failed"]
    assert result["msg"].startswith(f"cannot have the templates here: half0 has no room for {DEBIAN}: 1638 MiB of its 40960 MiB are free")
    assert (config_node.asked, node.done) == ([CURRENT], [])
    # What is there is there, and the other half has room.
    assert not node.run(in_half("half0", OTHER))["changed"]
    assert node.run("debian")["fetched"] == [DEBIAN]


def test_the_server_is_by_default_the_one_that_this_node_booted_from(node, config_node, tmp_path, monkeypatch):
    config_node.publish(DEBIAN)
    (tmp_path / "node.json").write_text(json.dumps({"name": "sn1", "config_node": config_node.address}))
    monkeypatch.setattr(_served, "NODE_FACTS", str(tmp_path / "node.json"))
    assert node.run("debian", server=None)["fetched"] == [DEBIAN]


@BOTH_MODES
def test_a_second_run_changes_nothing_and_fetches_nothing(node, config_node, check_mode):
    config_node.publish(DEBIAN, OTHER)
    node.run("debian", OTHER)
    result = node.run("debian", OTHER, check_mode=check_mode)
    assert result == {
        "changed": False,
        "templates": {"debian": DEBIAN, OTHER: OTHER},
        "fetched": [],
        "diff": {"before": f"half0/{DEBIAN}\nhalf0/{OTHER}\n", "after": f"half0/{DEBIAN}\nhalf0/{OTHER}\n"},
    }
    assert config_node.asked == [CURRENT]
    assert node.commands.programs == ["lvs"]


def test_a_kind_and_its_image_are_one_volume(node, config_node):
    config_node.publish(DEBIAN)
    result = node.run("debian", DEBIAN, "debian")
    assert (result["templates"], result["fetched"]) == ({"debian": DEBIAN, DEBIAN: DEBIAN}, [DEBIAN])
    assert node.done == STEPS


def test_a_newer_image_is_another_volume_and_the_older_stays(node, config_node):
    config_node.publish(DEBIAN)
    node.run("debian")
    config_node.publish(NEWER)
    result = node.run("debian")
    assert (result["templates"], result["fetched"]) == ({"debian": NEWER}, [NEWER])
    assert node.templates == {DEBIAN, NEWER}
    assert not node.run(DEBIAN)["changed"]


def test_an_image_that_is_here_need_not_be_published_any_more(node, config_node):
    config_node.publish(DEBIAN)
    node.run("debian")
    config_node.files.clear()
    assert not node.run(DEBIAN)["changed"]


@pytest.mark.parametrize("number", range(len(STEPS)))
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interrupted_run_is_made_up_for_by_the_next(node, config_node, number, when):
    config_node.publish(DEBIAN)
    node.fail_at = (number, when)
    assert node.run("debian")["failed"]
    assert node.done == STEPS[: number + 1]
    node.fail_at = None
    is_there = (number, when) != (0, "before")
    is_whole = (number, when) == (3, "after")
    result = node.run("debian")
    assert result["changed"] is not is_whole
    assert result["templates"] == {"debian": DEBIAN}
    assert node.done == ([] if is_whole else [*(["lvremove"] if is_there else []), *STEPS])
    assert node.templates == {DEBIAN}
    assert not node.run("debian")["changed"]


@BOTH_MODES
def test_an_unfinished_volume_does_not_count(node, config_node, check_mode):
    config_node.publish(DEBIAN, OTHER)
    node.run("other")
    node.lvs[DEBIAN] = Lv("bareroot_half1", tags={UNFINISHED}, data=b"unpa")
    result = node.run("debian", "other", check_mode=check_mode)
    assert result["fetched"] == [DEBIAN]
    assert result["diff"] == {"before": f"half0/{OTHER}\n", "after": f"half0/{DEBIAN}\nhalf0/{OTHER}\n"}
    assert node.done == ([] if check_mode else ["lvremove", *STEPS])
    assert node.templates == ({OTHER} if check_mode else {DEBIAN, OTHER})


def test_an_unfinished_volume_of_another_template_is_left_alone(node, config_node):
    config_node.publish(DEBIAN)
    node.lvs[OTHER] = Lv(tags={UNFINISHED})
    node.run("debian")
    assert node.lvs[OTHER] == Lv(tags={UNFINISHED})


@pytest.mark.parametrize("served", [b"", b"packed", packed(OTHER)], ids=["empty", "cut-off", "changed"])
def test_an_image_with_another_digest_is_no_volume(node, config_node, served):
    config_node.publish(DEBIAN)
    config_node.files[f"/images/{DEBIAN}/disk.zst"] = served
    result = node.run("debian")
    assert result["failed"]
    expected, found = (hashlib.sha256(data).hexdigest() for data in (packed(DEBIAN), served))
    assert f"{DEBIAN} has the digest {found} instead of {expected}: is it damaged on the ConfigNode?" in result["msg"]
    assert node.done == []
    assert node.lvs.keys() == {"web1-root"}
    config_node.publish(DEBIAN)
    assert node.run("debian")["fetched"] == [DEBIAN]


def test_a_damaged_image_does_not_make_an_unfinished_volume_whole(node, config_node):
    config_node.publish(DEBIAN)
    config_node.files[f"/images/{DEBIAN}/disk.zst"] = b"damaged"
    node.lvs[DEBIAN] = Lv(tags={UNFINISHED})
    assert node.run("debian")["failed"]
    assert node.templates == set()


@pytest.mark.parametrize("templates", [["Debian"], ["debian", "../debian"], [""]], ids=["upper-case", "path", "empty"])
@BOTH_MODES
def test_a_template_that_cannot_be_is_refused_before_anything_is_fetched(node, config_node, templates, check_mode):
    config_node.publish(DEBIAN)
    result = node.run(*templates, check_mode=check_mode)
    assert result["failed"]
    assert result["msg"].startswith(f"cannot have the templates here: template {templates[-1]!r}: use a kind such as debian")
    assert config_node.asked in ([], [CURRENT])
    assert node.done == []


def test_a_kind_that_is_not_published_is_named_with_those_that_are(node, config_node):
    config_node.publish(OTHER)
    result = node.run("debian")
    assert result["failed"]
    expected = "there is no template debian; there is: other. Run playbooks/images.yml"
    assert result["msg"] == f"cannot have the templates here: {expected}"
    assert node.done == []


def test_an_image_that_is_not_published_is_named(node, config_node):
    config_node.publish(DEBIAN)
    result = node.run(NEWER)
    assert result["failed"]
    assert result["msg"].startswith(f"cannot have the templates here: template {NEWER} is not published on the ConfigNode: ")
    assert node.done == []


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param(b"{}", id="empty"),
        pytest.param(b"[]", id="list"),
        pytest.param(b'{"files": {"root.squashfs": {}}}', id="of-a-node"),
        pytest.param(
            json.dumps({"files": {"disk.zst": {"sha256": hashlib.sha256(packed(DEBIAN)).hexdigest()}}}).encode(),
            id="no-disk-size",
        ),
    ],
)
def test_an_image_that_is_no_disk_is_an_error_that_names_it(node, config_node, manifest):
    config_node.publish(DEBIAN)
    config_node.files[f"/images/{DEBIAN}/manifest.json"] = manifest
    result = node.run("debian")
    assert result["failed"]
    assert DEBIAN in result["msg"]
    assert node.done == []


@pytest.mark.parametrize("data", [b"", b'{"debian', b"\xff\xfe\xff"], ids=["empty", "cut-off", "binary"])
@BOTH_MODES
def test_a_list_of_images_that_cannot_be_read_is_an_error(node, config_node, data, check_mode):
    config_node.files[CURRENT] = data
    result = node.run("debian", check_mode=check_mode)
    assert result["failed"]
    assert result["msg"].startswith("cannot have the templates here: ")
    assert node.done == []


@pytest.mark.parametrize(
    "current",
    [[], None, {"debian": "../debian"}, {"debian": 5}],
    ids=["list", "null", "path", "number"],
)
@BOTH_MODES
def test_a_list_that_names_no_images_is_an_error(node, config_node, current, check_mode):
    config_node.files[CURRENT] = json.dumps(current).encode()
    result = node.run("debian", check_mode=check_mode)
    assert result["failed"]
    assert result["msg"].startswith("cannot have the templates here: ")
    assert "current.json" in result["msg"]
    assert config_node.asked == [CURRENT]
    assert node.done == []


@pytest.mark.parametrize("status", [403, 500])
@BOTH_MODES
def test_a_server_that_fails_is_not_taken_for_one_that_has_published_nothing(node, config_node, status, check_mode):
    config_node.files[CURRENT] = status
    result = node.run("debian", check_mode=check_mode)
    assert result["failed"]
    assert f"HTTP Error {status}" in result["msg"]
    assert node.done == []


@BOTH_MODES
def test_a_server_that_does_not_answer_is_an_error(node, check_mode):
    result = node.run("debian", server="127.0.0.1:1", check_mode=check_mode)
    assert result["failed"]
    assert result["msg"].startswith("cannot have the templates here: ")
    assert "refused" in result["msg"]


@pytest.mark.parametrize("server", ["127.0.0.1:port", "127.0.0.1 ", "[127.0.0.1", "127.0.0.1:-1"])
def test_a_server_that_cannot_be_is_an_error(node, server):
    result = node.run("debian", server=server)
    assert result["failed"]
    assert result["msg"].startswith("cannot have the templates here: ")


def test_a_machine_that_no_config_node_booted_needs_a_server(node, tmp_path, monkeypatch):
    monkeypatch.setattr(_served, "NODE_FACTS", str(tmp_path / "node.json"))
    result = node.run("debian", server=None)
    assert result["failed"]
    assert str(tmp_path / "node.json") in result["msg"]


def test_without_a_half_there_is_no_room(node, config_node):
    config_node.publish(DEBIAN)
    node.used, node.lvs = {}, {}
    result = node.run("debian")
    assert result["failed"]
    assert "no half is active here: is bareroot-storage.service running" in result["msg"]
    assert node.done == []


def test_without_its_directory_it_fails_naming_it(node, config_node, tmp_path):
    config_node.publish(DEBIAN)
    result = node.run("debian", directory=str(tmp_path / "missing"))
    assert result["failed"]
    assert str(tmp_path / "missing") in result["msg"]
    assert node.done == []


def test_a_volume_is_written_with_time_enough(node, config_node):
    config_node.publish(DEBIAN)
    node.run("debian")
    assert [call.timeout for call in node.commands.calls if call.argv[0] in ("zstd", "blockdev")] == [1800, 1800]


@pytest.mark.parametrize("failing", ["lvs", *STEPS])
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param((5, "", "  WARNING: x\n  Insufficient free space\n"), "exit code 5:   Insufficient free space", id="fails"),
        pytest.param((127, "", "timeout: failed to run command"), "exit code 127: timeout: failed to run command", id="missing"),
        pytest.param((124, "", ""), " s, or killed", id="too-long"),
    ],
)
def test_a_program_that_fails_is_named_and_nothing_is_run_after_it(node, config_node, failing, answer, reason):
    config_node.publish(DEBIAN)
    node.commands.answer(failing, with_=answer)
    result = node.run("debian")
    assert result["failed"]
    assert result["msg"].startswith(f"cannot have the templates here: {failing} ")
    assert result["msg"].endswith(reason)
    assert node.commands.programs[-1] == failing
    assert (result["rc"], result["stderr"]) == (answer[0], answer[2])
    assert node.templates == set()


def test_nothing_is_unpacked_where_no_disk_is_mounted(node, config_node, monkeypatch):
    config_node.publish(DEBIAN)
    monkeypatch.setattr(os.path, "ismount", lambda _path: False)
    result = node.run("debian")
    assert "is not mounted" in result["msg"]
    assert node.done == []
