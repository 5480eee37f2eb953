from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from plugins.module_utils._runner import Runner
from plugins.modules import instance_volumes
from tests.unit.interrupted import Interruptible

BOTH_MODES = pytest.mark.parametrize("check_mode", [True, False], ids=["check", "real"])
MIB = 1 << 20
GIB = 1 << 30
POOL_SIZE = 40 * GIB
HALF0, HALF1 = "bareroot_half0", "bareroot_half1"
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----"
SEED = {"meta-data": '{"instance-id": "1"}\n', "user-data": f"#cloud-config\n{KEY} ä\n"}
OTHER_SEED = {**SEED, "meta-data": '{"instance-id": "2"}\n'}
LESS_SEED = {"user-data": SEED["user-data"]}
# What writes a seed of two files.
WRITE = ["truncate", "mkfs.vfat", "mcopy", "mcopy", "dd"]


@dataclass
class Lv:
    """A thin volume as LVM has it. files: text of each file on it, None for a directory; None where there is no file system."""

    group: str = HALF0
    size: int = 4 * GIB
    origin: str = ""
    tags: set[str] = field(default_factory=set)
    files: dict[str, str | None] | None = None


class StorageNode(Interruptible):
    """A machine with two halves. What its export units serve is what the tags said when each was started."""

    def __init__(self, run_module, commands, directory):
        self.used = {HALF0: 10.0, HALF1: 20.0}
        self.lvs = {"tpl": Lv()}
        self.serving = {}
        # The size that each of them had when its unit was started.
        self.served_size = {}
        self.fail_at = None
        self.directory = directory
        self.commands = commands
        self._run_module = run_module
        self._images = {}
        for program in ("lvcreate", "lvextend", "lvchange", "lvremove"):
            commands.answer(program, with_=self._or_interrupted(self._change))
        commands.answer("lvs", with_=self._report)
        commands.answer("systemctl", with_=self._or_interrupted(self._systemctl))
        commands.answer("truncate", with_=self._or_interrupted(self._truncate))
        commands.answer("mkfs.vfat", with_=self._or_interrupted(self._format))
        commands.answer("mcopy", with_=self._or_interrupted(self._copy))
        commands.answer("dd", with_=self._or_interrupted(self._write))

    def add(self, name, address="", active=True, **lv):
        tags = {"bareroot.export.aoe", f"bareroot.address.{address}"} if address else set()
        self.lvs[name] = Lv(**lv, tags={"of.someone.else", *tags})
        if address and active:
            self._serve(name)

    def _serve(self, name):
        self.serving[name] = self.tagged(name)
        self.served_size[name] = self.lvs[name].size

    def tagged(self, name):
        """Return the address that a volume is recorded to be exported at."""
        tags = self.lvs[name].tags if name in self.lvs else set()
        return "".join(tag.removeprefix("bareroot.address.") for tag in tags if tag.startswith("bareroot.address."))

    def _report(self, argv):
        asked = argv[argv.index("--options") + 1].split(",")
        there = [(key.partition("@")[0], lv) for key, lv in self.lvs.items()]
        rows = [(name, lv.group, lv.size, lv.origin, "pool", "3.00", "", ",".join(sorted(lv.tags))) for name, lv in there]
        rows += [("pool", group, POOL_SIZE, "", "", f"{percent:.2f}", "3.70", "") for group, percent in self.used.items()]
        names = ("lv_name", "vg_name", "lv_size", "origin", "pool_lv", "data_percent", "metadata_percent", "lv_tags")
        found = [dict(zip(names, map(str, row), strict=True)) for row in rows]
        return 0, json.dumps({"report": [{"lv": [{key: row[key] for key in asked} for row in found]}], "log": []}), ""

    def _key(self, group, name):
        """Return where a volume is kept; of two of one name, that of half1 has @half1 behind it."""
        copy = f"{name}@{group.removeprefix('bareroot_')}"
        return copy if copy in self.lvs else name

    def _change(self, argv):
        program, *words = argv
        option = {word: words[index + 1] for index, word in enumerate(words[:-1]) if word.startswith("--")}
        group, _slash, name = words[-1].partition("/")
        if program == "lvcreate":
            made = option["--name"]
            assert made not in self.lvs
            if "--snapshot" in words:
                origin = self.lvs[self._key(group, name)]
                assert origin.group == group
                self.lvs[made] = Lv(group, origin.size, name)
            else:
                assert ("--thin" in words, name, group in self.used) == (True, "pool", True)
                self.lvs[made] = Lv(group, self._bytes(option["--virtualsize"]))
            return 0, "", ""
        name = self._key(group, name)
        lv = self.lvs[name]
        assert lv.group == group
        if program == "lvextend":
            size = self._bytes(option["--size"])
            assert size > lv.size
            lv.size = size
        elif program == "lvremove":
            if name in self.serving:
                return 5, "", f"  Logical volume {words[-1]} in use.\n"
            del self.lvs[name]
        else:
            pairs = list(zip(words[:-1:2], words[1:-1:2], strict=True))
            lv.tags -= {tag for verb, tag in pairs if verb == "--deltag"}
            lv.tags |= {tag for verb, tag in pairs if verb == "--addtag"}
        return 0, "", ""

    @staticmethod
    def _bytes(text):
        assert text.endswith("b")
        return int(text.removesuffix("b"))

    def _systemctl(self, argv):
        _program, verb, *units = argv
        names = [unit.removeprefix("bareroot-aoe@volume-").removesuffix(".service") for unit in units]
        if verb == "is-active":
            states = ["active" if name in self.serving else "inactive" for name in names]
            return (0 if "active" in states else 3), "".join(f"{state}\n" for state in states), ""
        if verb == "stop":
            for name in names:
                self.serving.pop(name, None)
            return 0, "", ""
        assert verb in ("start", "try-reload-or-restart")
        for name in [name for name in names if (name in self.serving) is (verb == "try-reload-or-restart")]:
            assert "bareroot.export.aoe" in self.lvs[name].tags
            # An instance that attaches it finds it whole.
            assert not name.endswith("-seed") or self.lvs[name].files is not None
            self._serve(name)
        return 0, "", ""

    def _device(self, path):
        _root, dev, group, name = path.split("/")
        assert (dev, self.lvs[name].group) == ("dev", group)
        return self.lvs[name]

    def _truncate(self, argv):
        _program, size, image = argv
        assert size == f"--size={4 * MIB}"
        assert Path(image).parent.stat().st_mode & 0o777 == 0o700
        Path(image).touch()
        self._images[image] = None
        return 0, "", ""

    def _format(self, argv):
        assert argv[argv.index("-n") + 1] == "CIDATA"
        assert self._images[argv[-1]] is None
        self._images[argv[-1]] = {}
        return 0, "", ""

    def _copy(self, argv):
        option, device_or_image = argv[-4:-2]
        assert option == "-i"
        if device_or_image.startswith("/dev/"):
            return self._read(self._device(device_or_image).files, Path(argv[-1]))
        source, target = Path(argv[-2]), argv[-1]
        assert target == "::/"
        assert source.stat().st_mode & 0o777 == 0o600
        self._images[device_or_image][source.name] = source.read_text(encoding="utf-8")
        return 0, "", ""

    @staticmethod
    def _read(files, directory):
        if files is None:
            return 1, "", "init :: non DOS media\nCannot initialize '::'\n"
        if not files:
            return 1, "", "File '::/*' not found\n"
        for name, text in files.items():
            if text is None:
                (directory / name).mkdir()
            else:
                (directory / name).write_text(text, encoding="utf-8")
        return 0, "", ""

    def _write(self, argv):
        option = dict(word.split("=", 1) for word in argv[1:])
        assert option["conv"] == "fsync"
        self._device(option["of"]).files = dict(self._images[option["if"]])
        return 0, "", ""

    def set_up(self, case):
        """Set up what there is in one of the cases; return what is asked for, what it takes, the seeds that it writes."""
        there, asked, takes, seeds = CHANGES[case]
        for name, how in there.items():
            self.add(name, **how)
        return web1(**asked), takes, seeds

    def run(self, *instances, check_mode=False):
        self.commands.calls.clear()
        result = self._run_module(instance_volumes, {"instances": list(instances)}, check_mode=check_mode, diff=True)
        # Neither what is returned nor what is left shows a key.
        assert KEY not in json.dumps(result)
        assert list(self.directory.iterdir()) == []
        return result

    def state(self):
        return {name: asdict(lv) for name, lv in self.lvs.items()}, dict(self.serving)

    @property
    def changes(self):
        reads = (["lvs"], ["systemctl", "is-active"], ["mcopy", "-n"])
        return [call.argv for call in self.commands.calls if not any(call.argv[: len(read)] == read for read in reads)]

    @property
    def done(self):
        """Return what was changed, each command by its first word, systemctl by its verb."""
        return [argv[1] if argv[0] == "systemctl" else argv[0] for argv in self.changes]


