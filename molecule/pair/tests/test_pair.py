"""Two StorageNodes and the ConfigNode keep both halves."""

from __future__ import annotations

import pytest

from tests.e2e.health import HALVES

halves = pytest.mark.parametrize("half", HALVES)


def test_all_voters_are_members_with_quorum(cn1):
    status = cn1.run("corosync-quorumtool -s").stdout
    assert "Quorate:          Yes" in status
    assert "Total votes:      3" in status


def test_the_clusters_configuration_is_sound(cn1):
    cn1.run_expect([0], "crm_verify --live-check")


def test_nothing_has_failed_in_the_cluster(cn1):
    assert "Failed" not in cn1.check_output("crm_mon --one-shot --inactive --failcounts")


def test_nobody_is_kept_from_serving(cn1):
    assert "drbd-fence-by-handler" not in cn1.check_output("cibadmin --query --scope constraints")


@halves
def test_a_half_is_primary_on_one_and_whole_on_both(storage_nodes, half):
    roles = sorted(host.check_output(f"drbdadm role {half}") for host in storage_nodes.values())
    assert roles == ["Primary/Secondary", "Secondary/Primary"]
    assert {host.check_output(f"drbdadm dstate {half}") for host in storage_nodes.values()} == {"UpToDate/UpToDate"}


@halves
def test_volumes_card_and_target_of_a_half_are_where_it_is_primary(storage_nodes, half):
    for host in storage_nodes.values():
        is_primary = host.check_output(f"drbdadm role {half}").startswith("Primary")
        assert host.file(f"/sys/class/net/{half}").exists is is_primary
        assert host.run(f"vgs bareroot_{half}").succeeded is is_primary
        assert host.file(f"/sys/kernel/config/nvmet/ports/{HALVES.index(half) + 1}").exists is is_primary


@halves
def test_a_half_has_the_same_mac_address_and_name_on_both(storage_nodes, half):
    for kind in ("mac", "nvme"):
        assert len({host.file(f"/etc/bareroot/{half}.{kind}").content_string for host in storage_nodes.values()}) == 1


def test_root_images_are_served_by_both(storage_nodes):
    for host in storage_nodes.values():
        assert "bareroot-aoe@image-xen-" in host.check_output("systemctl list-units 'bareroot-aoe@*' --state=active --plain --no-legend")


def test_the_clusters_state_outlives_a_boot(storage_nodes):
    for host in storage_nodes.values():
        assert host.check_output("findmnt --noheadings --output SOURCE /var/lib/pacemaker") == "/dev/mapper/bareroot-cluster"


def test_no_unit_failed(storage_nodes):
    for host in storage_nodes.values():
        assert not host.check_output("systemctl --failed --no-legend")
