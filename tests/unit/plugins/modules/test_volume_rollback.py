from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field

import pytest

from plugins.modules import instance_volumes, volume, volume_info, volume_rollback
from tests.unit.interrupted import Interruptible

BOTH_MODES = pytest.mark.parametrize("check_mode", [True, False], ids=["check", "real"])
GIB = 1 << 30
GROUP = "bareroot_half0"
FULL_NAME = f"{GROUP}/web1-root"
STEPS = ["lvcreate", "lvchange", "stop", "lvchange", "lvrename", "lvrename", "lvchange", "lvremove", "start"]


@dataclass
class Lv:
    """A thin volume as LVM has it. data: what it holds."""

    data: str
    group: str = GROUP
    size: int = 4 * GIB
    origin: Lv | None = None
    tags: set[str] = field(default_factory=set)


class StorageNode(Interruptible):
    """A machine with a half. What its export units serve is what the tags said when each was started."""

    def __init__(self, run_module, commands, export="aoe"):
        self.export_tag = f"bareroot.export.{export}"
        self.unit_prefix = f"bareroot-{export}@volume-"
        tpl = Lv("debian")
        root = Lv("new", origin=tpl, tags={"of.someone.else", self.export_tag, "bareroot.address.1.0"})
        self.lvs = {
            "tpl": tpl,
            "web1-root": root,
            "monday": Lv("as on monday", origin=root, tags={"also.of.someone.else"}),
            "tuesday": Lv("as on tuesday", origin=root),
            "web2-root": Lv("of web2", origin=root, tags={self.export_tag, "bareroot.address.1.2"}),
            "data": Lv("of nobody"),
        }
        self.serving = {"web1-root": "1.0", "web2-root": "1.2"}
        self.used = "10.00"
        self.fail_at = None
        self.commands = commands
        self._run_module = run_module
        for program, run in (
            ("lvcreate", self._create),
            ("lvextend", self._extend),
            ("lvchange", self._tag),
            ("lvrename", self._rename),
            ("lvremove", self._remove),
            ("systemctl", self._systemctl),
        ):
            commands.answer(program, with_=self._or_interrupted(run))
        commands.answer("lvs", with_=self._report)

    def _report(self, argv):
        asked = argv[argv.index("--options") + 1].split(",")
        names = {id(lv): name for name, lv in self.lvs.items()}
        common = {"pool_lv": "pool", "data_percent": "3.00", "metadata_percent": ""}
        rows = [
            {**common, "lv_name": name, "vg_name": lv.group, "lv_size": str(lv.size), "lv_tags": ",".join(sorted(lv.tags))}
            | {"origin": names[id(lv.origin)] if lv.origin else ""}
            for name, lv in self.lvs.items()
        ]
        pool = {"pool_lv": "", "data_percent": self.used, "metadata_percent": self.used, "lv_name": "pool", "vg_name": GROUP}
        rows.append({**pool, "lv_size": str(40 * GIB), "lv_tags": "", "origin": ""})
        return 0, json.dumps({"report": [{"lv": [{key: row[key] for key in asked} for row in rows]}]}), ""

    def _lv(self, full_name):
        group, _slash, name = full_name.partition("/")
        assert self.lvs[name].group == group
        return self.lvs[name]

    def _create(self, argv):
        _program, *words, full_name = argv
        assert "--snapshot" in words
        pairs = list(itertools.pairwise(words))
        made = dict(pairs)["--name"]
        assert made not in self.lvs
        origin = self._lv(full_name)
        self.lvs[made] = Lv(origin.data, origin.group, origin.size, origin, {tag for word, tag in pairs if word == "--addtag"})
        return 0, "", ""

    def _extend(self, argv):
        lv, size = self._lv(argv[-1]), int(argv[argv.index("--size") + 1].removesuffix("b"))
        assert size > lv.size
        lv.size = size
        return 0, "", ""

    def _tag(self, argv):
        names = [word for word in argv if word.startswith(f"{GROUP}/")]
        verbs = argv[1 : -len(names)]
        for lv in map(self._lv, names):
            for verb, tag in zip(verbs[::2], verbs[1::2], strict=True):
                assert verb in ("--addtag", "--deltag")
                lv.tags = lv.tags | {tag} if verb == "--addtag" else lv.tags - {tag}
        return 0, "", ""

    def _rename(self, argv):
        _program, group, name, to = argv
        assert self.lvs[name].group == group
        assert to not in self.lvs
        assert name not in self.serving
        self.lvs[to] = self.lvs.pop(name)
        return 0, "", ""

    def _remove(self, argv):
        gone = self._lv(argv[-1])
        if argv[-1].removeprefix(f"{GROUP}/") in self.serving:
            return 5, "", f"  Logical volume {argv[-1]} in use.\n"
        self.lvs = {name: lv for name, lv in self.lvs.items() if lv is not gone}
        for lv in self.lvs.values():
            if lv.origin is gone:
                lv.origin = None
        return 0, "", ""

    def _systemctl(self, argv):
        _program, verb, *units = argv
        assert all(unit.startswith(self.unit_prefix) for unit in units)
        names = [unit.removeprefix(self.unit_prefix).removesuffix(".service") for unit in units]
        if verb == "is-active":
            return 0, "".join("active\n" if name in self.serving else "inactive\n" for name in names), ""
        (name,) = names
        if verb == "stop":
            self.serving.pop(name, None)
        else:
            assert verb == "start"
            self._serve(name)
        return 0, "", ""

    def _serve(self, name):
        assert self.export_tag in self.lvs[name].tags
        (address,) = [tag.removeprefix("bareroot.address.") for tag in self.lvs[name].tags if tag.startswith("bareroot.address.")]
        self.serving[name] = address

    def cut_power(self):
        """Serve only what serves after a power cut: the half's unit starts what is tagged."""
        self.serving = {}
        for name in [name for name, lv in self.lvs.items() if self.export_tag in lv.tags]:
            self._serve(name)

    def run(self, name="web1-root", snapshot="monday", discard_changes=True, check_mode=False):
        self.commands.calls.clear()
        options = {"name": name, "snapshot": snapshot, "discard_changes": discard_changes}
        return self._run_module(volume_rollback, options, check_mode=check_mode, diff=True)

    def listed(self):
        """Return the volumes as users see them, by name."""
        return {found["name"]: found for found in self._run_module(volume_info, {})["volumes"]}

    def contents(self):
        return {name: lv.data for name, lv in self.lvs.items()}

    def state(self):
        seen = {name: (lv.data, lv.size, sorted(lv.tags)) for name, lv in self.lvs.items()}
        return seen, self.listed(), dict(self.serving)

    def whole(self):
        """Return what is held by those of the volume's names, old and new, that have all of its size after it has grown."""
        return {lv.data for name, lv in self.lvs.items() if name.startswith("web1-root") and lv.size == 6 * GIB}

    @property
    def changes(self):
        return [call.argv for call in self.commands.calls if call.argv[0] != "lvs"]

    @property
    def done(self):
        """Return what was changed, each command by its first word, systemctl by its verb."""
        return [argv[1] if argv[0] == "systemctl" else argv[0] for argv in self.changes]


