# SPDX-License-Identifier: GPL-3.0-or-later
"""The HardwareNodes as a whole: what runs where. The one place where decisions meet the machines."""

from __future__ import annotations

from . import _xen_host
from ._access import Access
from ._instances import View
from ._runner import RunError
from ._xen_host import Host


def look(access: Access, addresses: dict[str, str] | None = None) -> View:
    """Ask all HardwareNodes, side by side, what they are and what runs there. addresses: the instances', for who returns them."""
    answers = access.run_on_all(access.hardware_nodes(), _xen_host.INSPECT)
    hosts, silent = {}, {}
    for node, answer in answers.items():
        if isinstance(answer, RunError):
            silent[node] = str(answer.result["stderr"].strip() or answer)
        else:
            hosts[node] = _xen_host.parse_inspection(node, answer)
    return View(hosts, silent, addresses or {})


def find_copies(access: Access, nodes: list[str]) -> dict[str, Host]:
    """Ask some HardwareNodes, side by side, which domains are there and no more: one that wakes up an instance has other things to do."""
    answers = access.run_on_all(nodes, [*_xen_host.INSPECT, "--domains"])
    return {node: _xen_host.parse_domains(node, answer) for node, answer in answers.items() if not isinstance(answer, RunError)}


def start(access: Access, instance: dict, timeout: int) -> None:
    """Start an instance on its node. Raises RunError."""
    argv = [_xen_host.START, *instance["volumes"]]
    access.run(instance["node"], argv, stdin=_xen_host.configuration(instance), timeout=timeout)


def stop(access: Access, name: str, node: str, timeout: int) -> None:
    """Ask an instance's system to shut down and wait until it has. Raises RunError after `timeout` seconds; it is never cut off."""
    access.run(node, ["xl", "shutdown", "-w", name], timeout=timeout)


def send(access: Access, name: str, source: str, target: str, timeout: int) -> None:
    """Migrate an instance; returns when xl is done. Raises RunError with what xl said; where the instance is then, nobody knows yet."""
    access.run(source, [_xen_host.SEND, name, target, address_for_migrations(access, source, target)], timeout=timeout)


def abort(access: Access, name: str, source: str) -> None:
    """End what may be left of a migration that broke, so that nothing changes behind our back."""
    access.run_on_all([source], ["systemctl", "stop", f"bareroot-migration-{name}.service"])


def receiver_problem(access: Access, source: str, target: str) -> str:
    """Return why the target does not let the source start Xen's migration receiver; an empty string where it does."""
    probe = [*_xen_host.reach(target), address_for_migrations(access, source, target), "probe"]
    try:
        # Anything but the receiver is refused, with 1; ssh itself ends with 255.
        access.run(source, ["sh", "-c", f"{' '.join(probe)} 2>&1; [ $? -eq 1 ] || exit 4"])
    except RunError as error:
        return (error.result["stdout"] or error.result["stderr"]).strip() or str(error)
    return ""


def address_for_migrations(access: Access, source: str, target: str) -> str:
    """Return the target's address on the storage network where both nodes have a card there, else on the boot network."""
    nodes = access.hardware_nodes()
    both = all(nodes[node]["storage_address"] != nodes[node]["address"] for node in (source, target))
    return nodes[target]["storage_address" if both else "address"]


def find_volumes(access: Access, node: str, volumes: tuple[str, ...]) -> None:
    """Let a node look for volumes that it may not have met yet. That it finds none shows when it is looked at."""
    access.run_on_all([node], [_xen_host.FIND, *volumes])
