"""Who waits for a volume waits longer than any takeover may take, whatever token is chosen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from plugins.module_utils import _timers

FILES = Path(__file__).parents[4] / "roles/node_image/files"
TOKENS = (_timers.LEAST_TOKEN, 10000, _timers.MOST_TOKEN)
# What a person needs to come and look, where a step fails.
HOUR = 3600


def setting(file: str, pattern: str) -> int:
    return int(re.search(pattern, (FILES / file).read_text())[1])


def test_a_member_is_lost_after_the_token_and_what_the_others_need_to_agree():
    """The sum that Corosync itself logged: token timed out (10650ms), waiting 12780ms for consensus."""
    assert _timers.detection(10000) == pytest.approx(10.65 + 12.78)


@pytest.mark.parametrize("token", TOKENS)
def test_no_takeover_is_as_long_as_a_client_waits(token):
    assert sum(_timers.takeover(token).values()) < _timers.CLIENTS - HOUR


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("common/etc/initramfs-tools/scripts/bareroot", r"aoe_deadsecs=(\d+)"),
        ("xen/etc/modprobe.d/bareroot-nvme.conf", r"io_timeout=(\d+)"),
    ],
    ids=["aoe", "nvme"],
)
def test_clients_wait_as_long_as_the_timers_say(file, pattern):
    assert setting(file, pattern) == _timers.CLIENTS


def test_a_storage_node_takes_itself_for_cut_off_when_a_dead_peer_is_no_member_any_more():
    assert setting("storage/usr/lib/bareroot/cut_off.py", r"(?m)^TOKENS = (\d+)") == _timers.CUT_OFF_TOKENS
    for token in TOKENS:
        assert _timers.CUT_OFF_TOKENS * token / 1000 > _timers.detection(token)


def test_the_cluster_waits_longer_for_fencing_than_for_one_bmc():
    assert _timers.FENCING > _timers.FENCE_AGENT
