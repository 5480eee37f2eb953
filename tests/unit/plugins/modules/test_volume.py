from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field

import pytest

from plugins.modules import volume, volume_info
from tests.unit.interrupted import Interruptible

BOTH_MODES = pytest.mark.parametrize("check_mode", [True, False], ids=["check", "real"])
MIB = 1 << 20
GIB = 1 << 30
POOL_SIZE = 40 * GIB


@dataclass
class Lv:
    """A thin volume as LVM has it."""

    group: str = "bareroot_half0"
    size: int = 4 * GIB
    origin: str = ""
    tags: set[str] = field(default_factory=set)


class StorageNode(Interruptible):
    """A machine with two halves. What its export units serve is what the tags said when each was started."""

    def __init__(self, run_module, commands):
        self.used = {"bareroot_half0": 10.0, "bareroot_half1": 20.0}
        self.metadata = {"bareroot_half0": 3.7, "bareroot_half1": 0.25}
        self.lvs = {}
        self.serving = {}
        # The size that each of them had when its unit was started.
        self.served_size = {}
        self.fail_at = None
        self.commands = commands
        self._run_module = run_module
        for program in ("lvcreate", "lvextend", "lvchange", "lvremove"):
            commands.answer(program, with_=self._or_interrupted(self._change))
        commands.answer("lvs", with_=self._report)
        commands.answer("systemctl", with_=self._or_interrupted(self._systemctl))

    def add(self, name, address="", active=True, export="aoe", **lv):
        tags = {f"bareroot.export.{export}", f"bareroot.address.{address}"} if address else set()
        self.lvs[name] = Lv(**{**lv, "tags": {"of.someone.else", *tags, *lv.get("tags", ())}})
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
        assert {"--nosuffix", "--units", "b"} <= set(argv)
        there = [(key.partition("@")[0], lv) for key, lv in self.lvs.items()]
        rows = [(name, lv.group, lv.size, lv.origin, "pool", "3.00", "", ",".join(sorted(lv.tags))) for name, lv in there]
        rows += [("pool", group, POOL_SIZE, "", "", f"{percent:.2f}", self.metadata[group], "") for group, percent in self.used.items()]
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
        _program, verb, unit = argv
        export, name = re.fullmatch(r"bareroot-(aoe|nvme)@volume-(.+)\.service", unit).groups()
        is_tagged = name in self.lvs and f"bareroot.export.{export}" in self.lvs[name].tags
        if verb == "is-active":
            return (0, "active\n", "") if name in self.serving and is_tagged else (3, "inactive\n", "")
        assert is_tagged
        if verb == "stop":
            self.serving.pop(name, None)
            return 0, "", ""
        assert verb in ("start", "try-reload-or-restart")
        if (name in self.serving) is (verb == "try-reload-or-restart"):
            self._serve(name)
        return 0, "", ""

    def set_up(self, case):
        """Set up what there is in one of the cases; return what is asked for, the volume afterwards, what it takes."""
        there, asked, after, takes = CHANGES[case]
        for name, how in there.items():
            self.add(name, **how)
        return asked, after, takes

    def run(self, name="web1", check_mode=False, **options):
        self.commands.calls.clear()
        return self._run_module(volume, {"name": name, **options}, check_mode=check_mode, diff=True)

    def state(self):
        return {name: asdict(lv) for name, lv in self.lvs.items()}, {name: self.served_size[name] for name in self.serving}

    @property
    def changes(self):
        return [call.argv for call in self.commands.calls if call.argv[0] != "lvs" and call.argv[1] != "is-active"]

    @property
    def done(self):
        """Return what was changed, each command by its first word, systemctl by its verb."""
        return [argv[1] if argv[0] == "systemctl" else argv[0] for argv in self.changes]


@pytest.fixture
def node(run_module, commands):
    return StorageNode(run_module, commands)


def described(name="web1", half="half0", size=4 * GIB, **others):
    known = {"name": name, "half": half, "size": size, "template": "", "address": "", "device": f"/dev/bareroot_{half}/{name}"}
    return {**known, "export": "aoe" if others.get("address") else "", **others}


