"""The StorageNode has its root in RAM, its data on two disks, and exports the images that HardwareNodes boot."""

from __future__ import annotations


def test_root_is_in_ram(storage_node, published):
    assert storage_node.mount_point("/").filesystem == "overlay"
    assert f"bareroot.image={published['storage']} " in storage_node.check_output("cat /proc/cmdline")
    assert storage_node.check_output("losetup --noheadings --output BACK-FILE").endswith("/run/bareroot/image/root.squashfs")


def test_data_lies_on_both_disks(storage_node):
    members = storage_node.check_output("mdadm --detail --export /dev/md/bareroot")
    assert "MD_LEVEL=raid1" in members
    assert members.count("_ROLE=") == 2
    assert storage_node.check_output("vgs --noheadings --options pv_name bareroot").strip() == storage_node.check_output(
        "readlink --canonicalize /dev/md/bareroot"
    )


def test_both_halves_are_primary_with_a_thin_pool(storage_node):
    for number, half in enumerate(("half0", "half1")):
        assert storage_node.check_output(f"drbdadm role {half}").startswith("Primary/")
        assert storage_node.check_output(f"drbdadm dstate {half}").startswith("UpToDate/")
        assert (
            storage_node.check_output(f"pvs --noheadings --options pv_name --select vg_name=bareroot_{half}").strip()
            == f"/dev/drbd{number}"
        )
        assert storage_node.check_output(f"lvs --noheadings --options lv_layout bareroot_{half}/pool").strip() == "thin,pool"


def test_nothing_is_left_unfinished(storage_node):
    assert not storage_node.check_output("lvs --noheadings --options lv_name --select tags=bareroot.new")


def test_the_images_in_use_are_exported_as_they_were_published(storage_node, published):
    image = published["xen"]
    assert storage_node.service(f"bareroot-aoe@image-{image}.service").is_running
    manifest = storage_node.check_output(f"busybox wget -q -O - http://10.77.0.1/images/{image}/manifest.json")
    digest = storage_node.check_output(f"sha256sum /srv/bareroot/images/{image}/root.squashfs").split()[0]
    assert digest in manifest


def test_images_are_exported_read_only_by_nfs(storage_node):
    exports = storage_node.check_output("exportfs -v")
    assert "/srv/bareroot/images" in exports
    assert "ro," in exports
    assert "rw," not in exports


def test_no_unit_failed(storage_node):
    assert not storage_node.check_output("systemctl --failed --no-legend")
