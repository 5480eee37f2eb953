"""The instance runs from its own volume, with its own personality, and is kept off the networks that are not its business."""

from __future__ import annotations

import json

import pytest
from conftest import wait_for

ADDRESS = "10.79.0.50"


@pytest.fixture(scope="module")
def instance():
    return wait_for(ADDRESS, "systemctl is-active cloud-init.target")


@pytest.fixture(scope="module")
def record(cn1):
    return json.loads(cn1.check_output("cat /var/lib/bareroot/instances.json"))["instances"]["web1"]


def test_personality_is_applied(instance, record):
    assert instance.check_output("hostname") == "web1"
    assert f"link/ether {record['mac']}" in instance.check_output("ip -oneline link show")
    assert f"{ADDRESS}/24" in instance.check_output("ip -brief -4 address")
    assert record["certificate"] in instance.check_output("cat /etc/ssh/ssh_host_ed25519_key-cert.pub")


def test_it_runs_once_as_pvh(hardware_nodes, record):
    places = {name: host.check_output("xl list --long") for name, host in hardware_nodes.items()}
    domains = [domain["config"] for text in places.values() for domain in json.loads(text) if domain["domid"] != 0]
    assert [domain["c_info"]["name"] for domain in domains] == ["web1"]
    assert domains[0]["c_info"]["type"] == "pvh"
    assert domains[0]["c_info"]["uuid"] == record["uuid"]


def test_root_is_a_clone_of_the_template_and_fills_its_volume(storage_node, instance, published):
    rows = json.loads(storage_node.check_output("lvs --reportformat json --units b --nosuffix -o lv_name,origin,lv_size,lv_tags"))
    volumes = {row["lv_name"]: row for row in rows["report"][0]["lv"]}
    assert volumes["web1-root"]["origin"] == published["debian"]
    assert "bareroot.export.aoe" in volumes["web1-root"]["lv_tags"]
    size = int(instance.check_output("df --block-size=1 --output=size / | tail -n 1"))
    assert size > int(volumes["web1-root"]["lv_size"]) * 0.85


def test_no_unit_failed(instance):
    assert not instance.check_output("systemctl --failed --no-legend")


def reaches(instance, place):
    return instance.run(f"busybox nc -w 3 {place} 22 </dev/null || busybox nc -w 3 {place} 80 </dev/null").rc == 0


@pytest.mark.parametrize("place", ["10.77.0.1", "10.77.0.20", "10.78.0.11", "10.77.0.254"])
@pytest.mark.parametrize("route", ["dev enX0", "via 10.79.0.1"])
def test_it_cannot_reach_the_boot_and_storage_networks(instance, place, route):
    assert reaches(instance, "10.79.0.1")
    instance.check_output(f"ip route replace {place}/32 {route}")
    assert not reaches(instance, place)


def test_it_cannot_fetch_a_personality(instance, addresses):
    for route in ("dev enX0", "via 10.79.0.1"):
        command = f"ip route replace 10.77.0.1/32 {route}; busybox wget -q -T 5 -O /dev/null http://10.77.0.1/personality/{{}}.tar"
        for address in addresses.values():
            assert instance.run(command.format(address)).rc != 0


SEND_AOE = """
import socket
sender = bytes.fromhex(open("/sys/class/net/enX0/address").read().strip().replace(":", ""))
frame = b"\\xff" * 6 + sender + b"\\x88\\xa2\\x10" + bytes(49)
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind(("enX0", 0))
for _ in range(20):
    raw.send(frame)
"""


def test_its_aoe_frames_are_dropped(instance, hardware_nodes):
    counter = (
        "nft 'table bridge test { chain c { type filter hook forward priority -250; ether type 0x88a2 counter; }; "
        "chain d { type filter hook postrouting priority 0; ether type 0x88a2 counter; }; }'"
    )
    for host in hardware_nodes.values():
        host.check_output(counter)
    try:
        assert instance.run(f"python3 -c '{SEND_AOE}'").rc == 0
        tables = [json.loads(host.check_output("nft --json list table bridge test")) for host in hardware_nodes.values()]
    finally:
        for host in hardware_nodes.values():
            host.run("nft delete table bridge test")
    packets = {chain: sum(_packets(table, chain) for table in tables) for chain in ("c", "d")}
    assert packets["c"] >= 20
    assert packets["d"] == 0


def _packets(table, chain):
    rules = [entry["rule"] for entry in table["nftables"] if "rule" in entry and entry["rule"]["chain"] == chain]
    return sum(part["counter"]["packets"] for rule in rules for part in rule["expr"] if "counter" in part)