# What it takes to grow a volume that is exported.
GROWN = ["lvchange", "lvextend", "try-reload-or-restart", "lvchange"]
# What there is, what is asked for, the volume afterwards, what it takes.
CHANGES = {
    "new": ({}, {"size": "4G"}, described(), ["lvcreate"]),
    "new-exported": (
        {},
        {"size": "4G", "export": "aoe", "address": "1.0"},
        described(address="1.0"),
        ["lvcreate", "lvchange", "start"],
    ),
    "new-of-odd-size": ({}, {"size": "5M"}, described(size=8 * MIB), ["lvcreate"]),
    "clone": (
        {"tpl": {"group": "bareroot_half1"}},
        {"template": "tpl"},
        described(half="half1", template="tpl"),
        ["lvcreate"],
    ),
    "clone-of-equal-size": ({"tpl": {}}, {"template": "tpl", "size": "4G"}, described(template="tpl"), ["lvcreate"]),
    "clone-grown-and-exported": (
        {"tpl": {}},
        {"template": "tpl", "size": "5G", "export": "aoe", "address": "1.0"},
        described(template="tpl", size=5 * GIB, address="1.0"),
        ["lvcreate", "lvextend", "lvchange", "start"],
    ),
    "clone-of-an-exported-one": (
        {"tpl": {"address": "1.0"}},
        {"template": "tpl", "export": "aoe", "address": "1.1"},
        described(template="tpl", address="1.1"),
        ["lvcreate", "lvchange", "start"],
    ),
    "new-in-the-half-that-is-given": ({}, {"size": "4G", "half": "half1"}, described(half="half1"), ["lvcreate"]),
    "clone-of-a-template-in-both-halves": (
        {"debian-0123456789abcdef": {}, "debian-0123456789abcdef@half1": {"group": "bareroot_half1", "size": 2 * GIB}},
        {"template": "debian-0123456789abcdef"},
        described(template="debian-0123456789abcdef"),
        ["lvcreate"],
    ),
    "clone-in-the-half-that-is-given": (
        {"debian-0123456789abcdef": {}, "debian-0123456789abcdef@half1": {"group": "bareroot_half1", "size": 2 * GIB}},
        {"template": "debian-0123456789abcdef", "half": "half1", "size": "3G"},
        described(half="half1", template="debian-0123456789abcdef", size=3 * GIB),
        ["lvcreate", "lvextend"],
    ),
    "grow-in-its-half-whatever-half-is-given": (
        {"web1": {}},
        {"size": "6G", "half": "half1"},
        described(size=6 * GIB),
        ["lvextend"],
    ),
    "grow": ({"web1": {}}, {"size": "6G"}, described(size=6 * GIB), ["lvextend"]),
    "grow-while-exported": (
        {"web1": {"address": "1.0"}},
        {"size": "6G", "export": "aoe", "address": "1.0"},
        described(size=6 * GIB, address="1.0"),
        GROWN,
    ),
    "grow-of-one-that-is-down": (
        {"web1": {"address": "1.0", "active": False}},
        {"size": "6G", "export": "aoe", "address": "1.0"},
        described(size=6 * GIB, address="1.0"),
        [*GROWN, "start"],
    ),
    "grow-and-address-changed": (
        {"web1": {"address": "1.0"}},
        {"size": "6G", "export": "aoe", "address": "2.7"},
        described(size=6 * GIB, address="2.7"),
        [*GROWN, "stop", "lvchange", "start"],
    ),
    "grow-and-export-off": ({"web1": {"address": "1.0"}}, {"size": "6G"}, described(size=6 * GIB), [*GROWN, "stop", "lvchange"]),
    "grow-and-export-on": (
        {"web1": {}},
        {"size": "6G", "export": "aoe", "address": "1.0"},
        described(size=6 * GIB, address="1.0"),
        ["lvextend", "lvchange", "start"],
    ),
    "grown-and-not-restarted": (
        {"web1": {"address": "1.0", "tags": {"bareroot.grown"}}},
        {"export": "aoe", "address": "1.0"},
        described(address="1.0"),
        ["try-reload-or-restart", "lvchange"],
    ),
    "grown-not-restarted-and-export-off": (
        {"web1": {"address": "1.0", "tags": {"bareroot.grown"}}},
        {},
        described(),
        ["try-reload-or-restart", "lvchange", "stop", "lvchange"],
    ),
    "export-on-after-an-interrupted-rollback": (
        {"web1": {"tags": {"bareroot.address.1.0", "bareroot.paused.nvme"}}},
        {"export": "aoe", "address": "1.0"},
        described(address="1.0"),
        ["lvchange", "start"],
    ),
    "export-elsewhere-after-an-interrupted-rollback": (
        {"web1": {"tags": {"bareroot.address.1.0", "bareroot.paused.aoe"}}},
        {"export": "aoe", "address": "1.1"},
        described(address="1.1"),
        ["lvchange", "start"],
    ),
    "export-on": (
        {"web1": {"group": "bareroot_half1"}},
        {"export": "aoe", "address": "1.0"},
        described(half="half1", address="1.0"),
        ["lvchange", "start"],
    ),
    "new-exported-by-nvme": (
        {},
        {"size": "4G", "export": "nvme", "address": "1.0"},
        described(address="1.0", export="nvme"),
        ["lvcreate", "lvchange", "start"],
    ),
    "grow-while-exported-by-nvme": (
        {"web1": {"address": "1.0", "export": "nvme"}},
        {"size": "6G", "export": "nvme", "address": "1.0"},
        described(size=6 * GIB, address="1.0", export="nvme"),
        GROWN,
    ),
    "exported-by-nvme-from-now-on": (
        {"web1": {"address": "1.0"}},
        {"export": "nvme", "address": "1.0"},
        described(address="1.0", export="nvme"),
        ["stop", "lvchange", "start"],
    ),
    "address-changed": (
        {"web1": {"address": "1.0"}},
        {"export": "aoe", "address": "2.7"},
        described(address="2.7"),
        ["stop", "lvchange", "start"],
    ),
    "address-changed-of-one-that-is-down": (
        {"web1": {"address": "1.0", "active": False}},
        {"export": "aoe", "address": "2.7"},
        described(address="2.7"),
        ["stop", "lvchange", "start"],
    ),
    "export-off": ({"web1": {"address": "1.0"}}, {}, described(), ["stop", "lvchange"]),
    "export-off-with-an-address": ({"web1": {"address": "1.0"}}, {"address": "1.0"}, described(), ["stop", "lvchange"]),
    "unit-is-down": (
        {"web1": {"address": "1.0", "active": False}},
        {"export": "aoe", "address": "1.0"},
        described(address="1.0"),
        ["start"],
    ),
}
EVERY_CHANGE = pytest.mark.parametrize("case", CHANGES)


