from __future__ import annotations

import json
import os
import shutil

import pytest

from plugins.module_utils import _storage_layout as layout
from plugins.modules import storage_layout

BOTH_MODES = pytest.mark.parametrize("check_mode", [True, False], ids=["check", "real"])
COUNTS = pytest.mark.parametrize("count", [1, 2], ids=["one-disk", "two-disks"])
NEW = layout.NEW
MIB, GIB = 1 << 20, 1 << 30
DISK = 20 * GIB
# What LVM, and mdadm before it, really leave of such a disk.
SPACE = {1: DISK - 4 * MIB, 2: DISK - 20 * MIB}
IMAGES_SPACE = 8 * GIB
CLUSTER_SPACE = 128 * MIB
EXTENT = 4 * MIB
UNITS = {"b": 1, "M": MIB, "G": GIB}
# What mdadm keeps at the beginning of such a disk.
OFFSET = 16 * MIB
UUID = "5ac3a0c4-4a5c-c2f8-e7e6-2a7fc9a0d7f5"
RAID_MEMBER = f"linux_raid_member,{UUID},any:bareroot"
# The end of what mdadm 4.4 prints of the second disk of an array.
EXAMINED = """         Events : 42


   Device Role : Active device 1
   Array State : {} ('A' == active, '.' == missing, 'R' == replacing)
"""
# Halves of another StorageNode.
OTHER = {"half0": 3 * GIB, "half1": 5 * GIB}


READ_BY = ("lvs", "vgs", "pvs", "blockdev", "wipefs")
CHANGED_BY = ("mdadm", "udevadm", "vgcreate", "vgremove", "lvcreate", "lvremove", "drbdadm", "drbdsetup", "lvchange", "mkfs.ext4")
PROGRAMS = READ_BY + CHANGED_BY
REPORT = ["--reportformat", "json", "--units", "b", "--nosuffix", "--options"]


class RefusedError(Exception):
    """A program found that what it was told to do cannot be."""


def need(condition, why):
    if not condition:
        raise RefusedError(why)


