from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from plugins.module_utils import _storage_layout as layout
from plugins.module_utils._raid import Array
from plugins.module_utils._storage_layout import NEW, Observed, Signature

DISKS = ["/dev/a", "/dev/b"]
VOLUMES = (layout.IMAGES, layout.CLUSTER, *layout.HALVES)
FINISHED = dict.fromkeys(VOLUMES, ())
MIB, GIB = 1 << 20, 1 << 30
WHOLE = Array("uuid", members=frozenset({"a", "b"}), least=GIB)
# It has lost its second disk, which is still listed, or which is not any more.
BROKEN, SHORT = (replace(WHOLE, members=frozenset({"a"}), lost=frozenset(lost)) for lost in ({"c"}, ()))

# What each command makes or overwrites. A half has its DRBD device and the volume group on it.
HALF, INNER = r"half(?P<name>\d)", r"bareroot_half(?P<name>\d)"
TOUCHES = {
    r"wipefs --all --force (?P<name>/dev/[ab])": "disk",
    rf"mdadm --create {layout.ARRAY} .* (?P<name>/dev/a /dev/b)": "array",
    rf"mdadm {layout.ARRAY} --fail detached --remove (?P<name>detached failed)": "lost",
    rf"mdadm {layout.ARRAY} --add (?P<name>/dev/[ab])": "member",
    rf"vgcreate --yes bareroot (?P<name>/dev/a|{layout.ARRAY})": "group",
    r"lvcreate .* --name (?P<name>images|cluster|half\d) bareroot": "volume",
    rf"drbdadm (down|--force create-md|new-resource|new-minor|attach|primary --force) {HALF}": "contents of half",
    r"drbdsetup disk-options (?P<name>\d) --fencing=dont-care": "contents of half",
    rf"vgremove --yes --force {INNER}": "contents of half",
    r"wipefs --all --force /dev/drbd(?P<name>\d)": "contents of half",
    rf"vgcreate --yes --setautoactivation n --metadatasize 16m {INNER} /dev/drbd(?P=name)": "contents of half",
    rf"lvcreate .* --name pool {INNER}": "contents of half",
    rf"lvremove --yes bareroot/{HALF}": "removed half",
    r"mkfs\.ext4 .* -L bareroot-(?P<name>images|cluster) /dev/bareroot/(?P=name)": "contents",
    rf"lvchange --deltag {layout.NEW.replace('.', '[.]')} bareroot/(?P<name>images|cluster|half\d)": "tag",
    r"udevadm (?P<name>settle)": "nothing",
}


def touched(command):
    """Return what a command makes or overwrites, as (sort, name); a command that is not known fails the test."""
    found = [(sort, match["name"]) for pattern, sort in TOUCHES.items() if (match := re.fullmatch(pattern, " ".join(command)))]
    assert len(found) == 1, f"unknown command: {command}"
    ((sort, name),) = found
    return (sort.removesuffix(" of half").removesuffix(" half"), f"half{name}") if sort.endswith("half") else (sort, name)


TAGS = st.sampled_from([(), (NEW,), ("someone.elses",), ("someone.elses", NEW)])
GROUPS = ["bareroot", *(f"bareroot_{half}" for half in layout.HALVES), "bareroot2"]
SIGNATURES = st.sampled_from([(), ("ext4",), ("LVM2_member",), ("linux_raid_member",), ("PMBR", "gpt")])
SIZES = st.sampled_from([4 << 20, 8 << 20, 1 << 30])
OBSERVED = st.builds(
    lambda sizes, volumes, **others: Observed(volumes=volumes, sizes={name: sizes[name] for name in volumes}, **others),
    sizes=st.fixed_dictionaries(dict.fromkeys([*VOLUMES, "another"], SIZES)),
    signatures=st.fixed_dictionaries(dict.fromkeys(DISKS, SIGNATURES)),
    members=st.frozensets(st.sampled_from(DISKS)),
    claimed=st.frozensets(st.sampled_from(DISKS)),
    returning=st.frozensets(st.sampled_from(DISKS)),
    parted=st.frozensets(st.sampled_from(DISKS)),
    disk_sizes=st.fixed_dictionaries(dict.fromkeys(DISKS, st.sampled_from([GIB - 1, GIB]))),
    array=st.sampled_from([None, WHOLE, BROKEN, SHORT]),
    groups=st.frozensets(st.sampled_from(GROUPS)),
    volumes=st.dictionaries(st.sampled_from([*VOLUMES, "another"]), TAGS),
)
ORIGIN = st.fixed_dictionaries(dict.fromkeys(layout.HALVES, SIZES))
EVERY_STATE = settings(max_examples=200)


