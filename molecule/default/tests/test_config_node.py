"""The ConfigNode serves the boot network, and nobody else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("service", ["bareroot-firewall", "chrony", "dnsmasq", "nginx", "rsyslog"])
def test_service_runs_now_and_after_every_boot(cn1, service):
    assert cn1.service(service).is_running
    assert cn1.service(service).is_enabled


def test_tftp_is_served(cn1):
    assert cn1.socket("udp://10.77.0.1:69").is_listening


def test_no_dns_on_the_boot_network(cn1):
    assert not cn1.socket("udp://10.77.0.1:53").is_listening
    assert not cn1.socket("udp://0.0.0.0:53").is_listening


def test_a_personality_is_served_to_its_own_address_only(hardware_nodes, addresses):
    statuses = {
        owner: hardware_nodes["hn1"].run(f"busybox wget -q -O /dev/null http://10.77.0.1/personality/{addresses[owner]}.tar")
        for owner in addresses
    }
    assert statuses["hn1"].rc == 0
    assert statuses["hn2"].rc != 0
    assert "403" in statuses["hn2"].stderr


def test_nothing_but_what_nodes_need_is_served(hardware_nodes):
    for path in ("", "personality/", "images/", "../../etc/passwd"):
        assert hardware_nodes["hn1"].run(f"busybox wget -q -O /dev/null http://10.77.0.1/{path}").rc != 0


def test_journals_and_kernel_messages_of_the_nodes_arrive(cn1, addresses):
    for name in ("hn1", "hn2"):
        journal = f"/var/log/journal/remote/remote-{addresses[name]}.journal"
        assert f" {name} " in cn1.check_output(f"journalctl --file {journal} --lines 5")
        assert "bareroot: root mounted from" in cn1.check_output(f"cat /var/log/bareroot/{addresses[name]}.log")


def test_kernel_messages_are_bounded_every_hour(cn1):
    assert "OnCalendar=hourly" in cn1.check_output("systemctl cat logrotate.timer")
    assert "*-*-* *:00:00" in cn1.check_output("systemctl show --property TimersCalendar logrotate.timer")


def offered(mac: str) -> str:
    command = ["ip", "netns", "exec", "bareroot", sys.executable, str(Path(__file__).with_name("dhcp_discover.py")), "boot", mac]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.strip()


def test_a_machine_that_is_not_in_the_inventory_is_offered_nothing(cn1, addresses):
    macs = {line.split(",")[2]: line.split(",")[0] for line in cn1.check_output("cat /var/lib/bareroot/dhcp/hosts").splitlines()}
    assert offered(macs["hn1"]) == addresses["hn1"]
    assert offered("52:54:00:77:99:99") == ""
