"""Whatever happens to a StorageNode: nothing is lost, no instance notices more than a pause, and all is well again without a person."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterable
from xml.etree import ElementTree

import pytest

from tests.e2e.faults import FAULTS, Fault
from tests.e2e.health import HALVES, RECOVERY, compare_legs, has_nothing_wrong, is_whole, pools_are_sound
from tests.e2e.lab import HARDWARE_NODES, Lab, wait_until
from tests.e2e.loads import ADDRESS, INSTANCE, STORAGE_NODES, Loads, Report


def boots(lab: Lab) -> dict[str, str]:
    """Return what changes where a machine boots."""
    return {machine: lab.boot_id(machine) for machine in ("hn1", "hn2", INSTANCE)}


def fenced(lab: Lab) -> set[str]:
    history = ElementTree.fromstring(lab.run("cn1", "stonith_admin --history '*' --verbose --output-as xml"))  # noqa: S314 - the lab's own
    return {event.get("target", "") for event in history.iter("fence_event") if event.get("status") == "success"}


def say(capsys: pytest.CaptureFixture, text: str) -> None:
    with capsys.disabled():
        print(f"\n{time.strftime('%H:%M:%S')} {text}", flush=True)


def copies(lab: Lab) -> list[str]:
    """Return all that is the instance on the HardwareNodes, what a migration left included."""
    return [line.split()[0] for node in HARDWARE_NODES for line in lab.run(node, "xl list").splitlines() if line.startswith(INSTANCE)]


def check(report: Report, addresses: Iterable[str], expected: tuple[list[str], ...], stall: float) -> None:
    assert not report.wrong()
    for address in addresses:
        assert report.servers[address] in expected, address
    assert report.stall < stall


def answered_by(loads: Loads, serving: str) -> list[str]:
    """Return at which addresses the loads were answered, by it and by nobody else: the instance's volume's, and that of the one by AoE."""
    answered = {address: nodes for address, nodes in loads.servers().items() if serving in nodes}
    addresses = [address for address, nodes in answered.items() if nodes == [serving]]
    assert addresses == [*answered]
    assert ADDRESS in addresses
    assert len(addresses) > 1
    return addresses


def test_a_single_storage_node_became_a_pair(lab: Lab, capsys: pytest.CaptureFixture):
    """The loads began before that."""
    loads = Loads(lab)
    assert loads.are_begun(), "the scenario's prepare.yml begins them"
    report = loads.end()
    say(capsys, f"became a pair: {report.acknowledged} writes, longest pause {report.stall:.1f} s")
    assert ADDRESS in report.servers
    check(report, report.servers, (["sn1"],), FAULTS["power_cut"].stall)


@pytest.mark.parametrize("name", FAULTS)
def test_nothing_is_lost(lab: Lab, capsys: pytest.CaptureFixture, name: str):
    fault = FAULTS[name]
    serving, _half = Loads(lab).home()
    roles = {"serving": serving, "other": next(node for node in STORAGE_NODES if node != serving), "cn1": "cn1"}
    lab.run("cn1", "stonith_admin --cleanup --history '*'")
    loads = Loads(lab)
    loads.begin()
    before = boots(lab)
    # A new pair still copies.
    wait_until("both StorageNodes have all data", lambda: is_whole(lab), RECOVERY)
    time.sleep(10)
    addresses = answered_by(loads, serving)
    begin = time.monotonic()
    endure(lab, fault, roles, lambda: [loads.servers()[address][-1] for address in addresses] == [roles["other"]] * len(addresses))
    recovered = time.monotonic() - begin
    wait_until("the loads go on", lambda: loads.seconds_since_last_write() < 5, fault.stall)
    time.sleep(10)
    report = loads.end()
    pauses = ", ".join(f"{witness} {said['stall']:.1f} s" for witness, said in report.witnesses.items())
    say(capsys, f"{name}: {report.acknowledged} writes, longest pauses {pauses}; all well after {recovered:.0f} s; {report.servers}")
    check(report, addresses, tuple([roles[role] for role in sequence] for sequence in fault.servers), fault.stall)
    assert boots(lab) == before
    assert copies(lab) == [INSTANCE]
    must, may = ({roles[role] for role in who} for who in (fault.fenced, fault.may_be_fenced))
    assert must <= fenced(lab) <= must | may
    wait_until("nothing is wrong", lambda: has_nothing_wrong(lab), RECOVERY)
    assert compare_legs(lab) == dict.fromkeys(HALVES, 0)
    assert pools_are_sound(lab)


def endure(lab: Lab, fault: Fault, roles: dict[str, str], has_moved: Callable[[], bool]) -> None:
    """Let it happen, and wait until all is well again. has_moved: whether the other one answers the loads."""
    serving, other = roles["serving"], roles["other"]
    fault.do(lab, serving, other)
    try:
        if all(sequence[-1] == "other" for sequence in fault.servers):
            wait_until(f"{other} serves", has_moved, fault.stall)
        last(lab, fault, serving, other)
        assert fault.shows(lab, serving, other), "it had no effect"
    finally:
        fault.mend(lab, serving, other)
    wait_until("both StorageNodes have all data", lambda: is_whole(lab), RECOVERY)


def last(lab: Lab, fault: Fault, serving: str, other: str) -> None:
    """Let its time pass."""
    end = time.monotonic() + fault.lasts
    while time.monotonic() < end:
        # A machine that is off has no cable to pull.
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            if fault.holds:
                fault.do(lab, serving, other)
        time.sleep(2)
