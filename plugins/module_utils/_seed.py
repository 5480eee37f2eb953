# SPDX-License-Identifier: GPL-3.0-or-later
"""An instance's personality, as cloud-init's data source NoCloud reads it. Pure functions."""

from __future__ import annotations

import json
import re
from typing import Any


def seed_files(instance: dict[str, Any]) -> dict[str, str]:
    """Return {file name: text}.

    instance: name, uuid, mac, address (with prefix length; empty for DHCP), gateway, nameservers, authorized_keys, and host_key,
    host_public_key, host_certificate. JSON is YAML, and needs no rules for quoting of our own.
    """
    return {
        "meta-data": _json({"instance-id": instance["uuid"], "local-hostname": instance["name"]}),
        "network-config": _json(_network(instance)),
        "user-data": f"#cloud-config\n{_json(_user_data(instance))}",
    }


def _json(value: dict[str, Any]) -> str:
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
    # YAML reads JSON's pairs of \u escapes as two characters.
    return re.sub(r"[^\n -~]", lambda found: f"\\U{ord(found[0]):08x}", text) + "\n"


def _network(instance: dict[str, Any]) -> dict[str, Any]:
    card: dict[str, Any] = {"match": {"macaddress": instance["mac"]}, "dhcp4": not instance["address"]}
    if instance["address"]:
        card["addresses"] = [instance["address"]]
    if instance["gateway"]:
        card["routes"] = [{"to": "0.0.0.0/0", "via": instance["gateway"]}]
    if instance["nameservers"]:
        card["nameservers"] = {"addresses": instance["nameservers"]}
    return {"version": 2, "ethernets": {"instance": card}}


def _user_data(instance: dict[str, Any]) -> dict[str, Any]:
    return {
        "disable_root": False,
        "manage_etc_hosts": True,
        "users": [{"name": "root", "ssh_authorized_keys": instance["authorized_keys"]}],
        "ssh_keys": {
            "ed25519_private": instance["host_key"],
            "ed25519_public": instance["host_public_key"],
            "ed25519_certificate": instance["host_certificate"],
        },
    }