@pytest.fixture
def node(run_module, commands, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return StorageNode(run_module, commands, tmp_path)


def web1(name="web1", **options):
    common = {"template": "tpl", "root_address": "1.0", "seed_address": "1.1", "seed": SEED}
    return {"name": name, **common, **options}


def web2(**options):
    return web1(**{"name": "web2", "root_address": "1.2", "seed_address": "1.3", **options})


ROOT = {"address": "1.0", "origin": "tpl"}
FILES = {"address": "1.1", "size": 4 * MIB, "files": SEED}
THERE = {"web1-root": ROOT, "web1-seed": FILES}
TEMPLATE = "debian-0123456789abcdef"
COPIES = {TEMPLATE: {}, f"{TEMPLATE}@half1": {"group": HALF1, "size": 2 * GIB}}
NEW_SEED = ["lvcreate", "lvchange"]
MOVED = ["stop", "lvchange"]
GROWN = ["lvchange", "lvextend", "try-reload-or-restart", "lvchange"]

# What there is, what is asked for, what it takes, the seeds that are written.
CHANGES = {
    "new": ({}, {}, ["lvcreate", "lvchange", *NEW_SEED, *WRITE, "start"], ["web1-seed"]),
    "new-and-larger": ({}, {"size": "6G"}, ["lvcreate", "lvextend", "lvchange", *NEW_SEED, *WRITE, "start"], ["web1-seed"]),
    "new-in-the-fuller-half": (
        {"tpl": {"group": HALF1}},
        {},
        ["lvcreate", "lvchange", *NEW_SEED, *WRITE, "start"],
        ["web1-seed"],
    ),
    "seed-is-missing": ({"web1-root": {**ROOT, "group": HALF1}}, {}, [*NEW_SEED, *WRITE, "start"], ["web1-seed"]),
    "root-is-missing": ({"web1-seed": FILES}, {}, ["lvcreate", "lvchange", "start"], []),
    "seed-differs": (THERE, {"seed": OTHER_SEED}, WRITE, ["web1-seed"]),
    "seed-has-a-file-too-many": (
        THERE,
        {"seed": LESS_SEED},
        ["truncate", "mkfs.vfat", "mcopy", "dd"],
        ["web1-seed"],
    ),
    "seed-has-a-file-too-few": ({**THERE, "web1-seed": {**FILES, "files": LESS_SEED}}, {}, WRITE, ["web1-seed"]),
    "seed-is-empty": ({**THERE, "web1-seed": {**FILES, "files": {}}}, {}, WRITE, ["web1-seed"]),
    "seed-is-unreadable": ({**THERE, "web1-seed": {**FILES, "files": None}}, {}, WRITE, ["web1-seed"]),
    "larger": (THERE, {"size": "6G"}, GROWN, []),
    "larger-and-seed-differs": (THERE, {"size": "6G", "seed": OTHER_SEED}, [*GROWN, *WRITE], ["web1-seed"]),
    "larger-and-down": ({**THERE, "web1-root": {**ROOT, "active": False}}, {"size": "6G"}, [*GROWN, "start"], []),
    "root-at-another-address": (THERE, {"root_address": "2.7"}, [*MOVED, "start"], []),
    "both-at-other-addresses": (THERE, {"root_address": "2.7", "seed_address": "2.8"}, [*MOVED, *MOVED, "start"], []),
    "not-exported": (
        {"web1-root": {**ROOT, "address": ""}, "web1-seed": {**FILES, "address": ""}},
        {},
        ["lvchange", "lvchange", "start"],
        [],
    ),
    "units-are-down": ({"web1-root": {**ROOT, "active": False}, "web1-seed": {**FILES, "active": False}}, {}, ["start"], []),
    "one-unit-is-down": ({"web1-root": ROOT, "web1-seed": {**FILES, "active": False}}, {}, ["start"], []),
}
EVERY_CHANGE = pytest.mark.parametrize("case", CHANGES)


@EVERY_CHANGE
def test_check_mode_says_what_would_be_done_and_only_reads(node, case):
    asked, takes, seeds = node.set_up(case)
    before = node.state()
    result = node.run(asked, check_mode=True)
    assert result["changed"]
    assert result["seeds"] == seeds
    commands = [argv[1] if argv[0] == "systemctl" else argv[0] for argv in result["commands"]]
    assert commands == [step for step in takes if step not in WRITE]
    lines = [*(" ".join(argv) for argv in result["commands"]), *(f"write {name}" for name in seeds)]
    assert result["diff"] == {"before": "", "after": "".join(f"{line}\n" for line in lines)}
    assert node.changes == []
    assert node.state() == before


@EVERY_CHANGE
def test_what_was_announced_is_done_and_gives_the_instance_its_volumes(node, case):
    asked, takes, _seeds = node.set_up(case)
    before = node.state()[0]
    announced = node.run(asked, check_mode=True)
    assert node.run(asked) == announced
    assert node.done == takes
    root, seed = node.lvs["web1-root"], node.lvs["web1-seed"]
    assert root.origin == "tpl"
    assert root.size == {"6G": 6 * GIB}.get(asked.get("size"), 4 * GIB)
    assert seed.size == 4 * MIB
    assert (seed.files, seed.origin) == (asked["seed"], "")
    # A seed that is made lies where its root is.
    assert seed.group == (before["web1-seed"]["group"] if "web1-seed" in before else root.group)
    assert node.serving == {"web1-root": asked["root_address"], "web1-seed": asked["seed_address"]}
    assert {name: node.tagged(name) for name in node.serving} == node.serving
    assert {name: node.lvs[name].size for name in node.serving} == {name: node.served_size[name] for name in node.serving}
    assert node.lvs.keys() == {"tpl", "web1-root", "web1-seed"}
    assert node.state()[0]["tpl"] == before["tpl"]


@EVERY_CHANGE
@BOTH_MODES
def test_a_second_run_changes_nothing_and_only_reads(node, case, check_mode):
    asked, _takes, _seeds = node.set_up(case)
    node.run(asked)
    before = node.state()
    result = node.run(asked, check_mode=check_mode)
    assert result == {"changed": False, "commands": [], "seeds": [], "diff": {"before": "", "after": ""}}
    assert node.changes == []
    assert node.state() == before


# Every point of every run at which it can be interrupted: before a step has had its effect and after.
POINTS = [
    pytest.param(case, number, when, id=f"{case}-{when}-{number}-{step}")
    for case, (_there, _asked, takes, _seeds) in CHANGES.items()
    for number, step in enumerate(takes)
    for when in ("before", "after")
]


@pytest.mark.parametrize(("case", "number", "when"), POINTS)
def test_an_interrupted_run_is_made_up_for_by_the_next(node, case, number, when):
    asked, takes, _seeds = node.set_up(case)
    node.fail_at = (number, when)
    assert node.run(asked)["failed"]
    assert node.done == takes[: number + 1]
    # Otherwise what serves it could not be found any more, and another volume could be given the address.
    assert {name: node.tagged(name) for name in node.serving} == node.serving
    node.fail_at = None
    assert not node.run(asked).get("failed")
    assert node.serving == {"web1-root": asked["root_address"], "web1-seed": asked["seed_address"]}
    assert node.lvs["web1-seed"].files == asked["seed"]
    assert node.lvs["web1-root"].size == {"6G": 6 * GIB}.get(asked.get("size"), 4 * GIB)
    assert {name: node.lvs[name].size for name in node.serving} == {name: node.served_size[name] for name in node.serving}
    assert not node.run(asked)["changed"]


@BOTH_MODES
@pytest.mark.parametrize("name", ["made", "meta-data"], ids=["beside-the-files", "in-place-of-a-file"])
def test_a_seed_on_which_someone_made_a_directory_is_written_again(node, name, check_mode):
    node.run(web1())
    node.lvs["web1-seed"].files[name] = None
    assert node.run(web1(), check_mode=check_mode)["seeds"] == ["web1-seed"]
    assert (node.lvs["web1-seed"].files == SEED) is not check_mode


def test_all_instances_are_looked_at_with_one_command_and_started_with_one(node):
    node.run(web1(), web2())
    assert node.done == [*["lvcreate", "lvchange"] * 4, *WRITE, *WRITE, "start"]
    assert node.serving == {"web1-root": "1.0", "web1-seed": "1.1", "web2-root": "1.2", "web2-seed": "1.3"}
    assert [node.lvs[name].files for name in ("web1-seed", "web2-seed")] == [SEED, SEED]
    assert not node.run(web1(), web2())["changed"]
    assert node.commands.programs == ["lvs", "systemctl", "mcopy", "mcopy"]


@pytest.mark.parametrize(("half", "group"), [("", HALF0), ("half0", HALF0), ("half1", HALF1)])
def test_both_volumes_go_to_the_half_that_is_given_or_where_room_is(node, half, group):
    for name, how in COPIES.items():
        node.add(name, **how)
    asked = web1(template=TEMPLATE, half=half)
    announced = node.run(asked, check_mode=True)
    assert node.run(asked) == announced
    assert (node.lvs["web1-root"].group, node.lvs["web1-root"].origin, node.lvs["web1-seed"].group) == (group, TEMPLATE, group)
    assert not node.run(asked)["changed"]


def test_each_instance_goes_to_its_half(node):
    for name, how in COPIES.items():
        node.add(name, **how)
    node.run(web1(template=TEMPLATE, half="half1"), web2(template=TEMPLATE, half="half0"))
    assert {name: node.lvs[name].group for name in ("web1-root", "web1-seed", "web2-root", "web2-seed")} == {
        "web1-root": HALF1,
        "web1-seed": HALF1,
        "web2-root": HALF0,
        "web2-seed": HALF0,
    }


@pytest.mark.parametrize("half", ["", "half0", "half1"])
@BOTH_MODES
def test_what_is_there_stays_in_its_half_whatever_half_is_given(node, half, check_mode):
    node.run(web1())
    before = node.state()
    assert not node.run(web1(half=half), check_mode=check_mode)["changed"]
    assert node.state() == before


@BOTH_MODES
def test_a_half_without_the_template_is_refused_before_anything_is_changed(node, check_mode):
    before = node.state()
    result = node.run(web2(), web1(half="half1"), check_mode=check_mode)
    assert result["failed"]
    assert result["msg"] == "template tpl of web1-root is in half0, not in half1; a clone lies where its template is"
    assert node.state() == before


def test_check_mode_expects_the_template_in_the_half_that_template_volumes_announced(node):
    node.add(TEMPLATE)
    before = node.state()
    result = node.run(web1(template=TEMPLATE, half="half1"), check_mode=True)
    assert not result.get("failed"), result["msg"]
    made = [argv[-1] for argv in result["commands"] if argv[0] == "lvcreate"]
    assert made == [f"{HALF1}/{TEMPLATE}", f"{HALF1}/pool"]
    assert node.state() == before


def test_a_new_instance_leaves_the_others_as_they_are(node):
    node.run(web1())
    before = node.state()
    result = node.run(web1(), web2())
    assert result["seeds"] == ["web2-seed"]
    assert "web1" not in json.dumps(result)
    lvs, serving = node.state()
    assert {name: lvs[name] for name in before[0]} == before[0]
    assert {name: serving[name] for name in before[1]} == before[1]


@pytest.mark.parametrize("template", ["newer", "gone", ""])
def test_a_template_means_nothing_to_a_root_that_exists(node, template):
    node.add("newer", size=5 * GIB)
    node.run(web1())
    assert not node.run(web1(template=template))["changed"]


@pytest.mark.parametrize("options", [{}, {"name": "web1", "size": "6G", "root_address": "1.0", "seed_address": "1.1"}], ids=["new", "grow"])
@BOTH_MODES
def test_a_half_that_is_nearly_full_takes_nothing_more(node, options, check_mode):
    node.run(web1())
    node.used[HALF0] = 96.0
    before = node.state()
    result = node.run(web2(**options), check_mode=check_mode)
    assert result["failed"]
    assert result["msg"].startswith(f"half0 has no room for {options.get('name', 'web2')}-root: 1638 MiB of its 40960 MiB are free")
    assert node.state() == before
    assert not node.run(web1())["changed"]
    assert node.run({"name": "web1", "state": "absent"})["changed"]


@pytest.mark.parametrize("left", ["web1-root.new", "web1-root.old"])
@BOTH_MODES
def test_an_instance_whose_rollback_was_interrupted_is_only_removed(node, left, check_mode):
    node.run(web1())
    node.add(left)
    before = node.state()
    result = node.run(web2(), web1(), check_mode=check_mode)
    assert result["failed"]
    assert result["msg"] == f"a rollback of web1-root was interrupted and left {left}: run the module volume_rollback again"
    assert node.state() == before
    assert node.run({"name": "web1", "state": "absent"}, check_mode=check_mode)["changed"]
    assert (node.lvs.keys() == {"tpl"}) is not check_mode


def test_snapshots_outlive_an_instance(node):
    node.run(web1())
    node.add("before-upgrade", origin="web1-root")
    assert not node.run(web1())["changed"]
    node.run({"name": "web1", "state": "absent"})
    assert node.lvs.keys() == {"tpl", "before-upgrade"}


def test_an_address_that_one_gives_up_goes_to_the_next_in_the_same_run(node):
    node.run(web1())
    node.run(web1(root_address="2.0"), web2(root_address="1.0"))
    assert node.serving == {"web1-root": "2.0", "web1-seed": "1.1", "web2-root": "1.0", "web2-seed": "1.3"}
    node.run({"name": "web1", "state": "absent"}, web2(root_address="2.0"))
    assert node.serving == {"web2-root": "2.0", "web2-seed": "1.3"}


@pytest.mark.parametrize("exported", [True, False], ids=["exported", "plain"])
@BOTH_MODES
def test_absent_stops_the_exports_and_removes_the_volumes_and_no_others(node, exported, check_mode):
    node.run(web2())
    kept = node.state()
    for name, how in THERE.items():
        node.add(name, **(how if exported else {**how, "address": ""}))
    before = node.state()
    result = node.run({"name": "web1", "state": "absent"}, check_mode=check_mode)
    assert result["changed"]
    assert result["commands"] == [
        *([["systemctl", "stop", "bareroot-aoe@volume-web1-root.service"]] if exported else []),
        ["lvremove", "--yes", f"{HALF0}/web1-root"],
        *([["systemctl", "stop", "bareroot-aoe@volume-web1-seed.service"]] if exported else []),
        ["lvremove", "--yes", f"{HALF0}/web1-seed"],
    ]
    assert result["seeds"] == []
    assert node.changes == ([] if check_mode else result["commands"])
    assert node.state() == (before if check_mode else kept)


@BOTH_MODES
def test_what_is_absent_stays_absent(node, check_mode):
    node.run(web1())
    node.run({"name": "web1", "state": "absent"})
    assert node.state() == ({"tpl": asdict(Lv())}, {})
    result = node.run({"name": "web1", "state": "absent"}, check_mode=check_mode)
    assert result == {"changed": False, "commands": [], "seeds": [], "diff": {"before": "", "after": ""}}
    assert node.changes == []


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interrupted_removal_is_made_up_for_by_the_next(node, number, when):
    node.run(web1())
    node.fail_at = (number, when)
    assert node.run({"name": "web1", "state": "absent"})["failed"]
    node.fail_at = None
    node.run({"name": "web1", "state": "absent"})
    assert node.state() == ({"tpl": asdict(Lv())}, {})


def test_without_instances_nothing_changes(node):
    assert node.run() == {"changed": False, "commands": [], "seeds": [], "diff": {"before": "", "after": ""}}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"size": "3G"}, "size 3G of web2-root is less than the 4096 MiB that it has", id="smaller-than-the-template"),
        pytest.param({"size": "10"}, "size '10': write a number and M, G or T, such as 10G", id="size"),
        pytest.param(
            {"root_address": "1.0"}, "address 1.0 of web2-root belongs to web1-root; give web2-root another", id="root-address-taken"
        ),
        pytest.param({"seed_address": "1.0"}, "address 1.0 of web2-seed belongs to web1-root", id="seed-address-taken"),
        pytest.param({"seed_address": "5.5"}, "address 5.5 of web2-seed belongs to other", id="address-of-another-volume"),
        pytest.param({"seed_address": "1.2"}, "address 1.2 of web2-seed belongs to web2-root", id="one-address-for-both"),
        pytest.param(
            {"root_address": ""}, "address of web2-root is missing: an export needs a shelf.slot such as 1.0", id="no-root-address"
        ),
        pytest.param({"seed_address": ""}, "address of web2-seed is missing", id="no-seed-address"),
        pytest.param({"root_address": "1000.0"}, "address '1000.0' of web2-root: write shelf.slot", id="address-of-images"),
        pytest.param({"name": "No"}, "volume name 'No-root': use lower-case letters, digits and inner hyphens", id="name"),
        pytest.param({"name": "a" * 60}, "volume name", id="name-long"),
        pytest.param({"state": "gone"}, "gone", id="state"),
        pytest.param({"half": "half2"}, "half2", id="half"),
    ],
)
@pytest.mark.parametrize("first", ["new", "there"])
@BOTH_MODES
def test_what_cannot_be_is_refused_before_anything_is_changed_for_any(node, options, message, first, check_mode):
    node.add("other", address="5.5")
    if first == "there":
        node.run(web1())
    before = node.state()
    result = node.run(web1(seed=OTHER_SEED), web2(**options), check_mode=check_mode)
    assert result["failed"]
    assert message in result["msg"]
    assert node.changes == []
    assert node.state() == before