@EVERY_STATE
@given(OBSERVED, st.integers(1, 2))
def test_nothing_that_is_finished_is_touched(observed, count):
    finished = {name for name, tags in observed.volumes.items() if NEW not in tags}
    for command in layout.plan(DISKS[:count], "8G", observed):
        sort, name = touched(command)
        assert not (sort == "disk" and name in observed.members | observed.returning), command
        assert not (sort == "disk" and not observed.signatures[name]), command
        assert not (sort == "array" and observed.array), command
        assert not (sort == "member" and name in observed.members), command
        assert not (sort in ("member", "lost") and not observed.array), command
        assert not (sort == "group" and layout.GROUP in observed.groups), command
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
    outside = [disk for disk in DISKS[:count] if disk not in observed.members]
    assert [name for sort, name in done if sort == "member"] == (outside if observed.array else [])


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
    array = WHOLE if count == 2 else None
    observed = Observed(dict.fromkeys(disks, (signature,)), frozenset(disks), array=array, groups=frozenset(GROUPS), volumes=FINISHED)
    assert layout.plan(disks, "8G", observed) == []


@pytest.mark.parametrize("half", layout.HALVES)
@pytest.mark.parametrize("tags", [(), (NEW,)], ids=["finished", "unfinished"])
def test_a_half_is_made_again_only_while_it_is_tagged(half, tags):
    volumes = {**FINISHED, half: tags}
    observed = Observed({"/dev/a": ("LVM2_member",)}, frozenset({"/dev/a"}), groups=frozenset(GROUPS), volumes=volumes)
    commands = layout.plan(["/dev/a"], "8G", observed)
    assert (["drbdadm", "--force", "create-md", half] in commands) is bool(tags)
    assert {touched(command)[1] for command in commands} == ({half} if tags else set())


@given(OBSERVED)
def test_a_disk_is_foreign_when_it_holds_something_and_is_no_part_of_ours(observed):
    found = layout.foreign(observed)
    assume(found)
    for disk in DISKS:
        assert (disk in found) is (observed.signatures[disk] != () and disk not in observed.members | observed.returning)
        assert found.get(disk, observed.signatures[disk]) == observed.signatures[disk]


@EVERY_STATE
@given(OBSERVED, st.integers(1, 2))
def test_the_group_on_a_half_is_removed_just_where_the_half_is_made_again(observed, count):
    commands = layout.plan(DISKS[:count], "8G", observed)
    removed = {command[-1]: index for index, command in enumerate(commands) if command[0] == "vgremove"}
    unfinished = {half for half in layout.HALVES if NEW in observed.volumes.get(half, (NEW,))}
    assert removed.keys() == {f"bareroot_{half}" for half in unfinished} & observed.groups
    for group, index in removed.items():
        # LVM holds the device open until then.
        assert index < commands.index(["drbdadm", "down", group.removeprefix("bareroot_")])


@pytest.mark.parametrize(
    ("signatures", "claimed"),
    [
        ([], False),
        ([("linux_raid_member", "any:bareroot")], True),
        ([("linux_raid_member", "bareroot")], True),
        ([("gpt", ""), ("linux_raid_member", "sn1:bareroot")], True),
        ([("linux_raid_member", "any:data")], False),
        ([("linux_raid_member", "bareroot:data")], False),
        ([("linux_raid_member", "any:bareroot2")], False),
        ([("linux_raid_member", "")], False),
        ([("ext4", "any:bareroot")], False),
        ([("ext4", "bareroot"), ("linux_raid_member", "any:data")], False),
    ],
)
def test_a_disk_is_claimed_by_the_name_of_its_array(signatures, claimed):
    assert layout.is_claimed([Signature(kind, "uuid", label) for kind, label in signatures]) is claimed


@pytest.mark.parametrize(
    ("array", "signatures", "is_part"),
    [
        (WHOLE, [("linux_raid_member", "uuid", "any:bareroot")], True),
        (WHOLE, [("gpt", "", ""), ("linux_raid_member", "uuid", "")], True),
        (WHOLE, [("linux_raid_member", "other", "any:bareroot")], False),
        (WHOLE, [("ext4", "uuid", "any:bareroot")], False),
        (WHOLE, [], False),
        (None, [("linux_raid_member", "uuid", "any:bareroot")], False),
    ],
)
def test_a_disk_is_part_of_the_array_that_runs_by_its_uuid(array, signatures, is_part):
    assert layout.is_part_of(array, [Signature(*signature) for signature in signatures]) is is_part


