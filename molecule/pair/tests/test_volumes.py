"""What can be done with a volume that somebody writes to: it grows; a snapshot of it is taken, and what it holds comes back."""

from __future__ import annotations

from tests.e2e.lab import Lab
from tests.e2e.loads import ADDRESS, INSTANCE, Loads, wait_for_instance

MIB = 1 << 20


def test_a_volume_grows_while_it_is_written(lab: Lab):
    loads = Loads(lab)
    loads.begin()
    serving, half = loads.home()
    lab.module(serving, "volume", name="load", size="32M", half=half, export="aoe", address=ADDRESS)
    lab.run("hn1", f"/usr/lib/bareroot/volumes-ready {ADDRESS}")
    assert int(lab.run("hn1", f"blockdev --getsize64 /dev/etherd/e{ADDRESS}")) == 32 * MIB
    assert not loads.end().wrong()
    # The next loads have one of their own size.
    lab.module(serving, "volume", name="load", state="absent")


def test_an_instance_has_again_what_a_snapshot_of_it_holds(lab: Lab):
    """It is taken while the instance runs, and holds what was stable then."""
    snapshot = ("-e", f"instance={INSTANCE}", "-e", "snapshot=kept")
    lab.run(INSTANCE, "echo before >/root/state && sync")
    lab.playbook("snapshot.yml", *snapshot)
    lab.run(INSTANCE, "echo after >/root/state && sync")
    lab.playbook("instances.yml", "-e", "instance_state=stopped")
    lab.playbook("snapshot.yml", *snapshot, "-e", "snapshot_state=rolled_back", "-e", "discard_changes=true")
    lab.playbook("instances.yml")
    wait_for_instance(lab)
    assert lab.run(INSTANCE, "cat /root/state") == "before\n"
    lab.playbook("snapshot.yml", *snapshot, "-e", "snapshot_state=absent")
    serving, _half = Loads(lab).home()
    assert lab.run(serving, f"lvs --noheadings --options lv_name --select lv_name={INSTANCE}-root-kept") == ""