@EVERY_CHANGE
def test_check_mode_says_what_would_be_and_only_reads(node, case):
    asked, after, _takes = node.set_up(case)
    before = node.state()
    result = node.run(**asked, check_mode=True)
    assert result["changed"]
    assert result["volumes"] == [after]
    assert json.loads(result["diff"]["after"]) == after
    assert node.changes == []
    assert node.state() == before


def assert_served(node, after):
    """Assert that the volume is served where it is to be, with all of its size."""
    served = {name: (address, node.served_size[name]) for name, address in node.serving.items() if name == "web1"}
    assert served == ({"web1": (after["address"], after["size"])} if after["address"] else {})


@EVERY_CHANGE
def test_what_was_announced_is_what_is_there_and_served_afterwards(node, case):
    asked, after, takes = node.set_up(case)
    others = {name: state for name, state in node.state()[0].items() if name != "web1"}
    announced = node.run(**asked, check_mode=True)
    assert node.run(**asked) == announced
    assert node.done == takes
    assert {name: state for name, state in node.state()[0].items() if name != "web1"} == others
    assert_served(node, after)
    (found,) = [found for found in node._run_module(volume_info, {})["volumes"] if found["name"] == "web1"]
    assert found == after


@EVERY_CHANGE
@BOTH_MODES
def test_a_second_run_changes_nothing_and_only_reads(node, case, check_mode):
    asked, after, _takes = node.set_up(case)
    node.run(**asked)
    result = node.run(**asked, check_mode=check_mode)
    assert not result["changed"]
    assert result["volumes"] == [after]
    assert result["diff"]["before"] == result["diff"]["after"]
    assert node.changes == []


# Every point of every run at which it can be interrupted: before a step has had its effect and after.
POINTS = [
    pytest.param(case, number, when, id=f"{case}-{when}-{step}")
    for case, (_there, _asked, _after, takes) in CHANGES.items()
    for number, step in enumerate(takes)
    for when in ("before", "after")
]