UNASSEMBLED = "{} belong to the array bareroot, which is not assembled as /dev/md/bareroot: see mdadm --examine"
ANOTHER = (
    "{} belongs to another array bareroot than the one that runs here: "
    "if its data may be lost, stop that array (mdadm --stop) and run wipefs --all on the disk"
)
OUTSIDE = "the volume group bareroot exists already, and {} is not part of it: disks are not added to it here"
ELSEWHERE = "the array /dev/md/bareroot runs on {}, and not on {}: give a disk that it runs on, and one in the place of the other"
ALL_THERE = (
    "the array /dev/md/bareroot has all its disks (a, b), and {} is none of them: "
    "to put it in the place of one, take that one out first, with mdadm /dev/md/bareroot --fail DISK"
)
BOTH = "/dev/a is one of the disks of /dev/md/bareroot: give both"
NOT_ON_ARRAY = "the volume group bareroot exists already, but not on /dev/md/bareroot"
ARRAYS = {"array": WHOLE, "short": SHORT, "broken": BROKEN}


@pytest.mark.parametrize(
    ("count", "members", "claimed", "there", "reason"),
    [
        pytest.param(1, "", "", "", "", id="one-empty-disk"),
        pytest.param(2, "", "", "", "", id="two-empty-disks"),
        pytest.param(1, "a", "", "group", "", id="one-of-ours"),
        pytest.param(2, "ab", "ab", "array, group", "", id="two-of-ours"),
        pytest.param(2, "ab", "ab", "array", "", id="interrupted-after-the-array"),
        pytest.param(1, "a", "a", "array", BOTH, id="one-disk-of-an-unfinished-array"),
        pytest.param(1, "a", "a", "array, group", BOTH, id="two-to-one"),
        pytest.param(2, "a", "", "group", OUTSIDE.format("/dev/b"), id="one-to-two"),
        pytest.param(1, "", "", "group", OUTSIDE.format("/dev/a"), id="another-disk"),
        pytest.param(2, "", "", "group", OUTSIDE.format("/dev/a, /dev/b"), id="two-other-disks"),
        pytest.param(2, "a", "a", "array, group", ALL_THERE.format("/dev/b"), id="a-disk-of-a-whole-array-replaced"),
        pytest.param(2, "a", "a", "array", ALL_THERE.format("/dev/b"), id="unfinished-array-of-another-disk"),
        pytest.param(2, "", "", "array", ELSEWHERE.format("a, b", "/dev/a, /dev/b"), id="unfinished-array-of-other-disks"),
        pytest.param(1, "", "", "array", ELSEWHERE.format("a, b", "/dev/a"), id="unfinished-array-and-another-disk"),
        pytest.param(1, "", "", "short", ELSEWHERE.format("a", "/dev/a"), id="one-new-disk-where-one-was-lost"),
        pytest.param(2, "", "", "short, group", ELSEWHERE.format("a", "/dev/a, /dev/b"), id="two-new-disks-where-one-was-lost"),
        pytest.param(1, "a", "a", "short, group", BOTH, id="the-disk-that-is-left"),
        pytest.param(2, "a", "a", "short, group", "", id="a-lost-disk-replaced"),
        pytest.param(2, "a", "a", "broken", "", id="a-lost-disk-replaced-in-an-unfinished-array"),
        pytest.param(2, "ab", "", "group", NOT_ON_ARRAY, id="group-on-both-without-an-array"),
        pytest.param(2, "", "ab", "", UNASSEMBLED.format("/dev/a, /dev/b"), id="array-not-assembled"),
        pytest.param(2, "", "b", "", UNASSEMBLED.format("/dev/b"), id="one-disk-of-an-array-not-assembled"),
        pytest.param(1, "", "a", "", UNASSEMBLED.format("/dev/a"), id="one-disk-that-was-of-an-array"),
        pytest.param(2, "a", "ab", "array", ANOTHER.format("/dev/b"), id="array-of-another-machine"),
        pytest.param(2, "a", "ab", "short, group", ANOTHER.format("/dev/b"), id="a-lost-disk-replaced-by-another-machines"),
    ],
)
def test_what_wiping_would_not_mend_is_refused(count, members, claimed, there, reason):
    observed = Observed(
        dict.fromkeys(DISKS[:count], ()),
        members=frozenset(f"/dev/{disk}" for disk in members),
        claimed=frozenset(f"/dev/{disk}" for disk in claimed),
        disk_sizes=dict.fromkeys(DISKS, GIB),
        array=next((array for name, array in ARRAYS.items() if name in there), None),
        groups=frozenset(["bareroot"] if "group" in there else ["bareroot2", "bareroot_half0"]),
    )
    assert layout.conflict(DISKS[:count], observed) == reason


