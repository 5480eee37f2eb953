from __future__ import annotations

import pytest

from plugins.module_utils import _raid
from plugins.module_utils._raid import Array

UUID = "5ac3a0c4-4a5c-c2f8-e7e6-2a7fc9a0d7f5"
COMPONENT, OFFSET = 20954112, 32768
LEAST = COMPONENT * 1024 + OFFSET * 512


def member(name, state="in_sync", number="254:16", offset=OFFSET):
    """Return what the kernel has of a member; of one whose disk is gone it has no number any more."""
    known = {f"dev-{name}/state": state, f"dev-{name}/offset": str(offset)}
    return {**known, f"dev-{name}/block/dev": number} if number else known


def array(*members, places="2"):
    found = {"uuid": UUID, "raid_disks": places, "component_size": str(COMPONENT)}
    for each in members:
        found.update(each)
    return found


@pytest.mark.parametrize(
    ("attributes", "members", "lost", "rebuilding"),
    [
        pytest.param(array(member("vdb"), member("vdc")), {"vdb", "vdc"}, set(), False, id="whole"),
        pytest.param(array(member("vdb")), {"vdb"}, set(), False, id="one-removed"),
        pytest.param(array(member("vdb"), member("vdc", "faulty")), {"vdb"}, {"vdc"}, False, id="one-failed"),
        pytest.param(array(member("vdb"), member("vdc", "faulty,blocked")), {"vdb"}, {"vdc"}, False, id="one-failing"),
        pytest.param(array(member("vdb"), member("vdc", number="")), {"vdb"}, {"vdc"}, False, id="one-pulled-and-nobody-noticed"),
        pytest.param(array(member("vdb"), member("vdc", "faulty", number="")), {"vdb"}, {"vdc"}, False, id="one-pulled"),
        pytest.param(array(member("vdb"), member("vdd", "spare")), {"vdb", "vdd"}, set(), True, id="one-rebuilt"),
        pytest.param(array(member("vdb"), member("vdd", "spare"), member("vdc", "faulty")), {"vdb", "vdd"}, {"vdc"}, True, id="both"),
        pytest.param(array(member("vdb", "in_sync,write_error"), member("vdc")), {"vdb", "vdc"}, set(), False, id="with-errors"),
        pytest.param(array(member("cciss!c0d0")), {"cciss/c0d0"}, set(), False, id="a-name-with-a-slash"),
    ],
)
def test_what_the_kernel_has_of_an_array_is_read(attributes, members, lost, rebuilding):
    assert _raid.read(attributes) == Array(UUID, 2, frozenset(members), frozenset(lost), LEAST, rebuilding)


def test_a_member_needs_as_much_as_where_its_data_begin_furthest_back():
    assert _raid.read(array(member("vdb"), member("vdc", offset=264192))).least == COMPONENT * 1024 + 264192 * 512


def test_what_failed_takes_no_place():
    assert _raid.read(array(member("vdb"), member("vdc"))).vacant == 0
    assert _raid.read(array(member("vdb"), member("vdc", "faulty"))).vacant == 1
    assert _raid.read(array(member("vdb"), places="3 (2)")).vacant == 2


# As mdadm 4.4 prints it.
EXAMINED = """/dev/vdc:
          Magic : a92b4efc
        Version : 1.2
    Feature Map : 0x1
     Array UUID : 5ac3a0c4:4a5cc2f8:e7e62a7f:c9a0d7f5
           Name : any:bareroot
  Creation Time : Sat Nov 21 10:00:00 2026
     Raid Level : raid1
   Raid Devices : 2

 Avail Dev Size : 41910272 sectors (19.98 GiB 21.46 GB)
     Array Size : 20954112 KiB (19.98 GiB 21.46 GB)
  Used Dev Size : 41908224 sectors (19.98 GiB 21.46 GB)
    Data Offset : 32768 sectors
   Super Offset : 8 sectors
   Unused Space : before=32688 sectors, after=2048 sectors
          State : clean
    Device UUID : 0f6a5c6e:4c1b1c58:9f1d6b1a:3a0f4b8e

Internal Bitmap : 8 sectors from superblock
    Update Time : Sat Nov 21 11:00:00 2026
  Bad Block Log : 512 entries available at offset 16 sectors
       Checksum : 5e1b6d1f - correct
         Events : 42


   Device Role : {}
   Array State : {} ('A' == active, '.' == missing, 'R' == replacing)
"""


