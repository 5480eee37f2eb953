"""A ConfigNode whose disk is lost comes back from its backup; nodes and instances run on meanwhile."""

from __future__ import annotations

import re
from pathlib import Path

from tests.e2e.lab import HARDWARE_NODES, Lab, wait_until
from tests.e2e.loads import INSTANCE, STORAGE_NODES, Loads

MACHINES = (*STORAGE_NODES, *HARDWARE_NODES, INSTANCE)


def test_a_lost_config_node_comes_back_from_its_backup(lab: Lab, tmp_path: Path):
    backup = tmp_path / "cn1.tar.gz"
    lab.playbook("backup.yml", "-e", f"backup={backup}")
    assert backup.stat().st_mode & 0o777 == 0o600
    loads = Loads(lab)
    loads.begin()
    boots = {machine: lab.boot_id(machine) for machine in MACHINES}
    lab.power("cn1", "off")
    wait_until("cn1 is off", lambda: lab.is_off("cn1"), 60)
    (lab.directory / "cn1/disk0").unlink()
    lab.playbook("lab.yml")
    lab.playbook("restore.yml", "-e", f"backup={backup}")
    lab.playbook("site.yml")
    # Nobody is somebody else now: the keys and addresses are those that everybody knows.
    assert set(re.findall(r"changed=(\d+)", lab.playbook("site.yml"))) == {"0"}
    assert {machine: lab.boot_id(machine) for machine in MACHINES} == boots
    assert not loads.end().wrong()