@EVERY_STATE
@given(OBSERVED, st.integers(1, 2))
@example(Observed(dict.fromkeys(DISKS, ("LVM2_member",)), frozenset(DISKS), groups=frozenset({"bareroot"})), 2)
def test_what_is_not_refused_never_wipes_a_claimed_disk_nor_makes_an_array_below_a_group(observed, count):
    disks = DISKS[:count]
    if layout.conflict(disks, observed):
        return
    done = [touched(command) for command in layout.plan(disks, "8G", observed)]
    assert not {name for sort, name in done if sort == "disk"} & observed.claimed
    added = {name for sort, name in done if sort == "member"}
    assert len(added) <= (observed.array.vacant if observed.array else 0)
    assert not added & observed.parted
    assert all(observed.disk_sizes[name] >= GIB for name in added)
    if layout.GROUP in observed.groups and not observed.array:
        assert not {"disk", "array", "group"} & {sort for sort, name in done if sort != "disk" or name in disks}


def degraded(array, *signatures, **changes):
    """Return a finished machine whose array runs on the first of two disks only, with what the second one holds."""
    return Observed(
        {"/dev/a": ("linux_raid_member",), "/dev/b": signatures},
        members=frozenset({"/dev/a"}),
        disk_sizes=dict.fromkeys(DISKS, GIB),
        array=array,
        groups=frozenset(GROUPS),
        volumes=FINISHED,
        **changes,
    )


REMOVE = ["mdadm", layout.ARRAY, "--fail", "detached", "--remove", "detached", "failed"]
ADD = ["mdadm", layout.ARRAY, "--add", "/dev/b"]
OURS = frozenset({"/dev/b"})


@pytest.mark.parametrize(
    ("observed", "commands"),
    [
        pytest.param(degraded(SHORT), [ADD], id="empty"),
        pytest.param(degraded(BROKEN), [REMOVE, ADD], id="empty-and-the-other-still-listed"),
        pytest.param(degraded(SHORT, "ext4"), [["wipefs", "--all", "--force", "/dev/b"], ADD], id="held"),
        pytest.param(degraded(SHORT, "linux_raid_member", claimed=OURS, returning=OURS), [ADD], id="returning"),
        pytest.param(degraded(BROKEN, "linux_raid_member", claimed=OURS, returning=OURS), [REMOVE, ADD], id="failed-and-listed"),
    ],
)
def test_a_disk_takes_the_place_of_one_that_was_lost(observed, commands):
    assert layout.conflict(DISKS, observed) == ""
    assert layout.plan(DISKS, "8G", observed) == commands
    assert list(layout.foreign(observed)) == [command[-1] for command in commands if command[0] == "wipefs"]


@pytest.mark.parametrize(
    ("size", "is_refused"), [(GIB - 1, True), (GIB, False), (2 * GIB, False)], ids=["smaller", "just-enough", "larger"]
)
@pytest.mark.parametrize("returning", [frozenset(), OURS], ids=["new", "returning"])
def test_a_disk_that_is_too_small_for_the_array_is_refused(size, is_refused, returning):
    observed = degraded(BROKEN, returning=returning)
    observed = replace(observed, disk_sizes={"/dev/a": 3 * GIB, "/dev/b": size})
    assert layout.conflict(DISKS, observed) == (
        f"/dev/b has {size} bytes, and a disk of /dev/md/bareroot needs {GIB}: give one as large as the other" if is_refused else ""
    )


def test_a_disk_that_has_run_without_the_other_is_refused():
    observed = degraded(SHORT, "linux_raid_member", claimed=OURS, returning=OURS, parted=OURS)
    assert layout.conflict(DISKS, observed) == (
        "/dev/b has run without the other disk of /dev/md/bareroot, and may hold what that one does not: "
        "if that may be lost, run wipefs --all /dev/b"
    )