def test_a_template_that_is_not_there_is_refused_before_anything_is_changed_for_any(node):
    before = node.state()
    result = node.run(web1(), web2(template="gone"))
    assert result["failed"]
    assert result["msg"] == "template gone of web2-root is no volume here; volumes are: tpl, web1-root, web1-seed"
    assert node.changes == []
    assert node.state() == before


@pytest.mark.parametrize("template", ["debian-0123456789abcdef", "debian-0000000000000000"], ids=["not-fetched", "not-published"])
def test_check_mode_expects_the_template_that_template_volumes_announced(node, template):
    before = node.state()
    result = node.run(web1(template=template), check_mode=True)
    assert not result.get("failed"), result["msg"]
    assert result["changed"]
    assert result["seeds"] == ["web1-seed"]
    assert node.changes == []
    assert node.state() == before


@BOTH_MODES
def test_a_new_root_without_a_template_is_refused_since_nothing_would_be_on_it(node, check_mode):
    before = node.state()
    result = node.run(web1(template=""), check_mode=check_mode)
    assert result["failed"]
    assert "template" in result["msg"]
    assert "web1" in result["msg"]
    assert node.changes == []
    assert node.state() == before


@BOTH_MODES
def test_a_root_is_never_made_smaller(node, check_mode):
    node.run(web1(size="6G"))
    before = node.state()
    result = node.run(web1(size="5G", seed=OTHER_SEED), check_mode=check_mode)
    assert result["failed"]
    assert result["msg"] == "size 5G of web1-root is less than the 6144 MiB that it has: volumes are never made smaller"
    assert node.changes == []
    assert node.state() == before


