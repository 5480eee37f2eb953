# SPDX-License-Identifier: GPL-3.0-or-later
"""What the ConfigNode keeps in files: records, and the SSH CA."""

from __future__ import annotations

import json
import os
from typing import Any

from . import _identity


def read_json(path: str) -> dict[str, Any]:
    """Return what a JSON file holds, or nothing where there is no file. Raises ValueError where it holds no object."""
    try:
        with open(path, encoding="utf-8") as stream:
            data = json.load(stream)
        if not isinstance(data, dict):
            raise ValueError("it holds no JSON object")
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}; restore it from a backup") from error
    return data


def ca_key(directory: str, check_mode: bool) -> str:
    """Return the CA's private key; in check mode one that counts for nothing where there is none yet. Raises ValueError otherwise."""
    path = os.path.join(directory, "ca")
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError as error:
        if check_mode:
            return _identity.new_host_key()
        raise ValueError(f"there is no SSH CA {path}: run playbooks/config_nodes.yml first, or restore it") from error