def test_what_is_lost_stays_listed_while_nothing_takes_its_place():
    observed = replace(degraded(replace(BROKEN, members=frozenset({"a", "b"}))), members=frozenset(DISKS))
    assert layout.plan(DISKS, "8G", observed) == []


def test_the_cluster_engine_has_its_file_system_before_the_halves_take_the_rest():
    commands = layout.plan(["/dev/a"], "8G", Observed({"/dev/a": ()}))
    made = commands.index(["lvcreate", "--yes", "--wipesignatures=y", "--addtag", NEW, "--size", "128M", "--name", "cluster", "bareroot"])
    assert commands[made - 1][-2:] == ["images", "bareroot"]
    assert commands[made + 1] == ["mkfs.ext4", "-q", "-F", "-m", "0", "-L", "bareroot-cluster", "/dev/bareroot/cluster"]
    assert commands[made + 2] == ["lvchange", "--deltag", NEW, "bareroot/cluster"]
    assert commands[made + 3][-2:] == ["half0", "bareroot"]


def test_a_file_system_has_a_label_that_ext4_can_hold():
    assert all(len(f"bareroot-{name}") <= 16 for name in (layout.IMAGES, layout.CLUSTER))


@pytest.mark.parametrize("half", layout.HALVES)
def test_a_half_that_joins_gets_its_size_and_metadata_and_no_more(half):
    observed = Observed(
        {"/dev/a": ("LVM2_member",)},
        frozenset({"/dev/a"}),
        groups=frozenset({"bareroot"}),
        volumes={name: () for name in VOLUMES if name != half},
        sizes=dict.fromkeys(VOLUMES, 1 << 30),
    )
    assert layout.plan(["/dev/a"], "8G", observed, dict.fromkeys(layout.HALVES, 1 << 30)) == [
        ["lvcreate", "--yes", "--wipesignatures=y", "--addtag", NEW, "--size", "1073741824b", "--name", half, "bareroot"],
        ["drbdadm", "down", half],
        ["drbdadm", "--force", "create-md", half],
        ["lvchange", "--deltag", NEW, f"bareroot/{half}"],
    ]


@pytest.mark.parametrize("seen", [True, False], ids=["group-in-sight", "group-out-of-sight"])
def test_an_unfinished_half_of_another_size_is_made_anew_before_a_half_that_joins(seen):
    groups = frozenset({"bareroot", "bareroot_half0"} if seen else {"bareroot"})
    volumes = {"images": (NEW,), "cluster": (), "half0": (NEW,)}
    observed = Observed({"/dev/a": ("LVM2_member",)}, frozenset({"/dev/a"}), groups=groups, volumes=volumes, sizes={"half0": 3 << 30})
    commands = layout.plan(["/dev/a"], "8G", observed, dict.fromkeys(layout.HALVES, 1 << 30))
    removal = [["drbdadm", "down", "half0"], ["lvremove", "--yes", "bareroot/half0"]]
    assert commands[: 2 + seen] == ([["vgremove", "--yes", "--force", "bareroot_half0"], *removal] if seen else removal)
    assert commands[2 + seen][-6:] == [NEW, "--size", "1073741824b", "--name", "half0", "bareroot"]
    assert not [command for command in commands[2 + seen :] if command[0] == "vgremove"]


@EVERY_STATE
@given(OBSERVED, ORIGIN, st.integers(1, 2))
def test_where_data_will_be_copied_to_nothing_is_promoted_and_nothing_put(observed, origin, count):
    commands = layout.plan(DISKS[:count], "8G", observed, origin)
    for command in commands:
        assert command[0] != "drbdadm" or command[1:-1] in (["down"], ["--force", "create-md"]), command
        assert not any(word.startswith("/dev/drbd") or word == "pool" for word in command), command
    unfinished = [half for half in layout.HALVES if NEW in observed.volumes.get(half, (NEW,))]
    assert [command[-1] for command in commands if "create-md" in command] == unfinished


@EVERY_STATE
@given(OBSERVED, ORIGIN, st.integers(1, 2))
def test_each_half_that_joins_ends_finished_and_as_large_as_the_other(observed, origin, count):
    sizes = {half: observed.sizes[half] for half in layout.HALVES if half in observed.volumes}
    finished = {half for half in sizes if NEW not in observed.volumes[half]}
    for command in layout.plan(DISKS[:count], "8G", observed, origin):
        sort, name = touched(command)
        assert not (sort in ("removed", "volume", "contents", "tag") and name in finished), command
        if sort == "removed":
            del sizes[name]
        if sort == "volume" and name in layout.HALVES:
            assert name not in sizes
            sizes[name] = int(command[command.index("--size") + 1].removesuffix("b"))
        if sort == "contents" and "create-md" in command:
            assert sizes[name] == origin[name]
    assert all(sizes[half] == origin[half] for half in layout.HALVES if half not in finished)