@pytest.mark.parametrize(("case", "number", "when"), POINTS)
def test_an_interrupted_run_is_made_up_for_by_the_next(node, case, number, when):
    asked, after, takes = node.set_up(case)
    node.fail_at = (number, when)
    assert node.run(**asked)["failed"]
    assert node.done == takes[: number + 1]
    # Otherwise what serves it could not be found any more, and another volume could be given the address.
    assert {name: node.tagged(name) for name in node.serving} == node.serving
    node.fail_at = None
    result = node.run(**asked)
    assert result["volumes"] == [after]
    assert node.done == takes[len(takes) - len(node.done) :]
    assert_served(node, after)
    assert node.lvs["web1"].tags <= {"of.someone.else", f"bareroot.export.{after['export']}", f"bareroot.address.{after['address']}"}
    assert not node.run(**asked)["changed"]


def test_a_new_volume_goes_to_the_half_with_most_room(node):
    node.used["bareroot_half0"] = 20.01
    assert node.run(size="1G")["volumes"][0]["half"] == "half1"


def test_tags_of_others_are_left_alone(node):
    node.add("web1", address="1.0")
    node.run(export="aoe", address="1.1")
    node.run()
    assert node.lvs["web1"].tags == {"of.someone.else"}


@pytest.mark.parametrize("template", ["tpl", "gone", "web1"])
def test_a_template_means_nothing_to_a_volume_that_exists(node, template):
    node.add("tpl")
    node.add("web1", size=GIB)
    result = node.run(template=template)
    assert not result["changed"]
    assert result["volumes"][0]["template"] == ""


@pytest.mark.parametrize("address", ["", "1.0"], ids=["plain", "exported"])
@BOTH_MODES
def test_absent_removes_it_and_its_export_first(node, address, check_mode):
    node.add("other", address="1.1")
    node.add("web1", address=address)
    before = node.state()
    result = node.run(state="absent", check_mode=check_mode)
    assert result["changed"]
    assert result["volumes"] == []
    assert (json.loads(result["diff"]["before"]), result["diff"]["after"]) == (described(address=address), "")
    if check_mode:
        assert node.changes == []
        assert node.state() == before
    else:
        assert node.done == (["stop", "lvremove"] if address else ["lvremove"])
        assert node.lvs.keys() == {"other"}
        assert node.serving == {"other": "1.1"}


@pytest.mark.parametrize("options", [{"export": "aoe"}, {"address": "65535.x"}], ids=["missing", "malformed"])
@BOTH_MODES
def test_absent_needs_no_address(node, options, check_mode):
    node.add("web1", address="1.0")
    result = node.run(state="absent", **options, check_mode=check_mode)
    assert not result.get("failed")
    assert (result["changed"], result["volumes"]) == (True, [])
    assert ("web1" in node.lvs) is check_mode


@BOTH_MODES
@pytest.mark.parametrize("name", ["web1", "pool", "No Name"])
def test_what_is_absent_stays_absent(node, name, check_mode):
    node.add("web1")
    node.run(state="absent")
    result = node.run(name, state="absent", check_mode=check_mode)
    assert not result["changed"]
    assert result["volumes"] == []
    assert result["diff"] == {"before": "", "after": ""}
    assert node.changes == []


@BOTH_MODES
def test_a_template_is_kept_while_it_has_clones(node, check_mode):
    node.add("tpl", address="1.0")
    node.add("web2", origin="tpl")
    node.add("web1", origin="tpl")
    before = node.state()
    result = node.run("tpl", state="absent", check_mode=check_mode)
    assert result["failed"]
    assert result["msg"] == "tpl is the template of web1, web2; remove those first"
    assert node.state() == before
    node.run("web1", state="absent")
    node.run("web2", state="absent")
    assert not node.run("tpl", state="absent").get("failed")
    assert node.lvs == {}


