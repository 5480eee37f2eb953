from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils import _cluster, _names, _storage_layout

IMAGE_FILES = Path(__file__).parents[4] / "roles/node_image/files/storage"
CN1 = _cluster.Member("cn1", 1, "10.0.0.1")
SN1 = _cluster.Member("sn1", 11, "10.0.0.11", "10.1.0.11")
SN2 = _cluster.Member("sn2", 12, "10.0.0.12", "10.1.0.12")
CLUSTER = _cluster.Cluster((CN1, SN1, SN2), token=7500, key="SECRET")
PAIR = {"sn1": "10.1.0.11", "sn2": "10.1.0.12"}


def corosync(text):
    """Read Corosync's configuration: {setting: its value, section and its braces: a list of what is in them, for it may come again}."""
    lines = [line.strip() for line in text.splitlines()]

    def section():
        found = {}
        while lines and lines[0] != "}":
            line = lines.pop(0)
            if line.endswith(" {"):
                found.setdefault(f"{line}}}", []).append(section())
                assert lines.pop(0) == "}"
            else:
                key, value = line.split(": ")
                assert key not in found
                found[key] = value
        return found

    found = section()
    assert lines == []
    return found


def test_only_those_that_replicate_are_storage_nodes():
    assert CLUSTER.storage_nodes == (SN1, SN2)


def test_corosync_is_told_the_voters_how_they_know_each_other_and_when_one_is_lost():
    found = corosync(_cluster.corosync_conf(CLUSTER))
    assert found["totem {}"] == [
        {
            "version": "2",
            "cluster_name": "bareroot",
            "transport": "knet",
            "crypto_cipher": "aes256",
            "crypto_hash": "sha256",
            "token": "7500",
        }
    ]
    assert found["nodelist {}"] == [
        {
            "node {}": [
                {"ring0_addr": "10.0.0.1", "name": "cn1", "nodeid": "1"},
                {"ring0_addr": "10.0.0.11", "name": "sn1", "nodeid": "11"},
                {"ring0_addr": "10.0.0.12", "name": "sn2", "nodeid": "12"},
            ]
        }
    ]
    # Without two_node or the like: a single voter of three never has a quorum.
    assert found["quorum {}"] == [{"provider": "corosync_votequorum"}]
    assert found["logging {}"] == [{"to_stderr": "no", "to_logfile": "no", "to_syslog": "yes"}]
    assert found.keys() == {"totem {}", "nodelist {}", "quorum {}", "logging {}"}


def test_a_storage_node_asks_its_peer_first_and_then_clients_whether_it_is_cut_off():
    cluster = _cluster.Cluster((CN1, SN1, SN2), 7500, "SECRET", {"hn1": "10.1.0.21", "hn2": "10.1.0.22"})
    assert _cluster.neighbours(cluster, "sn1") == "sn2 10.1.0.12\nhn1 10.1.0.21\nhn2 10.1.0.22\n"
    assert _cluster.neighbours(CLUSTER, "sn2") == "sn1 10.1.0.11\n"


def test_the_key_is_not_in_corosyncs_configuration():
    assert "SECRET" not in _cluster.corosync_conf(CLUSTER)


@pytest.mark.parametrize(("half", "minor"), [("half0", 0), ("half1", 1)])
def test_a_half_without_a_peer_is_a_plain_resource(drbd, half, minor):
    assert drbd(_cluster.drbd_resource(half, minor, {"sn1": "10.1.0.11"}, is_pair=False)) == {
        f"resource {half} {{}}": {
            "device": f"/dev/drbd{minor}",
            "disk": f"/dev/{_storage_layout.GROUP}/{half}",
            "meta-disk": "internal",
            "on sn1 {}": {"address": f"10.1.0.11:{7788 + minor}"},
        }
    }


@pytest.mark.parametrize(("half", "minor"), [("half0", 0), ("half1", 1)])
def test_a_half_of_a_pair_writes_to_both_and_stops_until_a_lost_peer_is_fenced(drbd, half, minor):
    assert drbd(_cluster.drbd_resource(half, minor, PAIR, is_pair=True)) == {
        f"resource {half} {{}}": {
            "device": f"/dev/drbd{minor}",
            "disk": f"/dev/{_storage_layout.GROUP}/{half}",
            "meta-disk": "internal",
            "net {}": {"protocol": "C", "ping-timeout": "50", "verify-alg": "crc32c"},
            "disk {}": {"fencing": "resource-and-stonith", "c-min-rate": "20M", "c-max-rate": "200M", "c-fill-target": "1M"},
            "handlers {}": {
                "fence-peer": '"/usr/lib/bareroot/drbd-fence-peer"',
                "unfence-peer": '"/usr/lib/drbd/crm-unfence-peer.sh"',
                "after-resync-target": '"/usr/lib/drbd/crm-unfence-peer.sh"',
            },
            "on sn1 {}": {"address": f"10.1.0.11:{7788 + minor}"},
            "on sn2 {}": {"address": f"10.1.0.12:{7788 + minor}"},
        }
    }


def test_halves_share_neither_device_nor_disk_nor_port(drbd):
    resources = []
    for minor, half in enumerate(_storage_layout.HALVES):
        resources += drbd(_cluster.drbd_resource(half, minor, PAIR, is_pair=True)).values()
    for value in ("device", "disk"):
        assert len({resource[value] for resource in resources}) == len(_storage_layout.HALVES)
    assert len({resource["on sn1 {}"]["address"] for resource in resources}) == len(_storage_layout.HALVES)


def test_our_handler_is_a_program_of_the_image():
    (program,) = re.findall(r'"/(usr/lib/bareroot/[^"]+)"', _cluster.drbd_resource("half0", 0, PAIR, is_pair=True))
    assert os.access(IMAGE_FILES / program, os.X_OK)


SITES = st.text(max_size=80)
HALVES = st.sampled_from(_storage_layout.HALVES)


@given(SITES, HALVES)
def test_a_halfs_mac_is_one_stations_and_no_makers(site, half):
    mac = _cluster.half_mac(site, half)
    assert _names.matches(_names.MAC, mac)
    assert _names.normal_mac(mac) == mac
    first = int(mac[:2], 16)
    assert first & 1 == 0, "for a group of stations"
    assert first & 2 == 2, "some maker's"


def test_a_halfs_mac_stays_the_same_in_every_version_and_differs_by_half():
    assert [_cluster.half_mac("ssh-ed25519 AAAA", half) for half in _storage_layout.HALVES] == ["02:6d:28:6d:1c:e6", "02:3c:92:34:b6:1a"]


@given(SITES, SITES, HALVES, HALVES)
def test_macs_are_equal_only_for_the_same_half_of_the_same_site(site, other_site, half, other_half):
    is_same = (site, half) == (other_site, other_half)
    assert (_cluster.half_mac(site, half) == _cluster.half_mac(other_site, other_half)) is is_same