class StorageNode:
    """A machine with data disks. Every program refuses what its real one would refuse, and what would lose something finished."""

    def __init__(self, base, run_module, commands, monkeypatch):
        self.base = base
        self.array_path = base / "md-bareroot"
        self.disks = [base / "disk-a", base / "disk-b"]
        self.disk_size = DISK
        self.disk_sizes = {}
        self.array_states = {}
        self.knows = "AA"
        self.signatures = {str(disk): set() for disk in self.disks}
        for disk in self.disks:
            disk.touch()
        self.group = ""
        self.volumes = {}
        self.sizes = {}
        self.drbd = dict.fromkeys(layout.HALVES, "down")
        self.metadata = set()
        self.inner = {}
        self.active = set()
        # Halves whose DRBD device takes no notice of a peer.
        self.alone = set()
        self.file_systems = set()
        self.fail_at = None
        self.commands = commands
        self._run_module = run_module
        monkeypatch.setattr(layout, "ARRAY", str(self.array_path))
        monkeypatch.setattr(storage_layout, "SYS_BLOCK", str(base / "sys"))
        monkeypatch.setattr(storage_layout, "DEV", str(base))
        for program in PROGRAMS:
            commands.answer(program, with_=self._program)

    def _program(self, argv):
        if reads(argv):
            return 0, getattr(self, f"_read_{argv[0]}")(argv), ""
        number, when = self.fail_at or (None, "")
        now = len(self.changes) - 1 == number
        if now and when == "before":
            return 5, "", f"{argv[0]} was interrupted"
        try:
            getattr(self, f"_{argv[0].replace('.', '_')}")(*argv[1:])
        except RefusedError as error:
            return 5, "", str(error)
        return (137, "", "") if now else (0, "", "")

    @property
    def changes(self):
        return [call.argv for call in self.commands.calls if not reads(call.argv)]

    # What reads.

    def _read_wipefs(self, argv):
        assert argv[1:-1] == ["--noheadings", "--parsable", "--output", "TYPE,UUID,LABEL"]
        found = sorted(self.signatures[argv[-1]])
        return "".join(f"{signature}\n" if "," in signature else f"{signature},,\n" for signature in found)

    def _read_blockdev(self, argv):
        assert argv[1] == "--getsize64"
        return f"{self.disk_sizes.get(argv[2], self.disk_size)}\n"

    def _read_mdadm(self, argv):
        assert RAID_MEMBER in self.signatures[argv[2]]
        return EXAMINED.format(self.knows)

    @property
    def array(self):
        """The disks that the array lists and that have not failed."""
        return [disk for disk, state in self.array_states.items() if state != "faulty"]

    def set_array(self, states):
        """Have the array list these disks, each as the kernel says it is, or "gone" for one that was pulled before it failed."""
        self.array_states = {str(self.base / name): state for name, state in states.items()}
        self.array_path.touch()
        files = {"uuid": UUID, "raid_disks": "2", "component_size": str((self.disk_size - OFFSET) // 1024), "sync_action": "idle"}
        for name, state in states.items():
            files |= {f"dev-{name}/state": state.replace("gone", "in_sync"), f"dev-{name}/offset": str(OFFSET // 512)}
            files |= {} if state == "gone" else {f"dev-{name}/block/dev": "254:16"}
        top = self.base / "sys" / "md-bareroot" / "md"
        shutil.rmtree(top, ignore_errors=True)
        for path, text in files.items():
            (top / path).parent.mkdir(parents=True, exist_ok=True)
            (top / path).write_text(f"{text}\n")

    def lose(self, state="", *, holds=()):
        """Let the array's second disk fail, or take it away. Return the disks with another one in its place, and what that one holds."""
        self.set_array({"disk-a": "in_sync", **({"disk-b": state} if state else {})})
        other = self.base / "disk-c"
        other.touch()
        self.signatures[str(other)] = set(holds)
        return [str(self.disks[0]), str(other)]

    @property
    def free(self):
        return SPACE[len(self.array) or 1] - DISK + self.disk_size - sum(self.sizes.values())

    def _read_vgs(self, argv):
        assert argv[1:] == [*REPORT, "vg_name,vg_free", "--select", "vg_name=~^bareroot"]
        rows = [{"vg_name": layout.GROUP, "vg_free": str(self.free)}] if self.group else []
        rows += [{"vg_name": f"bareroot_{half}", "vg_free": "4194304"} for half in self.inner if self.drbd[half] == "primary"]
        return json.dumps({"report": [{"vg": rows}], "log": []})

    def _read_pvs(self, argv):
        assert argv[1:] == [*REPORT, "pv_name", "--select", "vg_name=bareroot"]
        return json.dumps({"report": [{"pv": [{"pv_name": self.group}] if self.group else []}]})

    def _read_lvs(self, argv):
        assert argv[1:] == [*REPORT, "lv_name,lv_tags,lv_size", "--select", "vg_name=bareroot"]
        rows = [
            {"lv_name": name, "lv_tags": ",".join(sorted(tags)), "lv_size": str(self.sizes[name])} for name, tags in self.volumes.items()
        ]
        return json.dumps({"report": [{"lv": rows}], "log": []})

    # What changes.

    def _wipefs(self, *arguments):
        *options, disk = arguments
        if disk.startswith("/dev/drbd"):
            half = layout.HALVES[int(disk.removeprefix("/dev/drbd"))]
            if NEW not in self.volumes[half]:
                pytest.fail(f"{half} is finished, and {disk} is wiped")
            need(options == ["--all", "--force"] and self.drbd[half] == "primary", f"{disk} is not primary")
            need(half not in self.active, f"{disk} is in use")
            self.inner.pop(half, None)
            return
        need(disk not in self.array and disk != self.group, f"{disk} is in use")
        self.signatures[disk] = set()

    def _mdadm(self, verb, *arguments):
        if verb == "--create":
            self._create_array(*arguments)
            return
        need(verb == str(self.array_path) and self.array, "no such array")
        states = {os.path.basename(disk): state for disk, state in self.array_states.items()}
        if arguments[0] == "--fail":
            need(arguments == ("--fail", "detached", "--remove", "detached", "failed"), "no such words")
            self.set_array({name: state for name, state in states.items() if state not in ("faulty", "gone")})
            return
        add, disk = arguments
        need(add == "--add" and disk not in self.array_states and len(self.array_states) < 2, f"no place for {disk}")
        need(self.disk_sizes.get(disk, self.disk_size) >= self.disk_size, f"{disk} not large enough to join array")
        if not self.signatures[disk] <= {RAID_MEMBER}:
            pytest.fail(f"{disk} holds something, and is overwritten")
        self.signatures[disk] = {RAID_MEMBER}
        self.set_array({**states, os.path.basename(disk): "spare"})

    def _create_array(self, path, *arguments):
        disks = [argument for argument in arguments if not argument.startswith("--")]
        need(path == str(self.array_path) and not self.array, "there is an array")
        need(f"--raid-devices={len(disks)}" in arguments and "--level=1" in arguments, "wrong number of devices")
        need(not any(self.signatures[disk] for disk in disks), "a disk is not empty")
        assert {"--homehost=any", "--name=bareroot"} <= set(arguments)
        self.set_array({os.path.basename(disk): "in_sync" for disk in disks})
        self.signatures.update({disk: {RAID_MEMBER} for disk in disks})

    def _udevadm(self, verb):
        need(verb == "settle", "no such verb")

    def _vgcreate(self, *arguments):
        *options, group, device = arguments
        need("--yes" in options, "nobody is there to answer")
        if group == layout.GROUP:
            need(options == ["--yes"] and not self.group, "there is such a group")
            need(device in self.signatures or os.path.exists(device), f"no {device}")
            need(device not in self.array, f"{device} is part of an array")
            self.group = device
            self.signatures.setdefault(device, set()).add("LVM2_member")
            return
        half = group.removeprefix("bareroot_")
        need(options[:3] == ["--yes", "--setautoactivation", "n"], "it would be activated everywhere")
        need(options[3:] == ["--metadatasize", "16m"], "it would have no room for a thousand volumes")
        need(device == f"/dev/drbd{layout.HALVES.index(half)}" and self.drbd[half] == "primary", f"{device} is not primary")
        need(half not in self.inner, f"A volume group called {group} already exists.")
        self.inner[half] = set()

    def _vgremove(self, *arguments):
        *options, group = arguments
        half = group.removeprefix("bareroot_")
        if NEW not in self.volumes[half]:
            pytest.fail(f"{half} is finished, and {group} is removed")
        need(options == ["--yes", "--force"], "nobody is there to answer")
        need(half in self.inner and self.drbd[half] == "primary", f"no {group}")
        del self.inner[half]
        self.active.discard(half)

    def _lvcreate(self, *arguments):
        options, group = list(arguments[:-1]), arguments[-1]
        name = options[options.index("--name") + 1]
        if group != layout.GROUP:
            half = group.removeprefix("bareroot_")
            need(self.drbd[half] == "primary", f"{group} cannot be seen")
            need(half in self.inner and "thin-pool" in options and not self.inner[half], f"no room for {name} in {group}")
            self.inner[half].add(name)
            self.active.add(half)
            return
        need(self.group and name not in self.volumes, f"there is {group}/{name}, or no {group}")
        if "--size" in options:
            size = options[options.index("--size") + 1]
            size = int(size[:-1]) * UNITS[size[-1]]
        else:
            size = self.free * int(options[options.index("--extents") + 1].removesuffix("%FREE")) // 100 // EXTENT * EXTENT
        need(0 < size <= self.free, "insufficient free space")
        self.sizes[name] = size
        self.volumes[name] = {options[options.index("--addtag") + 1]}

    def _lvremove(self, *arguments):
        *options, full_name = arguments
        half = full_name.removeprefix("bareroot/")
        if NEW not in self.volumes[half]:
            pytest.fail(f"{half} is finished, and removed")
        need(options == ["--yes"] and self.drbd[half] == "down", f"{full_name} is in use")
        del self.volumes[half], self.sizes[half]
        self.inner.pop(half, None)
        self.metadata.discard(half)

    def _lvchange(self, verb, tag, full_name):
        name = full_name.removeprefix("bareroot/")
        need(verb == "--deltag" and tag in self.volumes[name], f"{name} is not tagged {tag}")
        self.volumes[name].remove(tag)

    def _mkfs_ext4(self, *arguments):
        name = arguments[-1].removeprefix("/dev/bareroot/")
        if NEW not in self.volumes[name]:
            pytest.fail("a file system that is finished is made anew")
        # The images' appearance brings everything up.
        need(
            name != "images" or not any(NEW in self.volumes[other] for other in ("cluster", *layout.HALVES)), "the halves are not finished"
        )
        self.file_systems.add(name)

    def _drbdadm(self, *words):
        *verb, half = words
        if NEW not in self.volumes[half]:
            pytest.fail(f"{half} is finished, and drbdadm {' '.join(verb)} is run on it")
        order = ["down", "new-resource", "new-minor", "attach", "primary"]
        if "create-md" in verb:
            need(self.drbd[half] == "down" and "--force" in verb, f"{half} is up")
            self.metadata.add(half)
            return
        need(half not in self.active or verb != ["down"], f"{half}: device is held open by someone")
        need(verb == ["down"] or order[order.index(self.drbd[half]) + 1] == verb[0], f"{half} is {self.drbd[half]}: no {verb[0]}")
        need(verb != ["attach"] or half in self.metadata, f"{half} has no metadata")
        need(verb[0] != "primary" or half in self.alone, f"{half} asks who could fence its peer")
        self.alone.discard(half)
        self.drbd[half] = verb[0]

    def _drbdsetup(self, verb, minor, option):
        half = layout.HALVES[int(minor)]
        need(verb == "disk-options" and option == "--fencing=dont-care" and self.drbd[half] == "attach", f"{half} is {self.drbd[half]}")
        self.alone.add(half)

    def run(self, count=2, check_mode=False, **options):
        self.commands.calls.clear()
        params = {"disks": [str(disk) for disk in self.disks[:count]], **options}
        return self._run_module(storage_layout, params, check_mode=check_mode, diff=True)

    def reboot(self):
        """Cut the power: what is on the disks comes back, and nothing makes an unfinished layout's halves come up."""
        self.drbd = dict.fromkeys(layout.HALVES, "down")
        self.active, self.alone = set(), set()

    def assert_complete(self, count, up=layout.HALVES):
        self.assert_laid_out(count)
        assert self.inner == {half: {"pool"} for half in layout.HALVES}
        assert all(self.drbd[half] == "primary" for half in up)

    def assert_joined(self, count):
        """All is there for DRBD to copy everything from the other StorageNode."""
        self.assert_laid_out(count)
        assert {half: self.sizes[half] for half in layout.HALVES} == OTHER
        assert self.inner == {}
        assert self.metadata == set(layout.HALVES)
        assert set(self.drbd.values()) == {"down"}

    def assert_laid_out(self, count):
        device = str(self.array_path) if count == 2 else str(self.disks[0])
        assert self.array == ([str(disk) for disk in self.disks] if count == 2 else [])
        assert self.group == device
        assert self.volumes == {name: set() for name in ("images", "cluster", "half0", "half1")}
        assert self.file_systems == {"images", "cluster"}


def reads(argv):
    return argv[0] in READ_BY[:-1] or argv[:2] == ["mdadm", "--examine"] or (argv[0] == "wipefs" and "--all" not in argv)


@pytest.fixture
def node(tmp_path, run_module, commands, monkeypatch):
    return StorageNode(tmp_path, run_module, commands, monkeypatch)


def number_of_steps(count, origin=None):
    """Return how many commands a machine with empty disks takes."""
    disks = ["/dev/a", "/dev/b"][:count]
    return len(layout.plan(disks, "8G", layout.Observed(dict.fromkeys(disks, ())), origin))


def half_sizes(count):
    """Return how large the halves of a StorageNode are that has been laid out alone: equal, but for an odd extent."""
    left = SPACE[count] - IMAGES_SPACE - CLUSTER_SPACE
    first = left // 2 // EXTENT * EXTENT
    return {"half0": first, "half1": left - first}


@COUNTS
def test_check_mode_says_what_would_be_run_and_only_reads(node, count):
    result = node.run(count, check_mode=True)
    assert result["changed"]
    assert len(result["commands"]) == number_of_steps(count)
    assert result["diff"] == {"before": "", "after": "".join(f"{' '.join(command)}\n" for command in result["commands"])}
    assert node.changes == []
    assert set(node.commands.programs) == set(READ_BY)


@COUNTS
def test_what_was_announced_is_what_is_run_and_then_all_is_there(node, count):
    announced = node.run(count, check_mode=True)
    assert announced.pop("halves") == {}
    result = node.run(count)
    assert result.pop("halves") == half_sizes(count)
    assert result == announced
    assert node.changes == announced["commands"]
    node.assert_complete(count)


@COUNTS
def test_both_halves_have_the_same_size_and_the_images_what_was_asked_for(node, count):
    node.run(count)
    assert node.sizes == {"images": IMAGES_SPACE, "cluster": CLUSTER_SPACE, **half_sizes(count)}
    assert 0 <= node.sizes["half1"] - node.sizes["half0"] <= EXTENT


@COUNTS
def test_a_storage_node_joins_another_one_with_halves_of_the_same_size_and_nothing_on_them(node, count):
    announced = node.run(count, check_mode=True, origin_halves=OTHER)
    assert announced.pop("halves") == {}
    assert node.changes == []
    result = node.run(count, origin_halves=OTHER)
    assert result.pop("halves") == OTHER
    assert result == announced
    assert node.changes == announced["commands"]
    node.assert_joined(count)


@pytest.mark.parametrize(("here", "there"), [(1, 1), (2, 2), (1, 2)])
def test_a_disk_that_is_as_large_as_the_other_storage_nodes_is_enough(node, here, there):
    result = node.run(here, origin_halves=half_sizes(there))
    assert not result.get("failed"), result["msg"]


def test_the_other_disk_is_left_alone_when_one_is_given(node):
    node.run(1)
    assert not [command for command in node.changes if str(node.disks[1]) in command]


def test_every_step_has_minutes(node):
    node.run()
    assert {call.timeout for call in node.commands.calls if not reads(call.argv)} == {600}


@COUNTS
@BOTH_MODES
def test_a_second_run_changes_nothing_and_only_reads(node, count, check_mode):
    node.run(count)
    result = node.run(count, check_mode=check_mode)
    assert not result["changed"]
    assert result["commands"] == []
    assert result["halves"] == half_sizes(count)
    assert result["diff"] == {"before": "", "after": ""}
    assert node.changes == []


@COUNTS
@BOTH_MODES
def test_a_second_run_of_a_storage_node_that_joined_changes_nothing(node, count, check_mode):
    node.run(count, origin_halves=OTHER)
    result = node.run(count, check_mode=check_mode, origin_halves=OTHER)
    assert not result["changed"]
    assert result["halves"] == OTHER
    assert node.changes == []


def test_a_disk_by_its_link_is_ours_as_well(node, tmp_path):
    node.run()
    links = [tmp_path / "by-id-a", tmp_path / "by-id-b"]
    for link, disk in zip(links, node.disks, strict=True):
        link.symlink_to(disk)
        node.signatures[str(link)] = node.signatures[str(disk)]
    assert not node.run(disks=[str(link) for link in links])["changed"]


@BOTH_MODES
def test_wiping_allowed_wipes_nothing_of_ours(node, check_mode):
    node.run()
    assert not node.run(check_mode=check_mode, wipe=True)["changed"]
    assert node.changes == []


@pytest.mark.parametrize("half", layout.HALVES)
def test_a_finished_half_that_cannot_be_seen_is_left_alone(node, half):
    node.run()
    node.drbd[half] = "down"
    del node.inner[half]
    assert not node.run()["changed"]
    assert not node.run(origin_halves=half_sizes(2))["changed"]


def points(count):
    """Return every (disks, step, when) at which a run can be interrupted."""
    return [(count, number, when) for number in range(number_of_steps(count)) for when in ("before", "after")]


@pytest.mark.parametrize(("count", "number", "when"), [*points(1), *points(2)])
def test_an_interrupted_run_is_continued_by_the_next(node, count, number, when):
    node.fail_at = (number, when)
    assert node.run(count)["failed"]
    assert len(node.changes) == number + 1
    node.fail_at = None
    announced = node.run(count, check_mode=True)
    assert not announced.get("failed")
    assert set(announced["halves"]) == {half for half in layout.HALVES if NEW not in node.volumes.get(half, {NEW})}
    assert node.run(count)["commands"] == announced["commands"]
    node.assert_complete(count)
    assert not node.run(count)["changed"]


@pytest.mark.parametrize(("count", "number", "when"), [*points(1), *points(2)])
def test_a_run_that_a_power_cut_interrupted_is_continued_by_the_next(node, count, number, when):
    node.fail_at = (number, when)
    assert node.run(count)["failed"]
    unfinished = [half for half in layout.HALVES if NEW in node.volumes.get(half, {NEW})]
    node.reboot()
    node.fail_at = None
    result = node.run(count)
    assert not result.get("failed"), result["msg"]
    node.assert_complete(count, up=unfinished)
    assert not node.run(count)["changed"]


def joining_points(count):
    return [(count, number, when) for number in range(number_of_steps(count, OTHER)) for when in ("before", "after")]


@pytest.mark.parametrize("power_cut", [True, False], ids=["power-cut", "interrupted"])
@pytest.mark.parametrize(("count", "number", "when"), [*joining_points(1), *joining_points(2)])
def test_a_join_that_was_interrupted_is_continued_by_the_next_run(node, count, number, when, power_cut):
    node.fail_at = (number, when)
    assert node.run(count, origin_halves=OTHER)["failed"]
    if power_cut:
        node.reboot()
    node.fail_at = None
    result = node.run(count, origin_halves=OTHER)
    assert not result.get("failed"), result["msg"]
    node.assert_joined(count)
    assert not node.run(count, origin_halves=OTHER)["changed"]


@pytest.mark.parametrize(("count", "number", "when"), [*points(1), *points(2)])
def test_a_half_that_an_interrupted_run_began_alone_is_made_anew_when_it_joins(node, count, number, when):
    node.fail_at = (number, when)
    assert node.run(count)["failed"]
    node.fail_at = None
    finished = [half for half in layout.HALVES if NEW not in node.volumes.get(half, {NEW})]
    result = node.run(count, origin_halves=OTHER)
    if finished:
        assert result["failed"]
        assert result["msg"].startswith(
            f"{finished[0]} has {half_sizes(count)[finished[0]]} bytes here and {OTHER[finished[0]]} bytes on the other "
        )
        assert node.changes == []
    else:
        assert not result.get("failed"), result["msg"]
        node.assert_joined(count)


@COUNTS
@BOTH_MODES
def test_disks_without_room_for_the_other_storage_nodes_halves_are_refused(node, count, check_mode):
    node.disk_size = 16 * GIB
    result = node.run(count, check_mode=check_mode, origin_halves=OTHER)
    assert result["failed"]
    assert result["msg"] == (
        f"a copy of the other StorageNode's halves needs {16 * GIB + 128 * MIB} bytes here, and the disks have "
        f"{16 * GIB - (4 if count == 1 else 20) * MIB} bytes left: give storage_node_disks as large as the other's "
        "and the same storage_node_images_size. Nothing was touched."
    )
    assert node.changes == []


@BOTH_MODES
def test_too_little_room_in_a_volume_group_that_is_there_is_refused(node, check_mode):
    node.fail_at = (number_of_steps(1) - 1, "after")
    node.run(1)
    node.fail_at = None
    for half in layout.HALVES:
        del node.volumes[half], node.sizes[half]
    other = {"half0": 3 * GIB, "half1": 9 * GIB}
    result = node.run(1, check_mode=check_mode, origin_halves=other)
    assert result["failed"]
    free = SPACE[1] - IMAGES_SPACE - CLUSTER_SPACE
    assert f"needs {12 * GIB} bytes here, and the disks have {free} bytes left" in result["msg"]
    assert node.changes == []


@BOTH_MODES
def test_a_finished_half_of_another_size_than_the_other_storage_nodes_is_refused(node, check_mode):
    node.run()
    size = half_sizes(2)["half1"]
    result = node.run(check_mode=check_mode, wipe=True, origin_halves={**half_sizes(2), "half1": size + EXTENT})
    assert result["failed"]
    assert result["msg"] == (
        f"half1 has {size} bytes here and {size + EXTENT} bytes on the other StorageNode, "
        "but DRBD needs the same on both: give storage_node_disks as large as the other's. Nothing was touched."
    )
    assert node.changes == []


@BOTH_MODES
@pytest.mark.parametrize(
    "origin",
    [{"half0": GIB}, {**OTHER, "half2": GIB}, {"half0": GIB, "half1": 0}, {"half0": GIB, "half1": "5G"}, {"half0": GIB, "half1": None}],
    ids=["one-missing", "one-too-many", "empty", "text", "nothing"],
)
def test_halves_that_no_other_storage_node_can_have_are_refused_before_anything_is_looked_at(node, origin, check_mode):
    result = node.run(origin_halves=origin, check_mode=check_mode)
    assert result.get("failed")
    assert result["msg"] == (
        f"origin_halves is {origin}: give the size in bytes of each half of the other StorageNode, "
        "such as {'half0': 107374182400, 'half1': 107374182400}; has the other one been laid out?"
    )
    assert node.commands.calls == []


@BOTH_MODES
@pytest.mark.parametrize("wipe", [True, False], ids=["wipe", "keep"])
@pytest.mark.parametrize("signatures", [set(), {"ext4"}], ids=["empty", "held"])
def test_a_second_disk_is_not_added_to_one_that_is_in_use(node, check_mode, wipe, signatures):
    node.run(1)
    node.signatures[str(node.disks[1])] = signatures
    result = node.run(2, check_mode=check_mode, wipe=wipe)
    assert result["failed"]
    assert result["msg"] == (
        f"the volume group bareroot exists already, and {node.disks[1]} is not part of it: disks are not added to it here. "
        "Nothing was touched."
    )
    assert node.changes == []


@BOTH_MODES
@pytest.mark.parametrize("wipe", [True, False], ids=["wipe", "keep"])
def test_another_disk_does_not_take_the_place_of_one_that_is_in_use(node, check_mode, wipe):
    node.run(1)
    result = node.run(disks=[str(node.disks[1])], check_mode=check_mode, wipe=wipe)
    assert result["failed"]
    assert f"the volume group bareroot exists already, and {node.disks[1]} is not part of it" in result["msg"]
    assert node.changes == []


@BOTH_MODES
@pytest.mark.parametrize("wipe", [True, False], ids=["wipe", "keep"])
def test_a_group_that_lies_on_both_disks_without_an_array_is_refused(node, check_mode, wipe):
    node.run(1)
    both = [{"pv_name": str(disk)} for disk in node.disks]
    node.commands.answer("pvs", with_=(0, json.dumps({"report": [{"pv": both}]}), ""))
    result = node.run(2, check_mode=check_mode, wipe=wipe)
    assert result["failed"]
    assert result["msg"] == f"the volume group bareroot exists already, but not on {node.array_path}. Nothing was touched."
    assert node.changes == []


@COUNTS
@BOTH_MODES
@pytest.mark.parametrize("wipe", [True, False], ids=["wipe", "keep"])
def test_our_array_is_never_wiped_where_it_is_not_assembled(node, count, check_mode, wipe):
    node.run(2)
    node.array_path.unlink()
    node.array_states, node.group = {}, ""
    result = node.run(count, check_mode=check_mode, wipe=wipe)
    assert result["failed"]
    named = ", ".join(str(disk) for disk in node.disks[:count])
    assert result["msg"] == (
        f"{named} belong to the array bareroot, which is not assembled as {node.array_path}: see mdadm --examine. Nothing was touched."
    )
    assert node.changes == []


# How the array may list a disk that it has lost: not at all, as failed, or as one that was pulled and not missed yet.
LOST = pytest.mark.parametrize("state", ["", "faulty", "gone"], ids=["removed", "failed", "pulled"])


def added(node, disk, state):
    """Return the commands that give the array another disk."""
    removal = [["mdadm", str(node.array_path), "--fail", "detached", "--remove", "detached", "failed"]] if state else []
    return [*removal, ["mdadm", str(node.array_path), "--add", str(disk)]]


@LOST
def test_check_mode_says_that_another_disk_would_take_a_lost_ones_place(node, state):
    node.run()
    disks = node.lose(state)
    result = node.run(disks=disks, check_mode=True)
    assert result["changed"]
    assert result["commands"] == added(node, disks[1], state)
    assert result["diff"]["after"].endswith(f"mdadm {node.array_path} --add {disks[1]}\n")
    assert result["halves"] == half_sizes(2)
    assert not result["rebuilding"]
    assert node.changes == []


@LOST
def test_another_disk_takes_a_lost_ones_place_and_is_rebuilt_while_nobody_waits(node, state):
    node.run()
    disks = node.lose(state)
    announced = node.run(disks=disks, check_mode=True)
    result = node.run(disks=disks)
    assert result == {**announced, "rebuilding": True}
    assert node.changes == announced["commands"]
    assert node.array_states == {disks[0]: "in_sync", disks[1]: "spare"}


@LOST
@BOTH_MODES
@pytest.mark.parametrize("rebuilding", [True, False], ids=["while", "after"])
def test_a_second_run_while_the_array_is_rebuilt_and_after_that_changes_nothing(node, state, rebuilding, check_mode):
    node.run()
    disks = node.lose(state)
    node.run(disks=disks)
    if not rebuilding:
        node.set_array({"disk-a": "in_sync", "disk-c": "in_sync"})
    result = node.run(disks=disks, check_mode=check_mode)
    assert not result["changed"]
    assert (result["commands"], result["rebuilding"]) == ([], rebuilding)
    assert node.changes == []


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("state", "number"), [("", 0), ("faulty", 0), ("faulty", 1), ("gone", 0), ("gone", 1)])
def test_an_interrupted_replacement_is_continued_by_the_next_run(node, state, number, when):
    node.run()
    disks = node.lose(state)
    node.fail_at = (number, when)
    assert node.run(disks=disks)["failed"]
    node.fail_at = None
    assert not node.run(disks=disks).get("failed")
    assert node.array == disks
    assert not node.run(disks=disks)["changed"]


@LOST
@BOTH_MODES
def test_a_disk_that_the_array_threw_out_is_taken_back_and_not_wiped(node, state, check_mode):
    node.run()
    node.lose(state)
    result = node.run(wipe=True, check_mode=check_mode)
    assert result["changed"]
    assert result["commands"] == added(node, node.disks[1], state)
    assert node.changes == ([] if check_mode else result["commands"])


@LOST
@BOTH_MODES
def test_a_disk_that_has_run_without_the_other_is_refused(node, state, check_mode):
    node.run()
    node.lose(state)
    node.knows = ".A"
    result = node.run(wipe=True, check_mode=check_mode)
    assert result["failed"]
    assert result["msg"] == (
        f"{node.disks[1]} has run without the other disk of {node.array_path}, and may hold what that one does not: "
        f"if that may be lost, run wipefs --all {node.disks[1]}. Nothing was touched."
    )
    assert node.changes == []


@LOST
@BOTH_MODES
def test_a_disk_in_a_lost_ones_place_that_holds_something_is_refused(node, state, check_mode):
    node.run()
    disks = node.lose(state, holds=["ext4"])
    result = node.run(disks=disks, check_mode=check_mode)
    assert result["failed"]
    assert result["msg"].startswith(f"not ours and not empty: {disks[1]} (ext4). Nothing was touched. ")
    assert node.changes == []


@BOTH_MODES
def test_a_disk_in_a_lost_ones_place_is_wiped_where_that_is_allowed(node, check_mode):
    node.run()
    disks = node.lose(holds=["ext4", "gpt"])
    result = node.run(disks=disks, wipe=True, check_mode=check_mode)
    assert result["commands"] == [["wipefs", "--all", "--force", disks[1]], *added(node, disks[1], "")]
    assert node.changes == ([] if check_mode else result["commands"])


@BOTH_MODES
@pytest.mark.parametrize("wipe", [True, False], ids=["wipe", "keep"])
def test_a_disk_of_another_machines_array_is_never_wiped(node, check_mode, wipe):
    node.run()
    disks = node.lose(holds=["linux_raid_member,0b5f-another,any:bareroot"])
    result = node.run(disks=disks, wipe=wipe, check_mode=check_mode)
    assert result["failed"]
    assert result["msg"].startswith(f"{disks[1]} belongs to another array bareroot than the one that runs here: ")
    assert node.changes == []


@BOTH_MODES
@pytest.mark.parametrize("missing", [1, OFFSET], ids=["a-byte", "what-mdadm-keeps"])
def test_a_disk_in_a_lost_ones_place_that_is_too_small_is_refused_with_figures(node, missing, check_mode):
    node.run()
    disks = node.lose("faulty")
    node.disk_sizes[disks[1]] = DISK - missing
    result = node.run(disks=disks, wipe=True, check_mode=check_mode)
    assert result["failed"]
    assert result["msg"] == (
        f"{disks[1]} has {DISK - missing} bytes, and a disk of {node.array_path} needs {DISK}: "
        "give one as large as the other. Nothing was touched."
    )
    assert node.changes == []


@BOTH_MODES
def test_two_new_disks_at_once_are_refused(node, check_mode):
    node.run()
    _first, other = node.lose()
    (node.base / "disk-d").touch()
    node.signatures[str(node.base / "disk-d")] = set()
    result = node.run(disks=[other, str(node.base / "disk-d")], check_mode=check_mode)
    assert result["failed"]
    assert result["msg"].startswith(f"the array {node.array_path} runs on disk-a, and not on {other}, {node.base / 'disk-d'}: ")
    assert node.changes == []


def test_an_array_whose_first_disk_was_lost_is_completed_too(node):
    node.run()
    node.lose()
    node.set_array({"disk-b": "in_sync"})
    disks = [str(node.base / "disk-c"), str(node.disks[1])]
    assert node.run(disks=disks)["commands"] == added(node, disks[0], "")
    assert not node.run(disks=disks)["changed"]


def test_a_lost_disk_is_replaced_before_an_interrupted_layout_goes_on(node):
    node.fail_at = (2, "after")
    assert node.run()["failed"]
    node.fail_at = None
    disks = node.lose("faulty")
    result = node.run(disks=disks)
    assert result["commands"][:2] == added(node, disks[1], "faulty")
    assert node.array == disks
    assert not node.run(disks=disks)["changed"]


def test_a_disk_that_mdadm_does_not_take_is_named(node):
    node.run()
    disks = node.lose()
    node.commands.answer("mdadm", str(node.array_path), with_=(1, "", f"mdadm: Cannot open {disks[1]}: Device or resource busy\n"))
    result = node.run(disks=disks)
    assert result["failed"]
    assert result["msg"] == (
        f"cannot lay out the disks: mdadm {node.array_path} --add {disks[1]}: "
        f"exit code 1: mdadm: Cannot open {disks[1]}: Device or resource busy"
    )


@BOTH_MODES
@pytest.mark.parametrize("by_link", [True, False], ids=["by-link", "same-path"])
def test_one_disk_named_twice_is_refused(node, tmp_path, by_link, check_mode):
    disks = [str(node.disks[0])] * 2
    if by_link:
        (tmp_path / "link").symlink_to(disks[0])
        disks[1] = str(tmp_path / "link")
    result = node.run(disks=disks, check_mode=check_mode, wipe=True)
    assert result["failed"]
    assert result["msg"] == f"storage_node_disks names one disk twice: {disks[0]}, {disks[1]}; give two different ones"
    assert node.commands.calls == []


@pytest.mark.parametrize("size", ["", "8", "8g", "8 G", "8G\n", "1.5G", "-1G", "50%FREE", "--help", "8GB", "0G"])
@BOTH_MODES
def test_a_size_that_cannot_be_is_refused_before_anything_is_looked_at(node, size, check_mode):
    node.commands.answer("lvcreate", with_=(3, "", "Please specify non-zero"))
    result = node.run(images_size=size, check_mode=check_mode)
    assert result.get("failed")
    assert result["msg"] == f"storage_node_images_size {size!r}: write a number and M, G or T, such as 8G"
    assert node.commands.calls == []


def test_the_images_have_the_size_that_was_asked_for(node):
    result = node.run(images_size="12T", check_mode=True)
    (images,) = [command for command in result["commands"] if command[0] == "lvcreate" and "images" in command]
    assert images[images.index("--size") + 1] == "12T"


@pytest.mark.parametrize("program", ["lvs", "vgs", "pvs"])
def test_a_report_that_is_no_json_names_its_program(node, program):
    node.commands.answer(program, with_=(0, "no json", ""))
    result = node.run()
    assert result["failed"]
    assert result["msg"].startswith(f"cannot lay out the disks: {program} ")
    assert "printed no JSON: " in result["msg"]
    assert node.changes == []


def test_an_array_of_another_name_is_only_something_foreign(node):
    node.signatures = {str(disk): {"linux_raid_member,0b5f,any:data"} for disk in node.disks}
    assert "(linux_raid_member)" in node.run()["msg"]
    assert not node.run(wipe=True).get("failed")
    node.assert_complete(2)


def test_an_unfinished_array_is_not_taken_for_one_of_other_disks(node, tmp_path):
    node.fail_at = (1, "before")
    assert node.run()["failed"]
    node.fail_at = None
    other = tmp_path / "disk-c"
    other.touch()
    node.signatures[str(other)] = {"ext4"}
    result = node.run(disks=[str(node.disks[0]), str(other)], wipe=True)
    assert result.get("failed")
    assert result["msg"] == (
        f"the array {node.array_path} has all its disks (disk-a, disk-b), and {other} is none of them: "
        f"to put it in the place of one, take that one out first, with mdadm {node.array_path} --fail DISK. Nothing was touched."
    )
    assert node.changes == []


@pytest.mark.parametrize("signature", ["ext4", "gpt", "LVM2_member", "linux_raid_member"])
@BOTH_MODES
def test_a_disk_that_holds_something_is_wiped_where_that_is_allowed(node, signature, check_mode):
    node.signatures[str(node.disks[1])] = {signature}
    result = node.run(wipe=True, check_mode=check_mode)
    assert result["commands"][0] == ["wipefs", "--all", "--force", str(node.disks[1])]
    wiped = [command[-1] for command in result["commands"] if command[0] == "wipefs"]
    assert wiped == [str(node.disks[1]), "/dev/drbd0", "/dev/drbd1"]
    if check_mode:
        assert node.changes == []
    else:
        node.assert_complete(2)


@pytest.mark.parametrize(
    ("held", "named"),
    [
        pytest.param([["ext4"], []], ["{0} (ext4)."], id="first"),
        pytest.param([[], ["LVM2_member"]], ["{1} (LVM2_member)."], id="second"),
        pytest.param([["gpt", "PMBR"], ["linux_raid_member"]], ["{0} (PMBR, gpt); {1} (linux_raid_member)."], id="both"),
    ],
)
@BOTH_MODES
def test_a_disk_that_holds_something_else_is_refused(node, held, named, check_mode):
    node.signatures = {str(disk): set(signatures) for disk, signatures in zip(node.disks, held, strict=True)}
    result = node.run(check_mode=check_mode)
    assert result["failed"]
    for part in named:
        assert part.format(*node.disks) in result["msg"]
    assert "Nothing was touched" in result["msg"]
    assert "-e storage_node_wipe_disks=true" in result["msg"]
    assert node.changes == []


@pytest.mark.parametrize("count", [0, 3])
@BOTH_MODES
def test_neither_no_disk_nor_three_can_be_used(node, tmp_path, count, check_mode):
    result = node.run(disks=[str(tmp_path / "disk-a")] * count, check_mode=check_mode)
    assert result["failed"]
    assert f"storage_node_disks has {count} disks: give one or two, such as [/dev/disk/by-id/ata-A, " in result["msg"]
    assert node.commands.calls == []


@pytest.mark.parametrize("missing", [0, 1])
@BOTH_MODES
def test_a_disk_that_is_not_there_is_named(node, missing, check_mode):
    node.disks[missing].unlink()
    result = node.run(check_mode=check_mode)
    assert result["failed"]
    assert result["msg"].startswith(f"storage_node_disks: there is no {node.disks[missing]} here; there is ")
    assert node.commands.calls == []


def test_no_disks_option_is_named(run_module, commands):
    result = run_module(storage_layout, {})
    assert result["failed"]
    assert "disks" in result["msg"]
    assert commands.calls == []


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param((5, "", "  WARNING: x\n  Device busy.\n"), "exit code 5:   Device busy.", id="fails"),
        pytest.param((127, "", "timeout: failed to run command"), "exit code 127: timeout: failed to run command", id="missing"),
        pytest.param((124, "", ""), " s, or killed", id="too-long"),
    ],
)
def test_a_program_that_fails_is_named_and_nothing_is_run_after_it(node, program, answer, reason):
    options = {"origin_halves": OTHER} if program == "lvremove" else {}
    if program in ("vgremove", "lvremove"):
        # It is only run after an interruption.
        steps = node.run(check_mode=True)["commands"]
        node.fail_at = (next(number for number, command in enumerate(steps) if "pool" in command), "after")
        node.run()
        node.fail_at = None
    node.commands.answer(program, with_=answer)
    result = node.run(**options)
    assert result["failed"]
    assert result["msg"].startswith(f"cannot lay out the disks: {program} ")
    assert result["msg"].endswith(reason)
    assert (result["cmd"][0], result["rc"], result["stderr"]) == (program, answer[0], answer[2])
    assert node.commands.programs[-1] == program
    assert node.commands.programs.count(program) == 1