@pytest.mark.parametrize(
    ("sizes", "room"),
    [
        pytest.param([20 * GIB], 20 * GIB - 4 * MIB, id="what-lvm-keeps-and-whole-extents"),
        pytest.param([20 * GIB + MIB], 20 * GIB, id="just-what-lvm-keeps"),
        pytest.param([20 * GIB, 20 * GIB], 20 * GIB - 20 * MIB, id="what-mdadm-keeps"),
        pytest.param([1024 * GIB, 1024 * GIB], 1024 * GIB - 132 * MIB, id="the-most-that-mdadm-keeps"),
        pytest.param([20 * GIB, 30 * GIB], 20 * GIB - 20 * MIB, id="the-smaller-disk-counts"),
        pytest.param([30 * GIB, 20 * GIB], 20 * GIB - 20 * MIB, id="wherever-it-is"),
    ],
)
def test_the_room_on_new_disks(sizes, room):
    assert layout.room(sizes) == room


def observed_with(free, **volumes):
    """Return a machine whose volume group has these volumes, each (size, tags)."""
    return Observed(
        {"/dev/a": ()},
        volumes={name: tags for name, (_size, tags) in volumes.items()},
        sizes={name: size for name, (size, _tags) in volumes.items()},
        free=free,
    )


FILE_SYSTEMS = {"images": (8 * GIB, ()), "cluster": (128 * MIB, ())}
OTHER = {"half0": 5 * GIB, "half1": 6 * GIB}
ALL = 8 * GIB + 128 * MIB + 11 * GIB


@pytest.mark.parametrize(
    ("observed", "needed", "free"),
    [
        pytest.param(observed_with(ALL), ALL, ALL, id="new-disks"),
        pytest.param(observed_with(11 * GIB, **FILE_SYSTEMS), 11 * GIB, 11 * GIB, id="halves"),
        pytest.param(observed_with(6 * GIB, half0=(5 * GIB, ()), **FILE_SYSTEMS), 6 * GIB, 6 * GIB, id="one-half"),
        pytest.param(observed_with(6 * GIB, half0=(5 * GIB, (NEW,)), **FILE_SYSTEMS), 6 * GIB, 6 * GIB, id="kept-though-unfinished"),
        pytest.param(observed_with(9 * GIB, half0=(2 * GIB, (NEW,)), **FILE_SYSTEMS), 11 * GIB, 11 * GIB, id="made-anew"),
    ],
)
def test_what_is_to_be_copied_needs_room(observed, needed, free):
    assert layout.misfit("8G", observed, OTHER) == ""
    fuller = replace(observed, free=observed.free - 1)
    assert layout.misfit("8G", fuller, OTHER) == (
        f"a copy of the other StorageNode's halves needs {needed} bytes here, and the disks have {free - 1} bytes left: "
        "give storage_node_disks as large as the other's and the same storage_node_images_size"
    )


@pytest.mark.parametrize("size", [4 * GIB, 6 * GIB], ids=["smaller", "larger"])
def test_a_finished_half_of_another_size_is_refused_whatever_room_there_is(size):
    assert layout.misfit("8G", observed_with(ALL, half0=(size, ()), **FILE_SYSTEMS), OTHER) == (
        f"half0 has {size} bytes here and {5 * GIB} bytes on the other StorageNode, but DRBD needs the same on both: "
        "give storage_node_disks as large as the other's"
    )


@pytest.mark.parametrize("origin", [OTHER, {}], ids=["joined", "alone"])
def test_halves_that_are_finished_need_no_room(origin):
    halves = {half: (size, ()) for half, size in OTHER.items()}
    assert layout.misfit("8G", observed_with(0, **halves), origin) == ""


def test_a_storage_node_that_is_alone_is_never_a_misfit():
    assert layout.misfit("8G", observed_with(0), {}) == ""


@given(OBSERVED)
def test_an_unfinished_half_is_not_listed(observed):
    wanted = {half for half, tags in observed.volumes.items() if half in layout.HALVES and NEW not in tags}
    assert layout.finished_halves(observed) == {half: observed.sizes[half] for half in wanted}
