from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils import _drbd
from plugins.module_utils._drbd import Half

HEADER = "version: 8.4.11 (api:1/proto:86-101)\nsrcversion: 7AB6CDCC6C4E5B8B3A7C4C2 \n"
COUNTERS = "    ns:1048576 nr:0 dw:1048600 dr:2120 al:14 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:{}\n"
GOOD = " 0: cs:Connected ro:Primary/Secondary ds:UpToDate/UpToDate C r-----\n"
OTHER = " 1: cs:Connected ro:Secondary/Primary ds:UpToDate/UpToDate C r-----\n"
SINGLE = " 0: cs:StandAlone ro:Primary/Unknown ds:UpToDate/DUnknown   r-----\n"
CONNECTED = Half("Connected", "Primary", "Secondary", "UpToDate", "UpToDate")
ALONE = Half("StandAlone", "Primary", "Unknown", "UpToDate", "DUnknown")


def said(*blocks):
    return HEADER + "".join(blocks)


def changed(half, **changes):
    return Half(**{**vars(half), **changes})


def test_a_pair_in_sync():
    assert _drbd.parse(said(GOOD, COUNTERS.format(0), OTHER, COUNTERS.format(0))) == {
        "half0": CONNECTED,
        "half1": changed(CONNECTED, role="Secondary", peer_role="Primary"),
    }


def test_a_single_storage_node_has_no_protocol():
    assert _drbd.parse(said(SINGLE, COUNTERS.format(0))) == {"half0": ALONE}


@pytest.mark.parametrize(
    ("progress", "synced"),
    [
        ("\t[====>...............] sync'ed: 23.5% (3912/5115)M\n\tfinish: 0:01:02 speed: 62,345 (58,123) K/sec\n", 23.5),
        ("\t[>....................] sync'ed:  0.4% (204800/205820)K\n\tfinish: 0:00:09 speed: 204 (204) want: 40,960 K/sec\n", 0.4),
        ("\t[===================>] sync'ed:100.0% (0/5115)M\n\tfinish: 0:00:00 speed: 1,062,345 (58,123) K/sec (stalled)\n", 100.0),
        ("\t[====>...............] verified: 23.5% (3912/5115)M\n\tfinish: 0:01:02 speed: 62,345 (58,123) K/sec\n", None),
        ("", None),
    ],
    ids=["large", "small", "done", "verify", "none"],
)
def test_a_resync_says_how_far_it_is(progress, synced):
    device = " 0: cs:SyncTarget ro:Secondary/Primary ds:Inconsistent/UpToDate C r-----\n"
    found = _drbd.parse(said(device, COUNTERS.format(4005888), progress, OTHER, COUNTERS.format(0)))
    assert found["half0"] == Half("SyncTarget", "Secondary", "Primary", "Inconsistent", "UpToDate", False, 4005888 * 1024, synced)
    assert (found["half1"].out_of_sync, found["half1"].synced) == (0, None)


@pytest.mark.parametrize(
    ("flags", "suspended"), [("r-----", False), ("s-----", True), ("rapus-", False), ("r----s", False), ("r---d-", False), ("s---ns", True)]
)
def test_only_the_first_flag_says_that_io_is_suspended(flags, suspended):
    device = f" 0: cs:WFConnection ro:Primary/Unknown ds:UpToDate/DUnknown C {flags}\n"
    assert _drbd.parse(said(device, COUNTERS.format(8)))["half0"].suspended is suspended


def test_a_device_may_be_unconfigured_and_others_missing():
    assert _drbd.parse(said("\n 1: cs:Unconfigured\n")) == {"half1": Half("Unconfigured")}


def test_devices_that_are_no_halves_are_left_out():
    assert _drbd.parse(said("\n", GOOD.replace("0:", "2:", 1), COUNTERS.format(0), GOOD.replace(" 0:", "10:"), COUNTERS.format(0))) == {}


@pytest.mark.parametrize("text", ["", HEADER], ids=["empty", "no-devices"])
def test_without_devices_there_is_nothing(text):
    assert _drbd.parse(text) == {}


@pytest.mark.parametrize("line", [" 0: Connected\n", " 0: cs:Connected ro:Primary ds:UpToDate C r-----\n", " 0: cs:Connected st:x\n"])
def test_what_is_not_drbd_84s_is_refused(line):
    with pytest.raises(ValueError, match=r"/proc/drbd is not DRBD 8\.4's: ' 0: "):
        _drbd.parse(said(line, COUNTERS.format(0)))


WORDS = st.from_regex(r"[A-Z][A-Za-z]{0,9}", fullmatch=True)
HALVES = st.builds(Half, WORDS, WORDS, WORDS, WORDS, WORDS, st.booleans(), st.integers(0, 2**40).map(lambda kib: kib * 1024), st.just(None))