@pytest.fixture
def node(run_module, commands):
    return StorageNode(run_module, commands)


def test_check_mode_says_what_would_be_and_only_reads(node):
    before = node.state()
    result = node.run(check_mode=True)
    assert result["changed"]
    assert result["volumes"] == [before[1]["web1-root"]]
    assert result["diff"] == {"before": "", "after": "".join(f"{' '.join(argv)}\n" for argv in result["commands"])}
    assert node.changes == []
    assert node.state() == before


def test_what_was_announced_is_done_and_only_the_volume_holds_something_else(node):
    contents, listed, serving = node.contents(), node.listed(), dict(node.serving)
    announced = node.run(check_mode=True)
    assert node.run() == announced
    assert node.changes == announced["commands"]
    assert node.done == STEPS
    assert node.contents() == {**contents, "web1-root": "as on monday"}
    assert node.listed() == listed
    assert node.serving == serving
    assert node.lvs["web1-root"].tags >= {"of.someone.else"}
    assert node.lvs["monday"].tags >= {"also.of.someone.else"}
    assert "also.of.someone.else" not in node.lvs["web1-root"].tags


def test_the_export_is_stopped_before_names_change_and_started_when_all_is_done(node):
    node.run()
    unit = "bareroot-aoe@volume-web1-root.service"
    assert node.changes[2] == ["systemctl", "stop", unit]
    assert node.changes[-1] == ["systemctl", "start", unit]


def test_again_is_a_change_and_goes_to_any_snapshot(node):
    listed = node.listed()
    for snapshot, holds in (("monday", "as on monday"), ("tuesday", "as on tuesday"), ("monday", "as on monday")):
        node.lvs["web1-root"].data = "new"
        assert node.run(snapshot=snapshot)["changed"]
        assert node.lvs["web1-root"].data == holds
        assert node.listed() == listed


def test_volumes_are_removed_after_it_as_before_it(node):
    node.run()

    def remove(name):
        return node._run_module(volume, {"name": name, "state": "absent"})

    assert remove("tpl")["msg"] == "tpl is the template of web1-root; remove those first"
    assert remove("web1-root")["msg"] == "web1-root is the template of monday, tuesday, web2-root; remove those first"
    for name in ("monday", "tuesday", "web2-root", "web1-root", "tpl"):
        assert remove(name)["changed"]
    assert node.contents() == {"data": "of nobody"}