@BOTH_MODES
def test_without_a_half_there_is_no_template(node, check_mode):
    node.used, node.lvs = {}, {}
    result = node.run(web1(), check_mode=check_mode)
    assert result["failed"]
    assert result["msg"] == "template tpl of web1-root is no volume here; volumes are: none"
    assert node.changes == []


@pytest.mark.parametrize(
    ("case", "failing"),
    [
        ("new-and-larger", "lvs"),
        ("new-and-larger", "lvcreate"),
        ("new-and-larger", "lvextend"),
        ("new-and-larger", "lvchange"),
        ("new-and-larger", "truncate"),
        ("new-and-larger", "mkfs.vfat"),
        ("new-and-larger", "mcopy"),
        ("new-and-larger", "dd"),
        ("new-and-larger", "systemctl start"),
        ("both-at-other-addresses", "systemctl is-active"),
        ("both-at-other-addresses", "systemctl stop"),
    ],
)
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param((5, "", "  WARNING: x\n  Insufficient free space\n"), "exit code 5:   Insufficient free space", id="fails"),
        pytest.param((127, "", "timeout: failed to run command"), "exit code 127: timeout: failed to run command", id="missing"),
        pytest.param((124, "", ""), " s, or killed", id="too-long"),
    ],
)
def test_a_program_that_fails_is_named_and_nothing_is_run_after_it(node, case, failing, answer, reason):
    asked, _takes, _seeds = node.set_up(case)
    node.commands.answer(*failing.split(), with_=answer)
    result = node.run(asked)
    assert result["failed"]
    assert result["msg"].startswith(f"cannot give the instances their volumes: {failing} ")
    assert result["msg"].endswith(reason)
    assert " ".join(node.commands.calls[-1].argv).startswith(failing)
    assert (result["rc"], result["stderr"]) == (answer[0], answer[2])


