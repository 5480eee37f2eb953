from __future__ import annotations

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from plugins.module_utils import _storage_layout as layout
from plugins.module_utils._storage_layout import NEW, Observed

DISKS = ["/dev/a", "/dev/b"]
VOLUMES = (layout.IMAGES, *layout.HALVES)
FINISHED = dict.fromkeys(VOLUMES, ())


# What each command makes or overwrites. A half has its DRBD device and the volume group on it.
DEVICE, HALF, INNER = r"/dev/drbd(?P<name>\d)", r"half(?P<name>\d)", r"bareroot_half(?P<name>\d)"
TOUCHES = {
    r"wipefs --all --force (?P<name>/dev/[ab])": "disk",
    rf"mdadm --create {layout.ARRAY} .* (?P<name>/dev/a /dev/b)": "array",
    rf"pvcreate --yes (?P<name>/dev/a|{layout.ARRAY})": "group",
    rf"vgcreate bareroot (?P<name>/dev/a|{layout.ARRAY})": "group",
    r"lvcreate .* --name (?P<name>images|half\d) bareroot": "volume",
    rf"drbdadm (down|--force create-md|new-resource|new-minor|attach|primary --force) {HALF}": "contents of half",
    rf"pvcreate --yes --force {DEVICE}": "contents of half",
    rf"vgcreate --setautoactivation n {INNER} /dev/drbd(?P=name)": "contents of half",
    rf"lvcreate .* --name pool {INNER}": "contents of half",
    r"mkfs\.ext4 .* /dev/bareroot/(?P<name>images)": "contents",
    rf"lvchange --deltag {layout.NEW.replace('.', '[.]')} bareroot/(?P<name>images|half\d)": "tag",
    r"udevadm (?P<name>settle)": "nothing",
}


def touched(command):
    """Return what a command makes or overwrites, as (sort, name); a command that is not known fails the test."""
    found = [(sort, match["name"]) for pattern, sort in TOUCHES.items() if (match := re.fullmatch(pattern, " ".join(command)))]
    assert len(found) == 1, f"unknown command: {command}"
    ((sort, name),) = found
    return ("contents", f"half{name}") if sort == "contents of half" else (sort, name)


TAGS = st.sampled_from([(), (NEW,), ("someone.elses",), ("someone.elses", NEW)])
SIGNATURES = st.sampled_from([(), ("ext4",), ("LVM2_member",), ("linux_raid_member",), ("PMBR", "gpt")])
OBSERVED = st.builds(
    Observed,
    signatures=st.fixed_dictionaries(dict.fromkeys(DISKS, SIGNATURES)),
    members=st.frozensets(st.sampled_from(DISKS)),
    array=st.booleans(),
    group=st.booleans(),
    volumes=st.dictionaries(st.sampled_from([*VOLUMES, "another"]), TAGS),
)
EVERY_STATE = settings(max_examples=300)


@EVERY_STATE
@given(OBSERVED, st.integers(1, 2))
def test_nothing_that_is_finished_is_touched(observed, count):
    finished = {name for name, tags in observed.volumes.items() if NEW not in tags}
    for command in layout.plan(DISKS[:count], "8G", observed):
        sort, name = touched(command)
        assert not (sort == "disk" and name in observed.members), command
        assert not (sort == "disk" and not observed.signatures[name]), command
        assert not (sort == "array" and observed.array), command
        assert not (sort == "group" and observed.group), command
        assert not (sort == "volume" and name in observed.volumes), command
        assert not (sort in ("contents", "tag") and name in finished), command


@EVERY_STATE
@given(OBSERVED, st.integers(1, 2))
def test_all_that_is_missing_or_unfinished_is_made_and_finished_once(observed, count):
    done = [touched(command) for command in layout.plan(DISKS[:count], "8G", observed)]
    unfinished = {name for name in VOLUMES if NEW in observed.volumes.get(name, (NEW,))}
    assert [name for sort, name in done if sort == "volume"] == [name for name in VOLUMES if name not in observed.volumes]
    assert sorted(name for sort, name in done if sort == "tag") == sorted(unfinished)
    assert {name for sort, name in done if sort == "contents"} == unfinished
    for name in unfinished:
        assert max(index for index, what in enumerate(done) if what == ("contents", name)) < done.index(("tag", name))
    assert [sort for sort, _name in done].count("array") == (count == 2 and not observed.array)


@EVERY_STATE
@given(OBSERVED)
def test_disks_are_wiped_before_anything_is_made_on_them_and_each_foreign_one_once(observed):
    done = [touched(command) for command in layout.plan(DISKS, "8G", observed)]
    wiped = [name for sort, name in done if sort == "disk"]
    assert wiped == list(layout.foreign(observed))
    assert all(sort == "disk" for sort, _name in done[: len(wiped)])


@given(OBSERVED, st.integers(1, 2))
def test_what_is_not_there_yet_is_announced_new_as_it_is_made(observed, count):
    for command in layout.plan(DISKS[:count], "8G", observed):
        if touched(command)[0] == "volume":
            assert command[command.index("--addtag") + 1] == NEW


@pytest.mark.parametrize("count", [1, 2])
def test_nothing_is_to_be_done_when_all_is_finished(count):
    disks = DISKS[:count]
    signature = "linux_raid_member" if count == 2 else "LVM2_member"
    observed = Observed(dict.fromkeys(disks, (signature,)), frozenset(disks), array=count == 2, group=True, volumes=FINISHED)
    assert layout.plan(disks, "8G", observed) == []


@pytest.mark.parametrize("half", layout.HALVES)
@pytest.mark.parametrize("tags", [(), (NEW,)], ids=["finished", "unfinished"])
def test_a_half_is_made_again_only_while_it_is_tagged(half, tags):
    observed = Observed({"/dev/a": ("LVM2_member",)}, frozenset({"/dev/a"}), group=True, volumes={**FINISHED, half: tags})
    commands = layout.plan(["/dev/a"], "8G", observed)
    assert (["drbdadm", "--force", "create-md", half] in commands) is bool(tags)
    assert {touched(command)[1] for command in commands} == ({half} if tags else set())


@given(OBSERVED)
def test_a_disk_is_foreign_when_it_holds_something_and_is_no_part_of_ours(observed):
    found = layout.foreign(observed)
    assume(found)
    for disk in DISKS:
        assert (disk in found) is (observed.signatures[disk] != () and disk not in observed.members)
        assert found.get(disk, observed.signatures[disk]) == observed.signatures[disk]