def test_a_snapshot_of_a_volume_in_use_is_taken_once_listed_and_removed(node):
    node.add("web1", address="1.0")
    snapshot = {"name": "web1-before", "template": "web1"}
    before = node.state()
    announced = node.run(**snapshot, check_mode=True)
    assert node.state() == before
    assert node.run(**snapshot) == announced
    assert (announced["changed"], announced["volumes"]) == (True, [described("web1-before", template="web1")])
    assert node.changes == [["lvcreate", "--yes", "--snapshot", "--setactivationskip", "n", "--name", "web1-before", "bareroot_half0/web1"]]
    assert (node.state()[0]["web1"], node.state()[1]) == (before[0]["web1"], before[1])
    # It stays what it was, however the volume goes on.
    node.run(size="6G", export="aoe", address="1.0")
    assert not node.run(**snapshot)["changed"]
    listed = node._run_module(volume_info, {})["volumes"]
    assert [(found["name"], found["size"]) for found in listed if found["template"] == "web1"] == [("web1-before", 4 * GIB)]
    assert node.run(state="absent")["msg"] == "web1 is the template of web1-before; remove those first"
    assert node.run("web1-before", state="absent")["changed"]
    assert not node.run("web1-before", state="absent")["changed"]
    assert node.lvs.keys() == {"web1"}


def test_a_template_is_the_one_that_a_rollback_has_written_down(node):
    node.add("web1", tags={"bareroot.template.tpl"}, origin="web1-before")
    node.add("web1-before", tags={"bareroot.template.web1"})
    node.add("web2", tags={"bareroot.template."}, origin="web2-before")
    found = {found["name"]: found["template"] for found in node._run_module(volume_info, {})["volumes"]}
    assert found == {"web1": "tpl", "web1-before": "web1", "web2": ""}
    assert node.run(state="absent")["msg"] == "web1 is the template of web1-before; remove those first"
    assert node.run("web1-before", state="absent")["changed"]


@pytest.mark.parametrize("left", [["web1.new"], ["web1.old"], ["web1.new", "web1.old"]], ids="-".join)
@pytest.mark.parametrize("there", [True, False], ids=["there", "gone"])
@BOTH_MODES
def test_a_volume_whose_rollback_was_interrupted_is_only_removed(node, left, there, check_mode):
    names = ["web1", *left] if there else left
    for name in names:
        node.add(name)
    before = node.state()
    result = node.run(size="6G", check_mode=check_mode)
    assert result["failed"]
    assert result["msg"] == f"a rollback of web1 was interrupted and left {' and '.join(left)}: run the module volume_rollback again"
    assert node.state() == before
    assert not node.run("web2", size="1G", check_mode=True).get("failed")
    assert node.run(state="absent", check_mode=check_mode)["changed"]
    assert list(node.lvs) == (names if check_mode else [])


FULL = [
    pytest.param({"used": 95.01}, "2043 MiB of its 40960 MiB are free, less than 5 %; remove volumes or snapshots that", id="data"),
    pytest.param({"used": 100.0}, "0 MiB of its 40960 MiB are free, less than 5 %; remove volumes or snapshots that", id="no-data"),
    pytest.param(
        {"metadata": 90.01},
        "90.0 % of its pool's metadata is used, more than 90 %; enlarge it with lvextend --poolmetadatasize +64M bareroot_half0/pool",
        id="metadata",
    ),
]


def fill(node, used=0.0, metadata=0.0):
    node.used["bareroot_half0"], node.metadata["bareroot_half0"] = used, metadata


@pytest.mark.parametrize(("full", "message"), FULL)
@pytest.mark.parametrize(
    "options",
    [{"size": "4M", "half": "half0"}, {"template": "there"}, {"name": "there", "size": "5G"}],
    ids=["new", "clone", "grow"],
)
@BOTH_MODES
def test_new_and_larger_volumes_in_a_half_that_is_nearly_full_are_refused(node, full, message, options, check_mode):
    node.add("there")
    fill(node, **full)
    before = node.state()
    result = node.run(**options, check_mode=check_mode)
    assert result["failed"]
    assert result["msg"].startswith(f"half0 has no room for {options.get('name', 'web1')}: {message}")
    assert node.changes == []
    assert node.state() == before


@pytest.mark.parametrize(("full", "_message"), FULL)
def test_in_a_half_that_is_full_all_else_goes_on(node, full, _message):
    node.add("web1")
    fill(node, **full)
    assert not node.run(size="4G")["changed"]
    assert node.run(size="4G", export="aoe", address="1.0")["volumes"] == [described(address="1.0")]
    assert node.run(export="aoe", address="1.1")["volumes"] == [described(address="1.1")]
    assert node.run()["volumes"] == [described()]
    assert node.run(state="absent")["changed"]
    assert node.run("web2", size="1G", half="half1")["volumes"] == [described("web2", "half1", GIB)]