@pytest.mark.parametrize("template", [True, False], ids=["clone", "no-clone"])
@pytest.mark.parametrize("exported", [True, False], ids=["exported", "plain"])
def test_a_volume_keeps_that_it_has_no_template_and_no_export(node, exported, template):
    if not exported:
        node.lvs["web1-root"].tags = {"of.someone.else"}
        del node.serving["web1-root"]
    if not template:
        node.lvs["web1-root"].origin = None
    before = node.state()[1:]
    node.run()
    assert node.lvs["web1-root"].data == "as on monday"
    assert node.state()[1:] == before
    assert node.done == (STEPS if exported else ["lvcreate", "lvchange", "lvrename", "lvrename", "lvremove"])


def test_a_volume_that_has_grown_keeps_its_size(node):
    node.lvs["web1-root"].size = 6 * GIB
    node.lvs["web1-root"].tags.add("bareroot.grown")
    assert node.run()["volumes"][0]["size"] == 6 * GIB
    assert node.done == ["lvcreate", "lvextend", *STEPS[1:]]
    assert (node.lvs["web1-root"].size, node.lvs["monday"].size) == (6 * GIB, 4 * GIB)
    assert "bareroot.grown" not in node.lvs["web1-root"].tags


def test_a_half_that_is_full_lets_it_be_done_since_it_takes_no_room(node):
    node.used = "100.00"
    node.run()
    assert node.lvs["web1-root"].data == "as on monday"


def test_a_larger_snapshot_is_not_cut_off(node):
    node.lvs["monday"].size = 5 * GIB
    assert node.run()["volumes"][0]["size"] == 5 * GIB
    assert node.lvs["web1-root"].size == 5 * GIB
    assert node.done == STEPS


def test_an_export_that_was_down_is_started(node):
    del node.serving["web1-root"]
    node.run()
    assert node.serving["web1-root"] == "1.0"


# Every point at which it can be interrupted: before a step has had its effect and after.
POINTS = [
    pytest.param(number, when, id=f"{when}-{number}-{step}")
    for number, step in enumerate(["lvcreate", "lvextend", *STEPS[1:]])
    for when in ("before", "after")
]


def interrupt(node, number, when):
    """Interrupt a rollback of a volume that has grown; return the state of one that was not."""
    node.lvs["web1-root"].size = 6 * GIB
    node.fail_at = (number, when)
    assert node.run()["failed"]
    assert len(node.changes) == number + 1
    node.fail_at = None


def rolled_back(run_module, commands, snapshot, export="aoe"):
    other = StorageNode(run_module, commands, export)
    other.lvs["web1-root"].size = 6 * GIB
    other.run(snapshot=snapshot)
    return other.state()


@pytest.mark.parametrize("power_cut", [True, False], ids=["power-cut", "killed"])
@pytest.mark.parametrize(("number", "when"), POINTS)
def test_interrupted_anywhere_nothing_is_lost_or_exported_twice(node, number, when, power_cut):
    interrupt(node, number, when)
    if power_cut:
        node.cut_power()
    held = node.contents()
    assert (held["monday"], held["tuesday"], held["web2-root"]) == ("as on monday", "as on tuesday", "of web2")
    assert node.whole() & {"new", "as on monday"}
    # Under no other name.
    assert set(node.serving.items()) <= {("web1-root", "1.0"), ("web2-root", "1.2")}
    assert "web1-root" not in node.serving or node.lvs["web1-root"].size == 6 * GIB
    assert "web1-root" not in held or held["web1-root"] in {"new", "as on monday"}


@pytest.mark.parametrize("then", ["monday", "tuesday", "power cut", "power cut, by nvme"])
@pytest.mark.parametrize(("number", "when"), POINTS)
def test_an_interrupted_one_is_made_up_for_by_the_next(run_module, commands, number, when, then):
    snapshot = "tuesday" if then == "tuesday" else "monday"
    export = "nvme" if "nvme" in then else "aoe"
    expected = rolled_back(run_module, commands, snapshot, export)
    node = StorageNode(run_module, commands, export)
    interrupt(node, number, when)
    if "power cut" in then:
        node.cut_power()
    announced = node.run(snapshot=snapshot, check_mode=True)
    assert node.run(snapshot=snapshot) == announced
    assert not announced.get("failed")
    assert node.state() == expected


@pytest.mark.parametrize(("number", "when"), POINTS)
def test_one_interrupted_twice_is_made_up_for(run_module, commands, number, when):
    expected = rolled_back(run_module, commands, "tuesday")
    # What puts the first one right comes before all other steps.
    for second in range(len(STEPS) + 3):
        node = StorageNode(run_module, commands)
        interrupt(node, number, when)
        node.fail_at = (second, when)
        node.run(snapshot="tuesday")
        node.fail_at = None
        assert node.whole() & {"new", "as on monday", "as on tuesday"}
        node.run(snapshot="tuesday")
        assert node.state() == expected


