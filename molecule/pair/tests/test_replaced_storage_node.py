"""A StorageNode that was replaced by one with blank disks has all data again after site.yml; instances run on meanwhile."""

from __future__ import annotations

from tests.e2e.health import HALVES, RECOVERY, compare_legs, has_nothing_wrong, is_whole
from tests.e2e.lab import Lab, wait_until
from tests.e2e.loads import STORAGE_NODES, Loads


def test_a_replaced_storage_node_gets_all_data(lab: Lab):
    loads = Loads(lab)
    loads.begin()
    serving, _half = loads.home()
    (replaced,) = (node for node in STORAGE_NODES if node != serving)
    lab.power(replaced, "off")
    wait_until(f"{replaced} is off", lambda: lab.is_off(replaced), 60)
    for number in (0, 1):
        lab.blank_disk(replaced, number)
    lab.power(replaced, "on")
    lab.playbook("site.yml")
    wait_until("both StorageNodes have all data", lambda: is_whole(lab), RECOVERY)
    assert not loads.end().wrong()
    wait_until("nothing is wrong", lambda: has_nothing_wrong(lab), RECOVERY)
    assert compare_legs(lab) == dict.fromkeys(HALVES, 0)