def test_room_that_is_just_enough_is_enough_and_more_may_be_promised_than_there_is(node):
    fill(node, used=95.0, metadata=90.0)
    assert node.run(size="100T", half="half0")["changed"]
    assert node.run(size="200T")["changed"]


TEMPLATE = "debian-0123456789abcdef"


@pytest.fixture
def copies(node):
    """Return a machine with a template in both halves, of which the one in half0 has a clone."""
    node.add(TEMPLATE)
    node.add(f"{TEMPLATE}@half1", group="bareroot_half1")
    node.add("web1", origin=TEMPLATE)
    return node


@pytest.mark.parametrize(
    ("options", "left"),
    [
        pytest.param({"name": TEMPLATE}, {"web1"}, id="all"),
        pytest.param({"name": TEMPLATE, "half": "half1"}, {"web1", TEMPLATE}, id="one"),
        pytest.param({"name": "web1", "half": "half0"}, {TEMPLATE, f"{TEMPLATE}@half1"}, id="of-another-name"),
    ],
)
@BOTH_MODES
def test_absent_removes_what_lies_in_the_half_or_all(copies, options, left, check_mode):
    copies.lvs["web1"].origin = ""
    before = copies.state()
    result = copies.run(**options, state="absent", check_mode=check_mode)
    assert (result["changed"], result["volumes"], result["diff"]["after"]) == (True, [], "")
    assert result["diff"]["before"].count('"name"') == len(before[0]) - len(left)
    if check_mode:
        assert copies.state() == before
    else:
        assert copies.lvs.keys() == left
        assert not copies.run(**options, state="absent")["changed"]


def test_absent_leaves_what_lies_in_the_other_half(copies):
    before = copies.state()
    assert not copies.run("web1", half="half1", state="absent")["changed"]
    assert copies.state() == before


def test_clones_keep_the_template_of_their_half_only(copies):
    for half in ({}, {"half": "half0"}):
        result = copies.run(TEMPLATE, **half, state="absent")
        assert result["failed"]
        assert result["msg"] == f"{TEMPLATE} is the template of web1; remove those first"
        assert copies.done == []
    assert not copies.run(TEMPLATE, half="half1", state="absent").get("failed")
    assert copies.lvs.keys() == {TEMPLATE, "web1"}


def test_the_copies_of_a_template_are_listed_by_half(copies):
    listed = copies._run_module(volume_info, {})["volumes"]
    assert listed == [described(TEMPLATE), described(TEMPLATE, "half1"), described("web1", template=TEMPLATE)]


@pytest.mark.parametrize("module", [volume, volume_info], ids=["volume", "volume_info"])
def test_another_volume_in_both_halves_is_an_error(node, module):
    node.add("web1")
    node.add("web1@half1", group="bareroot_half1")
    result = node._run_module(module, {"name": "web1"} if module is volume else {})
    assert result["failed"]
    assert "volume web1 is in half0 and in half1, and only a template may be" in result["msg"]
    assert node.changes == []


def test_all_volumes_are_listed_by_name(node):
    node.add("web2", group="bareroot_half1", size=GIB)
    node.add("web1", origin="tpl", address="1.0")
    node.add("tpl")
    listed = node._run_module(volume_info, {}, check_mode=True)
    assert listed == {
        "changed": False,
        "volumes": [described("tpl"), described("web1", template="tpl", address="1.0"), described("web2", "half1", GIB)],
        "pools": [
            {"half": "half0", "size": 40 * GIB, "used": 4 * GIB, "free": 36 * GIB, "metadata_percent": 3.7, "promised": 8 * GIB},
            {"half": "half1", "size": 40 * GIB, "used": 8 * GIB, "free": 32 * GIB, "metadata_percent": 0.25, "promised": GIB},
        ],
    }
    assert node.commands.programs == ["lvs"]


def test_a_machine_without_halves_lists_nothing(node):
    node.used = {}
    assert node._run_module(volume_info, {}) == {"changed": False, "volumes": [], "pools": []}


