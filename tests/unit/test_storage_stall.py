"""What a takeover's journal says, and what is made of it."""

from __future__ import annotations

import pytest

from tests.bench import storage_stall

JOURNAL = """1000.5 sn2 corosync[8]:   [TOTEM ] Token has not been received in 7988 ms
1020.0 sn2 corosync[8]:   [TOTEM ] A new membership (1.11) was formed. Members left: 11
1033.0 sn2 pacemaker-controld[9]:  notice: Peer sn1 was terminated (reboot) by cn1 on behalf of pacemaker-controld.3366@cn1: OK
1040.0 sn2 pacemaker-controld[9]:  notice: Result of promote operation for bareroot-drbd-half1 on sn2: OK
1051.5 sn2 pacemaker-controld[9]:  notice: Result of promote operation for bareroot-drbd-half0 on sn2: OK
1060.5 sn2 pacemaker-controld[9]:  notice: Result of start operation for bareroot-half0 on sn2: OK
1070.0 sn2 pacemaker-controld[9]:  notice: Result of start operation for bareroot-half1 on sn2: OK
1090.0 sn2 corosync[8]:   [TOTEM ] A new membership (1.12) was formed. Members joined: 11
"""
FIGURES = [
    {"how": "by hand", "seconds": [8.0, 10.0]},
    {"how": "shut down", "waits": {"nvme": 12.0, "aoe": 20.0}},
    {"how": "power cut", "waits": {"nvme": 60.0, "aoe": 90.0}, "steps": storage_stall.steps(JOURNAL, "sn1", "half0", 1000.0)},
]


def test_each_step_lasts_until_the_next_and_is_of_that_half():
    assert storage_stall.steps(JOURNAL, "sn1", "half0", 1000.0) == {"detection": 20.0, "fencing": 13.0, "promotion": 18.5, "exports": 9.0}


@pytest.mark.parametrize(("peer", "half", "missing"), [("sn2", "half0", "fencing"), ("sn1", "half2", "promotion")])
def test_a_step_that_is_not_there_is_not_made_up(peer, half, missing):
    with pytest.raises(ValueError, match=f"no {missing} in the journal"):
        storage_stall.steps(JOURNAL, peer, half, 1000.0)


def test_a_stall_is_compared_with_what_it_takes_at_least():
    assert list(storage_stall.report(FIGURES, 10000)) == [
        "by hand: 8.0, 10.0 s",
        "shut down, nvme: 12.0 s; / by hand = 1.20; limit 1.5 kept",
        "shut down, aoe: 20.0 s; / by hand = 2.00; limit 1.5 MISSED by 0.50",
        "a power cut's parts: detection 20.0, fencing 13.0, promotion 18.5, exports 9.0 s; timers 23.4 s",
        "power cut, nvme: 60.0 s; / timers, fencing, promotion, exports = 0.94; limit 1.2 kept",
        "power cut, aoe: 90.0 s; / timers, fencing, promotion, exports = 1.41; limit 1.2 MISSED by 0.21",
    ]
