"""HardwareNodes are Xen hosts without a disk, each what its image and its personality make it."""

from __future__ import annotations

import json
import re
import time

# What holds the image in each root mode.
ROOTS = {
    "aoe": "findmnt --noheadings --output SOURCE /run/bareroot/lower",
    "nfs": "echo /run/bareroot/image/{xen}/root.squashfs",
    "ram": "echo /run/bareroot/image/root.squashfs",
}


def root_mode(host) -> str:
    return re.search(r" bareroot\.root=(\w+) ", host.check_output("cat /proc/cmdline"))[1]


def test_dom0_runs_under_xen(hardware_node):
    assert "xen_version" in hardware_node.check_output("xl info")
    assert "Domain-0" in hardware_node.check_output("xl list")


def test_there_is_no_disk(hardware_node):
    names = hardware_node.check_output("lsblk --noheadings --list --output NAME").split()
    assert [name for name in names if not name.startswith(("loop", "etherd", "nvme"))] == []


def test_both_halves_are_connected_by_nvme_tcp_and_nothing_else_is(hardware_node):
    controllers = "/sys/class/nvme/*"
    assert hardware_node.check_output(f"cat {controllers}/transport").split() == ["tcp", "tcp"]
    assert hardware_node.check_output(f"cat {controllers}/state").split() == ["live", "live"]
    assert len(set(hardware_node.check_output(f"cat {controllers}/subsysnqn").split())) == 2
    # Without its key it would be no one.
    assert "none" not in hardware_node.check_output(f"cat {controllers}/dhchap_secret")


def test_root_is_the_published_image(hardware_node, published):
    cmdline = hardware_node.check_output("cat /proc/cmdline")
    assert f"bareroot.image={published['xen']} " in cmdline
    assert hardware_node.mount_point("/").filesystem == "overlay"
    # The whole root, as it arrived here, has the digest under which it was published.
    image = hardware_node.check_output(ROOTS[root_mode(hardware_node)].format(**published))
    digest = hardware_node.check_output(f"sha256sum {image}").split()[0]
    assert f"bareroot.digest={digest} " in cmdline


def test_root_is_what_its_mode_says(hardware_node):
    source = hardware_node.check_output("findmnt --noheadings --output SOURCE /run/bareroot/lower")
    backing = hardware_node.check_output("losetup --noheadings --output BACK-FILE")
    image_file_system = hardware_node.run("findmnt --noheadings --output FSTYPE,SOURCE /run/bareroot/image").stdout.split()
    match root_mode(hardware_node):
        case "aoe":
            assert source.startswith("/dev/etherd/e1000.")
            assert not backing
        case "nfs":
            assert source.startswith("/dev/loop")
            assert image_file_system == ["nfs4", "10.78.0.11:/"]
        case "ram":
            assert source.startswith("/dev/loop")
            assert image_file_system[0] == "tmpfs"


def test_the_network_root_is_never_given_up(hardware_node):
    if root_mode(hardware_node) == "aoe":
        assert int(hardware_node.check_output("cat /sys/module/aoe/parameters/aoe_deadsecs")) >= 3600
        nic = hardware_node.check_output("cat /run/bareroot/storage-nic")
        assert hardware_node.check_output("cat /sys/module/aoe/parameters/aoe_iflist") == nic
    else:
        assert "soft" not in hardware_node.run("findmnt --noheadings --output OPTIONS /run/bareroot/image").stdout.split(",")


def test_personality_is_applied(hardware_nodes, addresses):
    for name, host in hardware_nodes.items():
        facts = json.loads(host.file("/etc/bareroot/node.json").content_string)
        assert facts["name"] == host.check_output("hostname") == name
        assert facts["address"] == f"{addresses[name]}/24"
    assert len({host.check_output("cat /etc/machine-id") for host in hardware_nodes.values()}) == len(hardware_nodes)


def test_one_boots_by_bios_and_one_by_uefi(hardware_nodes):
    firmware = {name: host.file("/sys/firmware/efi").exists for name, host in hardware_nodes.items()}
    assert firmware == {"hn1": False, "hn2": True}


def test_networks_are_separate(hardware_node):
    links = hardware_node.check_output("ip -brief -4 address")
    assert "10.77.0." in links
    assert "10.78.0." in links
    assert "master xenbr0" in hardware_node.check_output("ip -oneline link show master xenbr0")
    assert not hardware_node.check_output("ip route show default")


def test_clock_follows_the_config_node(hardware_node):
    # It asks every 64 s: an answer may have come too late, once.
    deadline = time.monotonic() + 100
    while "yes" not in hardware_node.check_output("timedatectl show --property NTPSynchronized"):
        assert time.monotonic() < deadline, hardware_node.check_output("timedatectl timesync-status; journalctl --unit systemd-timesyncd")
        time.sleep(5)


def test_no_unit_failed(hardware_node):
    assert not hardware_node.check_output("systemctl --failed --no-legend")


def test_writes_are_bounded(hardware_node):
    assert "size=" in hardware_node.check_output("findmnt --noheadings --output OPTIONS /run/bareroot/changes")
    assert "RuntimeMaxUse=32M" in hardware_node.check_output("systemd-analyze cat-config systemd/journald.conf")