EXPORTED = {"size": "1G", "export": "aoe"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"name": "Web1", "size": "1G"}, "volume name 'Web1': use lower-case letters, digits and inner", id="name"),
        pytest.param({"name": "-f", "size": "1G"}, "volume name '-f'", id="name-option"),
        pytest.param({"name": "web1\n", "size": "1G"}, r"volume name 'web1\n'", id="name-line-break"),
        pytest.param({"name": "a/b", "size": "1G"}, "volume name 'a/b'", id="name-slash"),
        pytest.param({"name": "", "size": "1G"}, "volume name ''", id="name-empty"),
        pytest.param({"name": "pool", "size": "1G"}, "volume name 'pool'", id="name-of-the-pool"),
        pytest.param({"name": "a" * 64, "size": "1G"}, f"volume name '{'a' * 64}'", id="name-long"),
        pytest.param(
            {"name": "snapshot1", "template": "there"}, "nothing that begins with snapshot or pvmove, which LVM", id="name-of-lvm"
        ),
        pytest.param({"name": "pvmove0", "size": "1G"}, "volume name 'pvmove0'", id="other-name-of-lvm"),
        pytest.param({"name": "there.old", "size": "1G"}, "volume name 'there.old'", id="name-of-a-rollback"),
        pytest.param({}, "size of web1 is missing: write one such as 10G, or name a template", id="no-size"),
        pytest.param({"size": "10"}, "size '10': write a number and M, G or T, such as 10G", id="size-without-unit"),
        pytest.param({"size": "0G"}, "size '0G': write a number", id="size-nothing"),
        pytest.param({"size": "-1G"}, "size '-1G': write a number", id="size-negative"),
        pytest.param({"size": "100%FREE"}, "size '100%FREE': write a number", id="size-of-lvm"),
        pytest.param({"name": "there", "size": "3G"}, "size 3G of there is less than the 4096 MiB that it has", id="shrink"),
        pytest.param({"size": "3G", "template": "there"}, "size 3G of web1 is less than the 4096 MiB", id="clone-smaller"),
        pytest.param({"size": "1G", "half": "half2"}, "half2", id="half"),
        pytest.param({"template": "there", "half": "half1"}, "template there of web1 is in half0, not in half1", id="half-without-it"),
        pytest.param({"template": "nix"}, "template nix of web1 is no volume here; volumes are: there", id="template"),
        pytest.param({"template": "web1"}, "template web1 of web1 is no volume here", id="template-itself"),
        pytest.param({"template": "pool"}, "template pool of web1 is no volume here", id="template-pool"),
        pytest.param(EXPORTED, "address of web1 is missing: an export needs a shelf.slot such as 1.0", id="no-address"),
        pytest.param({**EXPORTED, "address": "1.0"}, "address 1.0 of web1 belongs to there; give web1 another", id="address-in-use"),
        pytest.param({**EXPORTED, "address": "1"}, "address '1' of web1: write shelf.slot, such as 1.0", id="address-malformed"),
        pytest.param({**EXPORTED, "address": "1.0 -r"}, "address '1.0 -r' of web1: write shelf.slot", id="address-option"),
        pytest.param({**EXPORTED, "address": "65535.0"}, "address '65535.0' of web1", id="address-all-shelves"),
        pytest.param({**EXPORTED, "address": "1000.0"}, "shelves end at 999", id="address-of-images"),
        pytest.param({**EXPORTED, "address": "01.0"}, "address '01.0' of web1: write shelf.slot", id="address-zero-before-shelf"),
        pytest.param({**EXPORTED, "address": "1.00"}, "address '1.00' of web1: write shelf.slot", id="address-zero-before-slot"),
        pytest.param({**EXPORTED, "address": "1.255"}, "slots at 254", id="address-all-slots"),
        pytest.param({"size": "1G", "export": "nfs"}, "nfs", id="export"),
        pytest.param({"size": "1G", "state": "gone"}, "gone", id="state"),
    ],
)
@BOTH_MODES
def test_what_cannot_be_is_refused_before_anything_is_changed(node, options, message, check_mode):
    node.add("there", address="1.0")
    before = node.state()
    result = node.run(**options, check_mode=check_mode)
    assert result["failed"]
    assert message in result["msg"]
    assert node.changes == []
    assert node.state() == before