@BOTH_MODES
@pytest.mark.parametrize("answer", [(127, "", "timeout: failed to run command"), (124, "", "")], ids=["missing", "too-long"])
def test_a_seed_that_could_not_be_looked_at_is_not_taken_for_another(node, answer, check_mode):
    node.run(web1())
    node.commands.answer("mcopy", "-n", with_=answer)
    result = node.run(web1(), check_mode=check_mode)
    assert result["failed"]
    assert result["msg"].startswith("cannot give the instances their volumes: mcopy -n ")
    assert node.changes == []


def really_run(args, **_options):
    found = subprocess.run(args, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return found.returncode, found.stdout, found.stderr


def test_a_seed_that_was_really_written_is_found_and_no_other_is(tmp_path):
    for program, package in (("mkfs.vfat", "dosfstools"), ("mcopy", "mtools")):
        assert shutil.which(program), f"{program} is missing: install {package}, as `make unit` does"
    runner = Runner(SimpleNamespace(run_command=really_run))
    device = tmp_path / "device"
    device.touch()
    os.truncate(device, 4 * MIB)
    files = {**SEED, "network-config": "0123456789abcdef\r\n" * 4096, "without-end": "\n\n\r", "nothing": ""}
    seed = instance_volumes.Seed(runner, files)
    assert not seed.is_on(str(device))
    seed.write(str(device))
    assert device.stat().st_size == 4 * MIB
    # Where FAT has the label that cloud-init looks for.
    assert device.read_bytes()[43:54] == b"CIDATA     "
    assert seed.is_on(str(device))
    first = device.read_bytes()
    smaller = {name: text for name, text in files.items() if name != "nothing"}
    for other in ({**files, "user-data": "#cloud-config\n{}\n"}, {**files, "more": ""}, smaller, {}):
        assert not instance_volumes.Seed(runner, other).is_on(str(device))
    instance_volumes.Seed(runner, smaller).write(str(device))
    assert instance_volumes.Seed(runner, smaller).is_on(str(device))
    assert not seed.is_on(str(device))
    assert device.read_bytes() != first
