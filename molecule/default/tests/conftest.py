"""The lab's machines as testinfra hosts, reached with paramiko."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import testinfra

PROJECT = Path(__file__).parents[3]
LAB = Path("/var/lib/bareroot-lab")
BOOT_TIMEOUT = 400


def connect(address: str) -> testinfra.host.Host:
    return testinfra.get_host(f"paramiko://{address}", ssh_config=str(LAB / "ssh_config"), timeout=20)


@pytest.fixture(scope="session")
def cn1() -> testinfra.host.Host:
    return wait_for("cn1", "systemctl is-active nginx dnsmasq")


@pytest.fixture(scope="session")
def addresses(cn1: testinfra.host.Host) -> dict[str, str]:
    """{node: address}, as DHCP gives them."""
    lines = cn1.check_output("cat /var/lib/bareroot/dhcp/hosts").splitlines()
    return {name: address for _mac, address, name, _lease in (line.split(",") for line in lines)}


@pytest.fixture(scope="session")
def published(cn1: testinfra.host.Host) -> dict[str, str]:
    """{kind: name of the newest image}."""
    return json.loads(cn1.check_output("cat /srv/bareroot/images/current.json"))


@pytest.fixture(scope="session")
def hardware_nodes(addresses: dict[str, str]) -> dict[str, testinfra.host.Host]:
    return {name: wait_for(addresses[name], "grep ready$ /run/bareroot/boot.log") for name in ("hn1", "hn2")}


@pytest.fixture(scope="session")
def storage_node(addresses: dict[str, str]) -> testinfra.host.Host:
    return wait_for(addresses["sn1"], "grep ready$ /run/bareroot/boot.log && systemctl is-active bareroot-storage")


@pytest.fixture(params=["hn1", "hn2"])
def hardware_node(request: pytest.FixtureRequest, hardware_nodes: dict[str, testinfra.host.Host]) -> testinfra.host.Host:
    return hardware_nodes[request.param]


def wait_for(address: str, command: str) -> testinfra.host.Host:
    """Connect as soon as `command` succeeds there; fail with the reason after BOOT_TIMEOUT seconds."""
    deadline = time.monotonic() + BOOT_TIMEOUT
    reason: object = "not tried"
    while time.monotonic() < deadline:
        try:
            host = connect(address)
            result = host.run(command)
        except Exception as error:  # paramiko raises many kinds while a machine boots; the last one is reported
            reason = error
        else:
            if result.rc == 0:
                return host
            reason = result
        time.sleep(2)
    pytest.fail(f"{address}: `{command}` did not succeed within {BOOT_TIMEOUT} s: {reason}; consoles are in {LAB}/*/console.log")