@BOTH_MODES
def test_without_a_half_there_is_no_room(node, check_mode):
    node.used = {}
    result = node.run(size="1G", check_mode=check_mode)
    assert result["failed"]
    assert "no half is active here: is bareroot-storage.service running" in result["msg"]
    assert node.changes == []


@BOTH_MODES
def test_a_half_that_is_elsewhere_is_refused(node, check_mode):
    del node.used["bareroot_half1"]
    result = node.run(size="1G", half="half1", check_mode=check_mode)
    assert result["failed"]
    assert result["msg"] == "half1 is not active here; active are: half0"
    assert node.changes == []


ANSWERS = [
    pytest.param((5, "", "  WARNING: x\n  Insufficient free space\n"), "exit code 5:   Insufficient free space", id="fails"),
    pytest.param((127, "", "timeout: failed to run command"), "exit code 127: timeout: failed to run command", id="missing"),
    pytest.param((124, "", ""), " s, or killed", id="too-long"),
]


@pytest.mark.parametrize(
    ("case", "failing"),
    [
        ("clone-grown-and-exported", "lvs"),
        ("clone-grown-and-exported", "lvcreate"),
        ("clone-grown-and-exported", "lvextend"),
        ("clone-grown-and-exported", "lvchange"),
        ("clone-grown-and-exported", "systemctl start"),
        ("address-changed", "systemctl is-active"),
        ("address-changed", "systemctl stop"),
    ],
)
@pytest.mark.parametrize(("answer", "reason"), ANSWERS)
def test_a_program_that_fails_is_named_and_nothing_is_run_after_it(node, case, failing, answer, reason):
    asked, _after, _takes = node.set_up(case)
    node.commands.answer(*failing.split(), with_=answer)
    result = node.run(**asked)
    assert result["failed"]
    assert result["msg"].startswith(f"cannot change the volume web1: {failing} ")
    assert result["msg"].endswith(reason)
    assert (result["rc"], result["stderr"]) == (answer[0], answer[2])
    assert " ".join(node.commands.calls[-1].argv).startswith(failing)


@pytest.mark.parametrize("failing", ["systemctl stop", "lvremove"])
@pytest.mark.parametrize(("answer", "reason"), ANSWERS)
def test_a_removal_that_fails_is_made_up_for(node, failing, answer, reason):
    node.add("web1", address="1.0")
    node.commands.answer(*failing.split(), with_=answer)
    result = node.run(state="absent")
    assert result["failed"]
    assert result["msg"].startswith(f"cannot change the volume web1: {failing} ")
    assert result["msg"].endswith(reason)
    assert "web1" in node.lvs
    node.commands.answer(*failing.split(), with_=node._systemctl if failing == "systemctl stop" else node._change)
    assert node.run(state="absent")["changed"]
    assert node.lvs == {}


@pytest.mark.parametrize(("answer", "reason"), ANSWERS)
def test_a_list_that_cannot_be_read_is_an_error(node, answer, reason):
    node.commands.answer("lvs", with_=answer)
    result = node._run_module(volume_info, {})
    assert result["failed"]
    assert result["msg"].startswith("cannot list volumes: lvs ")
    assert result["msg"].endswith(reason)
    assert result["rc"] == answer[0]


@pytest.mark.parametrize("module", [volume, volume_info], ids=["volume", "volume_info"])
def test_a_list_that_is_no_json_is_an_error_that_names_lvs(node, module):
    node.commands.answer("lvs", with_=(0, "no json", ""))
    result = node._run_module(module, {"name": "web1", "size": "1G"} if module is volume else {})
    assert result["failed"]
    assert ": lvs " in result["msg"]
    assert "printed no JSON: " in result["msg"]
    assert (result["rc"], result["stdout"]) == (0, "no json")
    assert node.commands.programs == ["lvs"]


def test_changes_have_time_and_looks_do_not_need_it(node):
    node.add("web1")
    node.run(size="5G", export="aoe", address="1.0")
    assert {call.timeout for call in node.commands.calls if call.argv in node.changes} == {120}
    assert {call.timeout for call in node.commands.calls if call.argv not in node.changes} == {60}


def test_a_name_is_needed(run_module, commands):
    result = run_module(volume, {"size": "1G"})
    assert result["failed"]
    assert "name" in result["msg"]
    assert commands.calls == []