@pytest.mark.parametrize(
    ("examined", "has_parted"),
    [
        pytest.param(EXAMINED.format("Active device 1", "AA"), False, id="it-failed-or-was-pulled"),
        pytest.param(EXAMINED.format("Active device 1", "RA"), False, id="the-other-was-being-replaced"),
        pytest.param(EXAMINED.format("Active device 1", ".A"), True, id="it-ran-alone"),
        pytest.param(EXAMINED.format("Active device 0", "A."), True, id="it-ran-alone-as-the-first"),
        pytest.param(EXAMINED.format("Active device 1", "A."), False, id="it-knows-that-it-is-missing"),
        pytest.param(EXAMINED.format("spare", "A."), False, id="it-was-only-just-added"),
        pytest.param("mdadm: No md superblock detected on /dev/vdc.\n", True, id="nothing-known"),
    ],
)
def test_a_disk_that_ran_without_the_others_knows_that_they_are_missing(examined, has_parted):
    assert _raid.has_parted(examined) is has_parted


HEAD = "Personalities : [raid1] [raid6]\n"
TAIL = "\nunused devices: <none>\n"
BITMAP = "      bitmap: 0/1 pages [0KB], 65536KB chunk\n"


def mdstat(*arrays):
    return HEAD + "\n".join(arrays) + TAIL


def raid1(members, working, rest=BITMAP, name="md127", state="active raid1"):
    flags = {"2/2": "UU", "2/1": "U_", "3/2": "U_U"}[working]
    return f"{name} : {state} {members}\n      20954112 blocks super 1.2 [{working}] [{flags}]\n{rest}"


WHOLE = raid1("vdc[1] vdb[0]", "2/2")
LOST = raid1("vdc[1](F) vdb[0]", "2/1")
PROGRESS = "      [==>..................]  recovery = 12.6% (2640512/20954112) finish=1.2min speed=240000K/sec\n"
RESYNC = "      [=>...................]  resync =  6.1% (1289920/20954112) finish=1.2min speed=240000K/sec\n"
HAS_LOST = "has lost a disk; put in another one, name it in storage_node_disks, then run playbooks/site.yml"
REBUILT = "is being rebuilt{}; until that is over, one disk alone has all the data"
NAMED = "the RAID1 of the data disks ({})"


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        pytest.param("", [], id="no-md"),
        pytest.param(mdstat(), [], id="one-disk"),
        pytest.param(mdstat(WHOLE), [], id="whole"),
        pytest.param(mdstat(raid1("vdc[1] vdb[0]", "2/2", RESYNC + BITMAP)), [], id="new"),
        pytest.param(mdstat(raid1("vdc[1] vdb[0]", "2/2", state="active (auto-read-only) raid1")), [], id="not-written-yet"),
        pytest.param(mdstat(LOST), [f"{NAMED.format('md127')} {HAS_LOST}"], id="failed"),
        pytest.param(mdstat(raid1("vdb[0]", "2/1")), [f"{NAMED.format('md127')} {HAS_LOST}"], id="removed"),
        pytest.param(
            mdstat(raid1("vdd[2] vdb[0]", "2/1", PROGRESS + BITMAP)),
            [f"{NAMED.format('md127')} {REBUILT.format(', 12.6 % done')}"],
            id="rebuilt",
        ),
        pytest.param(
            mdstat(raid1("vdd[2] vdb[0]", "2/1", "      \trecovery=DELAYED\n")),
            [f"{NAMED.format('md127')} {REBUILT.format('')}"],
            id="to-be-rebuilt",
        ),
        pytest.param(
            mdstat(WHOLE, raid1("vdd[0]", "2/1", name="md126")), [f"{NAMED.format('md126')} {HAS_LOST}"], id="another-one-beside-it"
        ),
        pytest.param(
            mdstat("md127 : inactive vdb[0](S)\n      20971520 blocks super 1.2\n       \n"),
            [f"{NAMED.format('md127')} does not run; see there mdadm --examine --scan and systemctl list-timers mdadm-*"],
            id="waits-for-its-other-disk",
        ),
    ],
)
def test_what_is_wrong_with_an_array_is_said(text, problems):
    assert _raid.problems(text) == problems
