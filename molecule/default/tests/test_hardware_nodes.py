"""HardwareNodes are Xen hosts without a disk, each what its image and its personality make it."""

from __future__ import annotations

import json


def test_dom0_runs_under_xen(hardware_node):
    assert "xen_version" in hardware_node.check_output("xl info")
    assert "Domain-0" in hardware_node.check_output("xl list")


def test_there_is_no_disk(hardware_node):
    assert hardware_node.check_output("lsblk --noheadings --output TYPE | sort -u") == "loop"


def test_root_is_the_published_image_in_ram(hardware_node, published):
    cmdline = hardware_node.check_output("cat /proc/cmdline")
    assert f"bareroot.image={published['xen']} " in cmdline
    assert hardware_node.mount_point("/").filesystem == "overlay"
    assert hardware_node.check_output("losetup --noheadings --output BACK-FILE").endswith("/root.squashfs")
    digest = hardware_node.check_output("sha256sum /run/bareroot/image/root.squashfs").split()[0]
    assert f"bareroot.digest={digest} " in cmdline


def test_personality_is_applied(hardware_nodes, addresses):
    for name, host in hardware_nodes.items():
        facts = json.loads(host.file("/etc/bareroot/node.json").content_string)
        assert facts["name"] == host.check_output("hostname") == name
        assert facts["address"] == f"{addresses[name]}/24"
    assert len({host.check_output("cat /etc/machine-id") for host in hardware_nodes.values()}) == len(hardware_nodes)


def test_networks_are_separate(hardware_node):
    links = hardware_node.check_output("ip -brief -4 address")
    assert "10.77.0." in links
    assert "10.78.0." in links
    assert "master xenbr0" in hardware_node.check_output("ip -oneline link show master xenbr0")
    assert not hardware_node.check_output("ip route show default")


def test_clock_follows_the_config_node(hardware_node):
    assert "yes" in hardware_node.check_output("timedatectl show --property NTPSynchronized")


def test_no_unit_failed(hardware_node):
    assert not hardware_node.check_output("systemctl --failed --no-legend")


def test_writes_are_bounded(hardware_node):
    assert "size=" in hardware_node.check_output("findmnt --noheadings --output OPTIONS /run/bareroot/changes")
    assert "RuntimeMaxUse=32M" in hardware_node.check_output("systemd-analyze cat-config systemd/journald.conf")
