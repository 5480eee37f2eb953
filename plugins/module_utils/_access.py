# SPDX-License-Identifier: GPL-3.0-or-later
"""How the ConfigNode runs something on the nodes: over SSH, with what boot_tree wrote."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from . import _state
from ._runner import RunError, Runner

DIRECTORY = "/var/lib/bareroot/access"
# SSH sessions at a time.
SIDE_BY_SIDE = 32
TIMEOUT = 60


class Access:
    """The nodes, as the ConfigNode that this runs on reaches them."""

    def __init__(self, runner: Runner, directory: str = DIRECTORY) -> None:
        self._runner = runner
        self._directory = directory

    def is_set_up(self) -> bool:
        """Whether boot_tree has run on this machine."""
        return os.path.exists(os.path.join(self._directory, "nodes.json"))

    def hardware_nodes(self) -> dict[str, dict[str, str]]:
        """Return {name: {role, address, storage_address}} of all HardwareNodes. Raises ValueError where there is no record of nodes."""
        path = os.path.join(self._directory, "nodes.json")
        try:
            with open(path, encoding="utf-8") as stream:
                nodes = json.load(stream)
        except (FileNotFoundError, ValueError) as error:
            raise ValueError(f"cannot read {path}: {error}. This runs on a ConfigNode, after playbooks/boot_tree.yml") from error
        return {name: node for name, node in nodes.items() if node["role"] == "hardware"}

    def instance_addresses(self) -> dict[str, str]:
        """Return {name: address} of the instances whose address the inventory gives."""
        records = _state.read_json(os.path.join(os.path.dirname(self._directory), "instances.json")).get("instances", {})
        return {name: record["address"].split("/")[0] for name, record in records.items() if record.get("address")}

    def run(self, node: str, argv: list[str], stdin: str = "", timeout: int = TIMEOUT) -> str:
        """Run a program there. Return its standard output; raise RunError, with ssh's 255 where the node does not answer."""
        ssh = ["ssh", "-F", os.path.join(self._directory, "ssh_config"), node, "--", shlex.join(argv)]
        return self._runner.run(ssh, timeout=timeout, data=stdin)

    def run_on_all(self, nodes: Iterable[str], argv: list[str]) -> dict[str, str | RunError]:
        """Run a program on each, side by side. Return {node: its standard output, or why there is none}."""

        def attempt(node: str) -> str | RunError:
            try:
                return self.run(node, argv)
            except RunError as error:
                return error

        names = list(nodes)
        with ThreadPoolExecutor(max_workers=SIDE_BY_SIDE) as pool:
            return dict(zip(names, pool.map(attempt, names), strict=True))