@given(HALVES, HALVES, st.sampled_from(["A", "B", "C", " "]))
def test_what_is_written_is_read(first, second, protocol):
    text = "".join(
        f" {minor}: cs:{half.connection} ro:{half.role}/{half.peer_role} ds:{half.disk}/{half.peer_disk} {protocol} "
        f"{'s' if half.suspended else 'r'}-----\n{COUNTERS.format(half.out_of_sync // 1024)}"
        for minor, half in enumerate((first, second))
    )
    assert _drbd.parse(said(text)) == {"half0": first, "half1": second}


def problems(half, is_pair=True):
    """Return what is wrong with half0, where half1 is as it should be."""
    good = CONNECTED if is_pair else ALONE
    return _drbd.problems({"half1": good, **({"half0": half} if half else {})}, is_pair)


@pytest.mark.parametrize(
    ("half", "is_pair"),
    [
        (CONNECTED, True),
        (changed(CONNECTED, role="Secondary", peer_role="Primary"), True),
        (changed(CONNECTED, connection="VerifyS"), True),
        (ALONE, False),
        (changed(ALONE, out_of_sync=4096), False),
    ],
    ids=["primary", "secondary", "verify", "single", "single-with-room-for-a-second"],
)
def test_nothing_is_wrong(half, is_pair):
    assert problems(half, is_pair) == []


@pytest.mark.parametrize("half", [None, Half("Unconfigured")], ids=["missing", "unconfigured"])
@pytest.mark.parametrize(("is_pair", "hint"), [(True, "in maintenance only"), (False, "systemctl status bareroot-storage.service")])
def test_drbd_that_is_down_is_wrong(half, is_pair, hint):
    (problem,) = problems(half, is_pair)
    assert problem.startswith("half0: DRBD is down for it; ")
    assert hint in problem


def test_without_drbd_both_halves_are_wrong():
    assert [problem.split(":")[0] for problem in _drbd.problems({}, True)] == ["half0", "half1"]


@pytest.mark.parametrize(
    ("disk", "is_pair", "hint"),
    [
        ("Diskless", True, "drbdadm attach half0"),
        ("Failed", False, "drbdadm attach half0"),
        ("Outdated", True, "as soon as the other StorageNode is connected"),
        ("Inconsistent", False, "journalctl --dmesg"),
    ],
)
def test_data_that_is_not_up_to_date_is_wrong(disk, is_pair, hint):
    (problem,) = problems(changed(CONNECTED if is_pair else ALONE, disk=disk), is_pair)
    assert problem.startswith(f"half0: its data here is {disk}, not UpToDate; ")
    assert hint in problem


@pytest.mark.parametrize(
    ("connection", "wrong", "hint"),
    [
        ("StandAlone", "not connected (StandAlone): the two StorageNodes' data has parted or was never one", "--discard-my-data half0"),
        ("WFConnection", "not connected (WFConnection)", "is the other StorageNode on"),
        ("NetworkFailure", "not connected (NetworkFailure)", "is the other StorageNode on"),
        ("PausedSyncS", "a resync waits (PausedSyncS)", "only one StorageNode has all the data"),
        ("WFBitMapT", "a resync waits (WFBitMapT)", "only one StorageNode has all the data"),
    ],
)
def test_a_pair_that_is_not_connected_or_waits_is_wrong(connection, wrong, hint):
    (problem,) = problems(changed(CONNECTED, connection=connection))
    assert problem.startswith(f"half0: {wrong}; ")
    assert hint in problem.split("; ", 1)[1]


@pytest.mark.parametrize(
    ("half", "wrong"),
    [
        (changed(CONNECTED, connection="SyncSource", peer_disk="Inconsistent", synced=23.5), "the other StorageNode is being brought up"),
        (changed(CONNECTED, connection="SyncTarget", disk="Inconsistent", synced=23.5), "it is being brought up to date here"),
    ],
    ids=["source", "target"],
)
def test_a_resync_is_told_with_its_percent_and_told_once(half, wrong):
    (problem,) = problems(half)
    assert problem.startswith(f"half0: {wrong}")
    assert ", 23.5 % done; " in problem
    (problem,) = problems(changed(half, synced=None))
    assert "%" not in problem


def test_what_a_comparison_found_is_wrong():
    (problem,) = problems(changed(CONNECTED, out_of_sync=8192))
    assert problem.startswith("half0: 8 KiB differ on the two StorageNodes; ")


@pytest.mark.parametrize(("is_pair", "hint"), [(True, "has been fenced"), (False, "drbdadm resume-io half0")])
def test_suspended_io_is_wrong(is_pair, hint):
    (problem,) = problems(changed(CONNECTED if is_pair else ALONE, suspended=True), is_pair)
    assert problem.startswith("half0: its I/O is suspended; ")
    assert hint in problem


def test_all_that_is_wrong_is_told():
    found = problems(Half("WFConnection", "Primary", "Unknown", "Consistent", "DUnknown", suspended=True))
    assert [problem.split(" ")[1] for problem in found] == ["its", "not", "its"]