@pytest.mark.parametrize(("number", "when"), POINTS)
def test_an_interrupted_one_is_never_taken_for_a_volume_that_is_to_be_made(node, number, when):
    interrupt(node, number, when)
    left = [name for name in ("web1-root.new", "web1-root.old") if name in node.lvs]
    before = node.contents()
    web1 = {"name": "web1", "template": "tpl", "size": "6G", "root_address": "1.0", "seed_address": "1.1", "seed": {}}
    exported = {"name": "web1-root", "template": "tpl", "export": "aoe", "address": "1.0"}
    for module, options in ((volume, exported), (instance_volumes, {"instances": [web1]})):
        result = node._run_module(module, options, check_mode=not left)
        assert bool(result.get("failed")) is bool(left)
        assert not left or result["msg"].startswith("a rollback of web1-root was interrupted and left web1-root.")
    assert left or "web1-root" in before
    assert node.contents() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(
            {"name": "web3"}, "web3 is no volume here; volumes are: data, monday, tpl, tuesday, web1-root, web2-root", id="no-volume"
        ),
        pytest.param({"name": "pool"}, "pool is no volume here", id="pool"),
        pytest.param({"snapshot": "friday"}, "friday is no snapshot of web1-root; its snapshots are: monday, tuesday", id="no-snapshot"),
        pytest.param({"snapshot": "data"}, "data is no snapshot of web1-root; its snapshots are: monday, tuesday", id="another-volume"),
        pytest.param({"snapshot": "tpl"}, "tpl is no snapshot of web1-root", id="its-template"),
        pytest.param({"snapshot": "web1-root"}, "web1-root is no snapshot of web1-root", id="itself"),
        pytest.param({"snapshot": "web2-root"}, "web2-root is no snapshot of web1-root", id="a-clone-in-use"),
        pytest.param({"name": "data"}, "monday is no snapshot of data; its snapshots are: none", id="of-another-volume"),
        pytest.param(
            {"discard_changes": False},
            "what was written to web1-root since monday was made would be lost. If it may be, run again with discard_changes: true",
            id="no-consent",
        ),
    ],
)
@BOTH_MODES
def test_what_cannot_be_is_refused_before_anything_is_changed(node, options, message, check_mode):
    before = node.state()
    result = node.run(**options, check_mode=check_mode)
    assert result["failed"]
    assert result["msg"].startswith(message)
    assert node.changes == []
    assert node.state() == before


@BOTH_MODES
def test_consent_is_asked_for_before_an_interrupted_one_is_put_right(node, check_mode):
    interrupt(node, 7, "after")
    before = node.contents()
    assert node.run(discard_changes=False, check_mode=check_mode)["failed"]
    assert node.contents() == before


def test_without_a_half_there_is_no_volume(node):
    node.lvs = {}
    assert node.run()["msg"] == "web1-root is no volume here; volumes are: none"


@pytest.mark.parametrize("failing", ["lvs", "lvcreate", "lvchange", "lvrename", "lvremove", "systemctl stop", "systemctl start"])
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param((5, "", "  WARNING: x\n  Insufficient free space\n"), "exit code 5:   Insufficient free space", id="fails"),
        pytest.param((127, "", "timeout: failed to run command"), "exit code 127: timeout: failed to run command", id="missing"),
        pytest.param((124, "", ""), " s, or killed", id="too-long"),
    ],
)
def test_a_program_that_fails_is_named_and_nothing_is_run_after_it(node, failing, answer, reason):
    node.commands.answer(*failing.split(), with_=answer)
    result = node.run()
    assert result["failed"]
    assert result["msg"].startswith(f"rolling web1-root back to monday did not end, run it again: {failing} ")
    assert result["msg"].endswith(reason)
    assert (result["rc"], result["stderr"]) == (answer[0], answer[2])
    assert " ".join(node.commands.calls[-1].argv).startswith(failing)


def test_changes_have_time_and_looks_do_not_need_it(node):
    node.run()
    assert {call.timeout for call in node.commands.calls if call.argv in node.changes} == {120}
    assert {call.timeout for call in node.commands.calls if call.argv not in node.changes} == {60}


@pytest.mark.parametrize("missing", ["name", "snapshot"])
def test_a_name_and_a_snapshot_are_needed(run_module, commands, missing):
    options = {"name": "web1-root", "snapshot": "monday", "discard_changes": True}
    del options[missing]
    result = run_module(volume_rollback, options)
    assert result["failed"]
    assert missing in result["msg"]
    assert commands.calls == []
