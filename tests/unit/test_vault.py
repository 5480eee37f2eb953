# SPDX-License-Identifier: GPL-3.0-or-later
"""A BMC's password can be kept in a vault."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PLAIN = "correct-horse"


class Vaulted(str):
    """What `ansible-vault encrypt_string` prints after its tag."""


yaml.SafeDumper.add_representer(Vaulted, lambda dumper, text: dumper.represent_scalar("!vault", text, style="|"))


@pytest.fixture
def vault(tmp_path):
    path = tmp_path / "password"
    path.write_text("vault-password\n", encoding="utf-8")
    return path


@pytest.fixture
def inventory(tmp_path, vault):
    """Copy the sample, with a BMC and its encrypted password."""
    argv = [BIN / "ansible-vault", "encrypt_string", "--vault-password-file", vault, "--stdin-name", "node_bmc_password"]
    printed = subprocess.run(argv, input=PLAIN, text=True, check=True, capture_output=True).stdout
    content = yaml.safe_load((PROJECT / "inventory" / "sample" / "hosts.yml").read_text(encoding="utf-8"))
    content["all"]["vars"]["node_authorized_keys"] = ["ssh-ed25519 AAAA admin"]
    node = content["all"]["children"]["hardware_nodes"]["hosts"]["hn2"]
    lines = [line.strip() for line in printed.splitlines()[1:]]
    node.update(node_bmc_address="10.0.0.222", node_bmc_user="admin", node_bmc_password=Vaulted("\n".join(lines) + "\n"))
    (tmp_path / "inventory").mkdir()
    path = tmp_path / "inventory" / "hosts.yml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def validate(inventory, *options):
    argv = [BIN / "ansible-playbook", "-i", inventory, "-vvv", *options, "playbooks/validate.yml"]
    ours = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment = {**ours, "ANSIBLE_COLLECTIONS_PATH": str(PROJECT / "collections")}
    return subprocess.run(argv, cwd=PROJECT, env=environment, text=True, check=False, capture_output=True)


def test_the_password_is_read_and_never_shown(inventory, vault):
    result = validate(inventory, "--vault-password-file", vault)
    assert result.returncode == 0, result.stdout
    assert PLAIN not in result.stdout + result.stderr


def test_without_the_vaults_password_the_variable_is_named(inventory):
    result = validate(inventory)
    assert result.returncode != 0
    assert "hn2: node_bmc_password: cannot be read" in result.stdout
