"""The voters of the pair as testinfra hosts, reached with paramiko; and the lab with all its machines."""

from __future__ import annotations

import pytest
import testinfra

from tests.e2e.lab import Lab

SSH_CONFIG = "/var/lib/bareroot-lab/ssh_config"
STORAGE_NODES = {"sn1": "10.77.0.11", "sn2": "10.77.0.12"}


def connect(address: str) -> testinfra.host.Host:
    return testinfra.get_host(f"paramiko://{address}", ssh_config=SSH_CONFIG, timeout=60)


@pytest.fixture(scope="session")
def cn1() -> testinfra.host.Host:
    return connect("cn1")


@pytest.fixture(scope="session")
def storage_nodes() -> dict[str, testinfra.host.Host]:
    return {name: connect(address) for name, address in STORAGE_NODES.items()}


@pytest.fixture(scope="session")
def lab() -> Lab:
    return Lab()
